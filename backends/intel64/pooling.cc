// Kernels of pooling for images in blocks of channels. Planes are shared among the threads, so that
// what overlapping windows add to one element is added in a fixed order.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <intel64/add_kernels.h>
#include <intel64/blocks/images.h>
#include <intel64/kernels.h>

#include <algorithm>
#include <limits>

namespace catena::intel64 {
namespace {

using sdk::Call;
using sdk::Run;
using sdk::Tensor;

struct Keys {
  int ksize, stride, pad;
};
constexpr Keys kMax{attr::max_pooling_2d_indexed::ksize, attr::max_pooling_2d_indexed::stride,
                    attr::max_pooling_2d_indexed::pad};
constexpr Keys kScatter{attr::pooling_scatter_2d::ksize, attr::pooling_scatter_2d::stride,
                        attr::pooling_scatter_2d::pad};
constexpr Keys kAverage{attr::average_pooling_2d::ksize, attr::average_pooling_2d::stride,
                        attr::average_pooling_2d::pad};
constexpr Keys kAverageGrad{attr::average_pooling_2d_grad::ksize,
                            attr::average_pooling_2d_grad::stride,
                            attr::average_pooling_2d_grad::pad};

// `large` is the side that windows read, `small` has one position for each window.
struct Windows {
  Planes large, small;
  int64_t kh, kw, sy, sx, py, px;

  Windows(const Call& c, const Tensor& l, const Tensor& s, const Keys& keys) : large(l), small(s) {
    const auto k = c.pair(keys.ksize), p = c.pair(keys.pad);
    const auto step = c.is_none(keys.stride) ? k : c.pair(keys.stride);
    kh = k[0], kw = k[1], sy = step[0], sx = step[1], py = p[0], px = p[1];
  }

