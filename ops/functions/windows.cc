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
  if (kernel > kMost) sdk::fail(CTN_EINVAL, "a window of ", kernel, " elements is too large");
  const int64_t reach = kernel + (kernel - 1) * (dilate - 1);
  const int64_t free = size + 2 * pad - reach + (cover_all ? stride - 1 : 0);
  return free < 0 ? 0 : free / stride + 1;
}

int64_t deconv_outsize(int64_t size, int64_t kernel, int64_t stride, int64_t pad, int64_t dilate) {
  if (kernel > kMost) sdk::fail(CTN_EINVAL, "a window of ", kernel, " elements is too large");
  const int64_t reach = kernel + (kernel - 1) * (dilate - 1);
  int64_t all = 0;
  if (__builtin_mul_overflow(stride, size - 1, &all) || __builtin_add_overflow(all, reach, &all))
    sdk::fail(CTN_EINVAL, size, " positions of a window in steps of ", stride, " are too many");
  return all - 2 * pad;
}

void require_positive(const Pair& outsize) {
  if (outsize[0] <= 0) sdk::fail(CTN_ESHAPE, "Height in the output should be positive.");
  if (outsize[1] <= 0) sdk::fail(CTN_ESHAPE, "Width in the output should be positive.");
}

void require_plane(const sdk::Tensor& x) {
  for (const int64_t size : x.shape().subspan(2))
    if (size > kMost) sdk::fail(CTN_EINVAL, "images of shape ", x.shape(), " are too large");
}

void require_reach(const Pair& kernel, const Pair& positions, const Pair& stride, const Pair& pad,
                   const Pair& dilate) {
  for (size_t k = 0; k < 2; ++k) {
    if (kernel[k] < 1) sdk::fail(CTN_ESHAPE, "a window of ", kernel[0], " x ", kernel[1]);
    if (kernel[k] > kMost || positions[k] > kMost || pad[k] > kMost ||
        times(kernel[k], dilate[k]) > kMost || times(positions[k], stride[k]) > 4 * kMost)
      sdk::fail(CTN_EINVAL, "windows of ", kernel[k], " elements ", dilate[k], " apart at ",
                positions[k], " positions in steps of ", stride[k], " from ", -pad[k],
                " on reach too far");
  }
}

}  // namespace catena::functions
