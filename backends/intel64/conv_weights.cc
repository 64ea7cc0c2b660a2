// The gradient of filters of several elements, and of all where images are small: oneDNN walks them
// row by row, and rows of a few positions cost it most of its speed. Here the positions that meet
// in one element of a filter are listed once, and two blocks of filters at a time are summed up
// along the list, over a piece that the first cache holds: images, or a part of one. What a
// piece gives is added to the sums of those before it: an element is a float sum over the pieces of
// float sums of about kCached terms each, whatever its threads.
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

constexpr int64_t kMostTaps = 64;         // elements of a filter
constexpr int64_t kMostListed = 1 << 16;  // positions of an image times elements of a filter
constexpr int64_t kLeastTiles = 32;       // to be shared among threads
constexpr int64_t kTimed = 64;            // positions from which `autotune` tries other kernels
constexpr int64_t kCached = 200;  // positions of two blocks of y and one of x, in the first cache

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// What meets in one element of the filters: places in floats, in the first block of x and of y of
// the images of a piece, one after the other.
struct Tap {
  std::vector<int32_t> x, y;
};
using Piece = std::vector<Tap>;  // for each element of a filter
struct Pieces {
  int64_t images;             // in one piece; 1 where it is a part of one
  std::vector<Piece> pieces;  // of so many images
};

// Positions [begin, end) of y, those of an image after those of the one before.
Piece list_taps(const Call& c, int64_t begin, int64_t end) {
  const Tensor w = c.out(0);
  const Planes from(c.in(0)), to(c.in(1));
  const auto stride = c.pair(attrs::stride), pad = c.pair(attrs::pad);
  const auto dilate = c.pair(attrs::dilate);
  const int64_t block = channel_block();
  const auto place = [&](const Planes& p, int64_t n, int64_t row, int64_t column) {
    return static_cast<int32_t>((n * p.blocks * p.positions() + row * p.width + column) * block);
  };
  Piece piece(static_cast<size_t>(w.shape(2) * w.shape(3)));
  for (int64_t k = 0; k < w.shape(2) * w.shape(3); ++k) {
    Tap& tap = piece[static_cast<size_t>(k)];
    tap.x.reserve(static_cast<size_t>(end - begin));
    tap.y.reserve(static_cast<size_t>(end - begin));
    const int64_t top = k / w.shape(3) * dilate[0] - pad[0];
    const int64_t left = k % w.shape(3) * dilate[1] - pad[1];
    for (int64_t at = begin; at < end; ++at) {
      const int64_t n = at / to.positions(), oy = at / to.width % to.height, ox = at % to.width;
      const int64_t iy = oy * stride[0] + top, ix = ox * stride[1] + left;
      if (iy < 0 || iy >= from.height || ix < 0 || ix >= from.width) continue;
      tap.x.push_back(place(from, n, iy, ix));
      tap.y.push_back(place(to, n, oy, ox));
    }
  }
  return piece;
}

void list_pieces(const Call& c, ctn_plan& plan, Pieces& all) {
  const Tensor x = c.in(0), y = c.in(1);
  const Planes to(y);
  all.images = std::clamp<int64_t>(kCached / to.positions(), 1, to.images);
  const int64_t positions = all.images * to.positions(), count = divide_up(positions, kCached);
  for (int64_t k = 0; k < count; ++k)
    all.pieces.push_back(list_taps(c, k * positions / count, (k + 1) * positions / count));
  for (const Piece& piece : all.pieces)
    for (const Tap& tap : piece)
      plan.state_bytes += sizeof tap + (tap.x.capacity() + tap.y.capacity()) * sizeof(int32_t);
  plan.in_layouts[0] = image_layout(x.shape(1));
  plan.in_layouts[1] = image_layout(y.shape(1));
  plan.out_layouts[0] = filter_layout();
}

// Some tiles of W, one for each block of channels and element of a filter, in two blocks of filters
// or (the second is the first) in one.
struct Part {
  int64_t first, second, begin, end;
};

void sum_tiles(const Run& run, const Pieces& all, const Part& part) {
  const Planes x(run.in(0)), y(run.in(1));
  const BlockLoops& loops = block_loops();
  const auto taps = static_cast<int64_t>(all.pieces[0].size());
  const int64_t tile = loops.block * loops.block;
  float* const w0 = run.out(0).data<float>() + part.first * x.blocks * taps * tile;
  float* const w1 = run.out(0).data<float>() + part.second * x.blocks * taps * tile;
  for (int64_t n = 0; n < x.images; n += all.images) {
    const int64_t images = std::min(all.images, x.images - n);
    const float* from = run.in(0).data<float>() + n * x.blocks * x.floats();
    const float* to = run.in(1).data<float>() + n * y.blocks * y.floats();
    for (const Piece& piece : all.pieces) {
      const bool start = n == 0 && &piece == &all.pieces[0];
      for (int64_t k = part.begin; k < part.end; ++k) {
        const Tap& tap = piece[static_cast<size_t>(k % taps)];
        const auto listed = static_cast<int64_t>(tap.x.size()) / all.images * images;
        if (listed == 0 && !start) continue;
        loops.products(w0 + k * tile, w1 + k * tile, start, from + k / taps * x.floats(),
                       to + part.first * y.floats(), to + part.second * y.floats(), tap.x.data(),
                       tap.y.data(), listed);
      }
    }
  }
}

// Every element of W is summed in the same order, whatever part it is in: parts follow the threads.
void weights(const Run& run) {
  constexpr int64_t kPartsOfThread = 2;  // a thread may be late
  const Pieces& all = run.state<Pieces>();
  const int64_t filters = Planes(run.in(1)).blocks, pairs = divide_up(filters, 2);
  const int64_t tiles = Planes(run.in(0)).blocks * static_cast<int64_t>(all.pieces[0].size());
  const int64_t threads = run.threads();
  const int64_t cuts =
      threads == 1 ? 1 : std::min(tiles, divide_up(threads * kPartsOfThread, pairs));
  sdk::parallel_for(run, pairs * cuts, 1, [&](int64_t k, int64_t) {
    const int64_t first = k / cuts * 2, cut = k % cuts;
    sum_tiles(
        run, all,
        {first, std::min(first + 1, filters - 1), cut * tiles / cuts, (cut + 1) * tiles / cuts});
  });
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
  const int64_t taps = w.shape(2) * w.shape(3);
  if (to.positions() * taps > kMostListed) return "large images";
  // oneDNN's parts are of images too.
  if (to.positions() > kCached && Planes(x).blocks * taps * divide_up(to.blocks, 2) < kLeastTiles)
    return "large images, too few filters for many threads";
  if (to.images * to.positions() < 64) return "too few positions";
  // oneDNN is faster on one thread, and cuts a single image or many for the others.
  if (taps == 1 && (to.images == 1 || to.images * to.positions() >= kPositionsOfFloat))
    return "filters of one element";
  if (taps != 9) return nullptr;
  const ConvSides s(c, kRole.direction);
  const ConvGeometry g(c, kRole, s);
  if (ConvPlan::takes_winograd(c, kRole, s, g)) return "Winograd's kernels are faster";
  if (sdk::config(c.context(), "autotune") && to.positions() >= kTimed && may_use_winograd(c, g))
    return "autotune times other kernels";
  return nullptr;
}

}  // namespace

ctn_status register_conv_weights(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(
      host, plugin,
      {{"convolution_2d_weights", CTN_KERNEL_LAYOUT, sdk::supports<supports_weights>,
        sdk::plan<list_pieces, Pieces>, sdk::kernel<weights>, sdk::drop<Pieces>, 1}});
}

}  // namespace catena::intel64
