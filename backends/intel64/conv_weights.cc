// The gradient of filters where images are small: oneDNN walks them row by row, and rows of a few
// positions cost it most of its speed. Here the positions that meet in one element of a filter are
// listed once, and two blocks of filters at a time are summed up along the list, over as many
// images as the first cache holds. What such a piece gives is added to the sums of those before
// it: an element is a float sum over the pieces of float sums of about kCached terms each.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>
#include <catena/sdk/var.hpp>

#include <intel64/add_kernels.h>
#include <intel64/blocks/images.h>
#include <intel64/conv_plan.h>
#include <intel64/kernels.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

namespace catena::intel64 {
namespace {

using sdk::Call;
using sdk::Run;
using sdk::Tensor;

namespace attrs = attr::convolution_2d_weights;
constexpr ConvRole kRole{Direction::kWeights, attrs::stride, attrs::pad, attrs::dilate,
                         attrs::groups};

constexpr int64_t kMostPositions = 196;  // of y in one image; beyond, oneDNN is as fast
constexpr int64_t kMostTaps = 64;        // elements of a filter
constexpr int64_t kWinograd = 64;        // from here on its kernels are faster
constexpr int64_t kCached = 200;  // positions of two blocks of y and one of x, in the first cache

// What meets in one element of the filters: places in floats, in the first block of x and of y, of
// the images of a piece one after the other.
struct Tap {
  std::vector<int32_t> x, y;
};
struct Taps {
  int64_t images;  // of a piece
  std::vector<Tap> taps;
};

void list_taps(const Call& c, ctn_plan& plan, Taps& all) {
  const Tensor x = c.in(0), y = c.in(1), w = c.out(0);
  const Planes from(x), to(y);
  const auto stride = c.pair(attrs::stride), pad = c.pair(attrs::pad);
  const auto dilate = c.pair(attrs::dilate);
  const int64_t block = channel_block();
  all.images = std::min(from.images, std::max<int64_t>(1, kCached / to.positions()));
  const auto place = [&](const Planes& p, int64_t n, int64_t row, int64_t column) {
    return static_cast<int32_t>((n * p.blocks * p.positions() + row * p.width + column) * block);
  };
  for (int64_t k = 0; k < w.shape(2) * w.shape(3); ++k) {
    Tap& tap = all.taps.emplace_back();
    const int64_t top = k / w.shape(3) * dilate[0] - pad[0];
    const int64_t left = k % w.shape(3) * dilate[1] - pad[1];
    for (int64_t at = 0; at < all.images * to.positions(); ++at) {
      const int64_t n = at / to.positions(), oy = at / to.width % to.height, ox = at % to.width;
      const int64_t iy = oy * stride[0] + top, ix = ox * stride[1] + left;
      if (iy < 0 || iy >= from.height || ix < 0 || ix >= from.width) continue;
      tap.x.push_back(place(from, n, iy, ix));
      tap.y.push_back(place(to, n, oy, ox));
    }
  }
  for (const Tap& tap : all.taps)
    plan.state_bytes += sizeof tap + (tap.x.capacity() + tap.y.capacity()) * sizeof(int32_t);
  plan.in_layouts[0] = image_layout(x.shape(1));
  plan.in_layouts[1] = image_layout(y.shape(1));
  plan.out_layouts[0] = filter_layout();
}

// The sums of two blocks of filters (or of the last one).
void sum_filters(const Run& run, const Taps& all, int64_t first, int64_t second) {
  const Planes x(run.in(0)), y(run.in(1));
  const BlockLoops& loops = block_loops();
  const int64_t tile = loops.block * loops.block, taps = static_cast<int64_t>(all.taps.size());
  float unused[kMostChannels * kMostChannels] = {};
  for (int64_t n = 0; n < x.images; n += all.images) {
    const int64_t images = std::min(all.images, x.images - n);
    const float* from = run.in(0).data<float>() + n * x.blocks * x.floats();
    const float* to = run.in(1).data<float>() + n * y.blocks * y.floats();
    for (int64_t i = 0; i < x.blocks; ++i) {
      for (int64_t t = 0; t < taps; ++t) {
        const Tap& tap = all.taps[static_cast<size_t>(t)];
        float* w = run.out(0).data<float>() + (i * taps + t) * tile;
        float* w0 = w + first * x.blocks * taps * tile;
        float* w1 = second == first ? unused : w + second * x.blocks * taps * tile;
        const auto listed = static_cast<int64_t>(tap.x.size()) / all.images * images;
        loops.products(w0, w1, n == 0, from + i * x.floats(), to + first * y.floats(),
                       to + second * y.floats(), tap.x.data(), tap.y.data(), listed);
      }
    }
  }
}

void weights(const Run& run) {
  const Taps& all = run.state<Taps>();
  sdk::parallel_for(run, Planes(run.in(1)).blocks, 2,
                    [&](int64_t begin, int64_t end) { sum_filters(run, all, begin, end - 1); });
}

const char* supports_weights(const Call& c) {
  const Tensor x = c.in(0), y = c.in(1), w = c.out(0);
  if (x.dtype_index() != CTN_FLOAT32 || y.dtype_index() != CTN_FLOAT32)
    return "dtype not supported";
  if (c.i(attrs::groups) != 1) return "groups";
  if (!has_blocks(x) || !has_blocks(y)) return "no whole blocks of channels";
  if (x.size() > std::numeric_limits<int32_t>::max() ||
      y.size() > std::numeric_limits<int32_t>::max())
    return "more than 2^31 elements";
  if (w.shape(2) > kMostTaps || w.shape(3) > kMostTaps || w.shape(2) * w.shape(3) > kMostTaps)
    return "large filters";
  const Planes to(y);
  if (to.height > kMostPositions || to.width > kMostPositions || to.positions() > kMostPositions)
    return "large images";
  if (to.images * to.positions() < 64) return "too few positions";
  // oneDNN is faster on one thread, and cuts a single image or many for the others.
  if (w.shape(2) * w.shape(3) == 1 &&
      (to.images == 1 || to.images * to.positions() >= kPositionsOfFloat))
    return "filters of one element";
  if (sdk::config(c.context(), "autotune") && to.positions() >= kWinograd) {
    const ConvSides s(c, kRole.direction);
    if (suits_winograd(ConvGeometry(c, kRole, s))) return "autotune times other kernels";
  }
  return nullptr;
}

}  // namespace

ctn_status register_conv_weights(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"convolution_2d_weights", CTN_KERNEL_LAYOUT, sdk::supports<supports_weights>,
                       sdk::plan<list_taps, Taps>, sdk::kernel<weights>, sdk::drop<Taps>, 1}});
}

}  // namespace catena::intel64
