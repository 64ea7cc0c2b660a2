// Kernels of batch normalization for images in blocks of channels. A block of channels is walked at
// one go where the second cache holds it, otherwise in pieces of images.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <intel64/add_kernels.h>
#include <intel64/blocks/images.h>
#include <intel64/kernels.h>

#include <algorithm>
#include <cmath>
#include <span>

namespace catena::intel64 {
namespace {

using sdk::Call;
using sdk::Run;
using sdk::Tensor;

constexpr int64_t kCached = 1 << 18;  // floats that stay in the second cache
constexpr int64_t kPiece = 1 << 16;

// How a block of channels is walked.
struct Walk {
  Planes planes;
  int64_t images;  // of a piece

  explicit Walk(const Tensor& x) : planes(x) {
    const int64_t plane = planes.floats();
    images =
        planes.images * plane <= kCached ? planes.images : std::max<int64_t>(1, kPiece / plane);
  }
  int64_t pieces() const { return (planes.images + images - 1) / images; }
  double count() const { return static_cast<double>(planes.images * planes.positions()); }
  // fn(offset of the plane) for the planes of a piece of a block.
  template <class Fn>
  void piece(int64_t block, int64_t k, Fn&& fn) const {
    const int64_t end = std::min(planes.images, (k + 1) * images);
    for (int64_t n = k * images; n < end; ++n) fn((n * planes.blocks + block) * planes.floats());
  }
};

// reduce(block, piece, Part&) for all pieces, finish(block, its parts), apply(block, piece).
template <class Part, class Reduce, class Finish, class Apply>
void by_block(const Run& run, const Walk& w, Reduce&& reduce, Finish&& finish, Apply&& apply) {
  const int64_t pieces = w.pieces(), blocks = w.planes.blocks;
  if (pieces == 1) {
    const int64_t grain = std::max<int64_t>(1, kPiece / (w.planes.images * w.planes.floats()));
    sdk::parallel_for(run, blocks, grain, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        Part part{};
        reduce(b, int64_t{0}, part);
        finish(b, std::span<const Part>(&part, 1));
        apply(b, int64_t{0});
      }
    });
    return;
  }
  Part* parts = run.scratch<Part>(blocks * pieces);
  sdk::parallel_for(run, blocks * pieces, 1, [&](int64_t k, int64_t) {
    parts[k] = Part{};
    reduce(k / pieces, k % pieces, parts[k]);
  });
  for (int64_t b = 0; b < blocks; ++b)
    finish(b, std::span<const Part>(parts + b * pieces, static_cast<size_t>(pieces)));
  sdk::parallel_for(run, blocks * pieces, 1,
                    [&](int64_t k, int64_t) { apply(k / pieces, k % pieces); });
}

// Merges b into a: as if seen one after the other.
void merge(BlockMoments& a, const BlockMoments& b) {
  const double n = a.count + b.count, share = b.count / n;
  for (int64_t c = 0; c < channel_block(); ++c) {
    const double d = b.mean[c] - a.mean[c];
    a.squares[c] += b.squares[c] + d * d * a.count * share;
    a.mean[c] += d * share;
  }
  a.count = n;
}

void batch_norm(const Run& run) {
  const Tensor x_in = run.in(0);
  const float *x = x_in.data<float>(), *gamma = run.in(1).data<float>();
  const float* beta = run.in(2).data<float>();
  float *y = run.out(0).data<float>(), *mean = run.out(1).data<float>();
  float* var = run.out(2).data<float>();
  const double eps = run.f(attr::batch_norm::eps);
  const BlockLoops& loops = block_loops();
  const Walk w(x_in);
  auto* affine = run.scratch<BlockAffine>(w.planes.blocks);
  by_block<BlockMoments>(
      run, w,
      [&](int64_t b, int64_t k, BlockMoments& part) {
        w.piece(b, k, [&](int64_t at) { loops.moments(&part, x + at, w.planes.positions()); });
      },
      [&](int64_t b, std::span<const BlockMoments> parts) {
        BlockMoments all = parts[0];
        for (const BlockMoments& part : parts.subspan(1)) merge(all, part);
        for (int64_t c = 0; c < loops.block; ++c) {
          const int64_t at = b * loops.block + c;
          const double v = all.squares[c] / all.count;
          mean[at] = static_cast<float>(all.mean[c]);
          var[at] = static_cast<float>(v);
          affine[b].mean[c] = mean[at];
          affine[b].scale[c] =
              static_cast<float>(static_cast<double>(gamma[at]) / std::sqrt(v + eps));
          affine[b].shift[c] = beta[at];
        }
      },
      [&](int64_t b, int64_t k) {
        w.piece(b, k, [&](int64_t at) {
          loops.affine(y + at, x + at, &affine[b], w.planes.positions());
        });
      });
}

