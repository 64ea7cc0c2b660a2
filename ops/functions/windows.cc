// See windows.h.
#include "windows.h"

namespace catena::functions {

namespace {

constexpr int64_t kMost = int64_t{1} << 31;

}  // namespace

Pair window_pair(const sdk::Attrs& attrs, int key, int64_t least, std::string_view what) {
  const Pair p = attrs.pair(key);
  for (const int64_t v : p)
    if (v < least || v > kMost)
      sdk::fail(CTN_EINVAL, what, " ", attrs.ints(key), " is not between ", least, " and ", kMost);
  return p;
}

int64_t conv_outsize(int64_t size, int64_t kernel, int64_t stride, int64_t pad, bool cover_all,
                     int64_t dilate) {
  const int64_t reach = kernel + (kernel - 1) * (dilate - 1);
  const int64_t free = size + 2 * pad - reach + (cover_all ? stride - 1 : 0);
  return free < 0 ? 0 : free / stride + 1;
}

int64_t deconv_outsize(int64_t size, int64_t kernel, int64_t stride, int64_t pad, int64_t dilate) {
  const int64_t reach = kernel + (kernel - 1) * (dilate - 1);
  return stride * (size - 1) + reach - 2 * pad;
}

void require_positive(const Pair& outsize) {
  if (outsize[0] <= 0) sdk::fail(CTN_ESHAPE, "Height in the output should be positive.");
  if (outsize[1] <= 0) sdk::fail(CTN_ESHAPE, "Width in the output should be positive.");
}

}  // namespace catena::functions