  // fn(place in the window, first position of `small`, first of `large`, how many) for all windows
  // of a plane, row by row, without what is padding.
  template <class Fn>
  void each(Fn&& fn) const {
    for (int64_t oy = 0; oy < small.height; ++oy) row(oy, fn);
  }
  template <class Fn>
  void row(int64_t oy, Fn&& fn) const {
    for (int64_t ky = 0; ky < kh; ++ky) {
      const int64_t y = oy * sy - py + ky;
      if (y < 0 || y >= large.height) continue;
      for (int64_t kx = 0; kx < kw; ++kx) {
        const int64_t x = kx - px;  // of window 0
        const int64_t low = x >= 0 ? 0 : (-x + sx - 1) / sx;
        const int64_t high = x >= large.width ? 0 : (large.width - 1 - x) / sx + 1;
        const int64_t n = std::min(high, small.width) - low;
        if (n > 0)
          fn(static_cast<int32_t>(ky * kw + kx), oy * small.width + low,
             y * large.width + x + low * sx, n);
      }
    }
  }
};

// fn(offset in the large array, offset in the small one) for all planes, in parallel.
template <class Fn>
void for_planes(const Run& run, const Windows& w, Fn&& fn) {
  const int64_t grain = std::max<int64_t>(1, (1 << 15) / w.large.floats());
  sdk::parallel_for(run, w.large.count(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) fn(k * w.large.floats(), k * w.small.floats());
  });
}

void max_pooling(const Run& run) {
  const Windows w(run, run.in(0), run.out(0), kMax);
  const BlockLoops& loops = block_loops();
  const float* x = run.in(0).data<float>();
  float* y = run.out(0).data<float>();
  int32_t* index = run.out(1).data<int32_t>();
  const int64_t b = loops.block, floats = w.small.width * b;
  for_planes(run, w, [&](int64_t from, int64_t to) {
    for (int64_t oy = 0; oy < w.small.height; ++oy) {
      std::fill_n(y + to + oy * floats, floats, -std::numeric_limits<float>::infinity());
      std::fill_n(index + to + oy * floats, floats, 0);
      w.row(oy, [&](int32_t place, int64_t s, int64_t l, int64_t n) {
        loops.max(y + to + s * b, index + to + s * b, x + from + l * b, n, w.sx, place);
      });
    }
  });
}

void scatter(const Run& run) {
  const Windows w(run, run.out(0), run.in(0), kScatter);
  const BlockLoops& loops = block_loops();
  const float* x = run.in(0).data<float>();
  const int32_t* index = run.in(1).data<int32_t>();
  float* y = run.out(0).data<float>();
  const int64_t b = loops.block;
  const auto places = static_cast<int32_t>(w.kh * w.kw);
  for_planes(run, w, [&](int64_t to, int64_t from) {
    if (!loops.within(index + from, w.small.positions(), places))
      sdk::fail(CTN_EINVAL, "an index is not within a window of ", w.kh, " x ", w.kw);
    std::fill_n(y + to, w.large.floats(), 0.0f);
    w.each([&](int32_t place, int64_t s, int64_t l, int64_t n) {
      const int64_t at = from + s * b;
      loops.spread_at(y + to + l * b, x + at, index + at, n, w.sx, place);
    });
  });
}

void average(const Run& run) {
  const Windows w(run, run.in(0), run.out(0), kAverage);
  const BlockLoops& loops = block_loops();
  const float* x = run.in(0).data<float>();
  float* y = run.out(0).data<float>();
  const int64_t b = loops.block;
  const float share = 1.0f / static_cast<float>(w.kh * w.kw);
  for_planes(run, w, [&](int64_t from, int64_t to) {
    std::fill_n(y + to, w.small.floats(), 0.0f);
    w.each([&](int32_t, int64_t s, int64_t l, int64_t n) {
      loops.sum(y + to + s * b, x + from + l * b, n, w.sx);
    });
    loops.scale(y + to, share, w.small.positions());
  });
}

void average_grad(const Run& run) {
  const Windows w(run, run.out(0), run.in(0), kAverageGrad);
  const BlockLoops& loops = block_loops();
  const float* gy = run.in(0).data<float>();
  float* gx = run.out(0).data<float>();
  const int64_t b = loops.block;
  const float share = 1.0f / static_cast<float>(w.kh * w.kw);
  for_planes(run, w, [&](int64_t to, int64_t from) {
    std::fill_n(gx + to, w.large.floats(), 0.0f);
    w.each([&](int32_t, int64_t s, int64_t l, int64_t n) {
      loops.spread(gx + to + l * b, gy + from + s * b, n, w.sx);
    });
    loops.scale(gx + to, share, w.large.positions());
  });
}

// ---- which calls are taken

constexpr int64_t kMostPlaces = 1024;  // of a window; larger ones are walked otherwise

template <const Keys& keys, bool gradient>
const char* supports_pooling(const Call& c) {
  const Tensor x = c.in(0);
  if (x.dtype_index() != CTN_FLOAT32) return "dtype not supported";
  if (!has_blocks(x) || c.out(0).size() == 0) return "no whole blocks of channels";
  const auto k = c.pair(keys.ksize);
  if (k[0] > kMostPlaces || k[1] > kMostPlaces || k[0] * k[1] > kMostPlaces) return "large windows";
  // Of one position: as good as in blocks.
  const bool point = gradient && x.shape(2) * x.shape(3) == 1;
  const bool places = c.n_in() > 1 && in_blocks(c.in(1));
  return in_blocks(x) || places || point ? nullptr : "x is plain";
}

void plan_pooling(const Call& c, ctn_plan& plan) {
  for (int k = 0; k < c.n_in(); ++k) plan.in_layouts[k] = out_layout(c.in(k));
  for (int k = 0; k < c.n_out(); ++k) plan.out_layouts[k] = out_layout(c.out(k));
}

}  // namespace

ctn_status register_pooling(const ctn_host* host, ctn_plugin plugin) {
  const auto row = [](std::string_view op, auto supports, auto run) {
    return KernelRow{op, CTN_KERNEL_LAYOUT, supports, sdk::plan<plan_pooling>, run, nullptr};
  };
  return add_kernels(
      host, plugin,
      {row("max_pooling_2d_indexed", sdk::supports<supports_pooling<kMax, false>>,
           sdk::kernel<max_pooling>),
       row("pooling_scatter_2d", sdk::supports<supports_pooling<kScatter, true>>,
           sdk::kernel<scatter>),
       row("average_pooling_2d", sdk::supports<supports_pooling<kAverage, false>>,
           sdk::kernel<average>),
       row("average_pooling_2d_grad", sdk::supports<supports_pooling<kAverageGrad, true>>,
           sdk::kernel<average_grad>)});
}

}  // namespace catena::intel64