void fixed_batch_norm(const Run& run) {
  namespace in = in::fixed_batch_normalization;
  const auto read = [&](int k) { return run.in(k).data<float>(); };
  const float *x = read(in::x), *gamma = read(in::gamma), *beta = read(in::beta);
  const float *mean = read(in::mean), *var = read(in::var);
  float* y = run.out(0).data<float>();
  const double eps = run.f(attr::fixed_batch_normalization::eps);
  const BlockLoops& loops = block_loops();
  const Planes planes(run.in(in::x));
  auto* affine = run.scratch<BlockAffine>(planes.blocks);
  for (int64_t k = 0; k < planes.blocks * loops.block; ++k) {
    BlockAffine& a = affine[k / loops.block];
    const int64_t c = k % loops.block;
    a.mean[c] = mean[k];
    a.scale[c] = static_cast<float>(static_cast<double>(gamma[k]) /
                                    std::sqrt(static_cast<double>(var[k]) + eps));
    a.shift[c] = beta[k];
  }
  const int64_t grain = std::max<int64_t>(1, kPiece / planes.floats());
  sdk::parallel_for(run, planes.count(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const int64_t at = k * planes.floats();
      loops.affine(y + at, x + at, &affine[k % planes.blocks], planes.positions());
    }
  });
}

void batch_norm_grad(const Run& run) {
  namespace in = in::batch_norm_grad;
  const Tensor x_in = run.in(in::x);
  const float *x = x_in.data<float>(), *gamma = run.in(in::gamma).data<float>();
  const float *mean = run.in(in::mean).data<float>(), *var = run.in(in::var).data<float>();
  const float* gy = run.in(in::gy).data<float>();
  float *gx = run.out(0).data<float>(), *ggamma = run.out(1).data<float>();
  float* gbeta = run.out(2).data<float>();
  const double eps = run.f(attr::batch_norm_grad::eps);
  const BlockLoops& loops = block_loops();
  const Walk w(x_in);
  auto* slopes = run.scratch<BlockSlope>(w.planes.blocks);
  by_block<BlockDots>(
      run, w,
      [&](int64_t b, int64_t k, BlockDots& part) {
        w.piece(b, k, [&](int64_t at) {
          loops.dots(&part, gy + at, x + at, mean + b * loops.block, w.planes.positions());
        });
      },
      [&](int64_t b, std::span<const BlockDots> parts) {
        for (int64_t c = 0; c < loops.block; ++c) {
          const int64_t at = b * loops.block + c;
          double sum = 0, dot = 0;
          for (const BlockDots& part : parts) {
            sum += part.sum[c];
            dot += part.dot[c];
          }
          const double s = 1.0 / std::sqrt(static_cast<double>(var[at]) + eps), m = w.count();
          gbeta[at] = static_cast<float>(sum);
          ggamma[at] = static_cast<float>(dot * s);
          slopes[b].mean[c] = mean[at];
          slopes[b].scale[c] = static_cast<float>(static_cast<double>(gamma[at]) * s);
          slopes[b].offset[c] = static_cast<float>(sum / m);
          slopes[b].slope[c] = static_cast<float>(dot * s * s / m);
        }
      },
      [&](int64_t b, int64_t k) {
        w.piece(b, k, [&](int64_t at) {
          loops.slope(gx + at, gy + at, x + at, &slopes[b], w.planes.positions());
        });
      });
}

// ---- which calls are taken

// Only arrays that are in blocks already: there is nothing to gain from putting them there.
const char* supports_norm(const Call& c) {
  const Tensor x = c.in(0), gamma = c.in(1);
  for (int k = 0; k < c.n_in(); ++k)
    if (c.in(k).dtype_index() != CTN_FLOAT32) return "dtype not supported";
  if (gamma.ndim() != 1 || !has_blocks(x)) return "no whole blocks of channels";
  for (int k = 0; k < c.n_in(); ++k)
    if (c.in(k).ndim() == 4 && in_blocks(c.in(k))) return nullptr;
  return "x is plain";
}

// Images in blocks, what belongs to channels as it is.
void plan_norm(const Call& c, ctn_plan& plan) {
  const uint64_t layout = image_layout(c.in(0).shape(1));
  for (int k = 0; k < c.n_in(); ++k) plan.in_layouts[k] = c.in(k).ndim() == 4 ? layout : kPlain;
  plan.out_layouts[0] = layout;
}

}  // namespace

ctn_status register_norm(const ctn_host* host, ctn_plugin plugin) {
  const auto row = [](std::string_view op, auto run) {
    return KernelRow{
        op, CTN_KERNEL_LAYOUT, sdk::supports<supports_norm>, sdk::plan<plan_norm>, run, nullptr};
  };
  return add_kernels(host, plugin,
                     {row("batch_norm", sdk::kernel<batch_norm>),
                      row("fixed_batch_normalization", sdk::kernel<fixed_batch_norm>),
                      row("batch_norm_grad", sdk::kernel<batch_norm_grad>)});
}

}  // namespace catena::intel64
