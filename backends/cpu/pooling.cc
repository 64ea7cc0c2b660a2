// Kernels of pooling in two dimensions. Windows are walked row by row; planes are shared among the
// threads, so that what overlapping windows add to one element is added in a fixed order.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <cpu/add_kernels.h>
#include <cpu/blas/pool.h>
#include <cpu/isa.h>
#include <cpu/kernels.h>
#include <cpu/widen.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace catena::cpu {
namespace {

using sdk::Run;
using sdk::Tensor;

constexpr int64_t kGrain = 1 << 15;  // elements of a range of planes

template <class T>
const PoolRows<T>& rows();
template <>
const PoolRows<float>& rows() {
  switch (isa()) {
    case Isa::kAvx512: return avx512::kPoolFloat;
    case Isa::kAvx2: return avx2::kPoolFloat;
    default: return sse2::kPoolFloat;
  }
}
template <>
const PoolRows<double>& rows() {
  switch (isa()) {
    case Isa::kAvx512: return avx512::kPoolDouble;
    case Isa::kAvx2: return avx2::kPoolDouble;
    default: return sse2::kPoolDouble;
  }
}

struct Keys {
  int ksize, stride, pad;
};

// `large` is the side that windows read, `small` has one element for each window.
struct Windows {
  int64_t planes, height, width, out_h, out_w;
  int64_t kh, kw, sy, sx, py, px;

  Windows(const Run& run, const Tensor& large, const Tensor& small, const Keys& keys)
      : planes(large.shape(0) * large.shape(1)),
        height(large.shape(2)),
        width(large.shape(3)),
        out_h(small.shape(2)),
        out_w(small.shape(3)) {
    const auto k = run.pair(keys.ksize), p = run.pair(keys.pad);
    const auto s = run.is_none(keys.stride) ? k : run.pair(keys.stride);
    kh = k[0], kw = k[1], sy = s[0], sx = s[1], py = p[0], px = p[1];
  }

  int64_t large() const { return height * width; }
  int64_t small() const { return out_h * out_w; }
  int64_t grain() const { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, large())); }

  // fn(position in the window, row of the large side, its first column, windows [low, high)) for
  // every element of the windows in row oy that is not padding.
  template <class Fn>
  void row(int64_t oy, Fn&& fn) const {
    const int64_t top = oy * sy - py, left = (out_w - 1) * sx - px;  // of the last window
    const int64_t end_y = std::min(kh, height - top), end_x = std::min(kw, width + px);
    for (int64_t ky = std::max<int64_t>(0, -top); ky < end_y; ++ky) {
      const int64_t y = top + ky;
      for (int64_t kx = std::max<int64_t>(0, -left); kx < end_x; ++kx) {
        const int64_t x = kx - px;  // of window 0
        if (sx > width) {           // most columns of wide windows meet no element
          const int64_t past = (x % sx + sx) % sx;
          if (past >= width) {
            kx += sx - past - 1;
            continue;
          }
        }
        const int64_t low = x >= 0 ? 0 : std::min(out_w, (-x + sx - 1) / sx);
        const int64_t high = x >= width ? 0 : std::min(out_w, (width - 1 - x) / sx + 1);
        if (low < high) fn(ky * kw + kx, y, x + low * sx, low, high);
      }
    }
  }
};

// fn(plane) for all planes, in parallel.
template <class Fn>
void for_planes(const Run& run, const Windows& w, Fn&& fn) {
  sdk::parallel_for(run, w.planes, w.grain(), [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) fn(plane);
  });
}

template <class C>
void max_plane(const Windows& w, const PoolRows<C>& r, const C* x, C* y, int32_t* index) {
  const bool pairs = w.kh == 2 && w.kw == 2 && w.sy == 2 && w.sx == 2 && w.py == 0 && w.px == 0;
  for (int64_t oy = 0; oy < w.out_h; ++oy, y += w.out_w, index += w.out_w) {
    int64_t done = 0;
    if (pairs && 2 * oy + 1 < w.height) {
      done = std::min(w.out_w, w.width / 2);
      r.max_2x2(y, index, x + 2 * oy * w.width, x + (2 * oy + 1) * w.width, done);
      if (done == w.out_w) continue;
    }
    std::fill(y + done, y + w.out_w, -std::numeric_limits<C>::infinity());
    std::fill(index + done, index + w.out_w, 0);
    w.row(oy, [&](int64_t position, int64_t row, int64_t column, int64_t low, int64_t high) {
      const int64_t first = std::max(low, done);
      if (first >= high) return;
      r.max(y + first, index + first, x + row * w.width + column + (first - low) * w.sx,
            high - first, w.sx, static_cast<int32_t>(position));
    });
  }
}

void max_pooling(const Run& run) {
  namespace a = attr::max_pooling_2d_indexed;
  const Windows w(run, run.in(0), run.out(0), {a::ksize, a::stride, a::pad});
  int32_t* index = run.out(1).data<int32_t>();
  with_compute_type(run, [&]<class C>() {
    const C* x = widened<C>(run, run.in(0));
    const Widened<C> y(run, 0);
    const PoolRows<C>& r = rows<C>();
    for_planes(run, w, [&](int64_t plane) {
      max_plane(w, r, x + plane * w.large(), y.data() + plane * w.small(),
                index + plane * w.small());
    });
    y.store();
  });
}

// fn(element of the small side, element of the large side) for the elements that `index` names in a
// plane; those in the padding are left out.
template <class Fn>
void for_indexes(const Windows& w, const int32_t* index, Fn&& fn) {
  for (int64_t oy = 0; oy < w.out_h; ++oy) {
    for (int64_t ox = 0; ox < w.out_w; ++ox) {
      const int64_t at = oy * w.out_w + ox, position = index[at];
      if (position < 0 || position >= w.kh * w.kw)
        sdk::fail(CTN_EINVAL, "index ", position, " is not within a window of ", w.kh, " x ", w.kw);
      const int64_t y = oy * w.sy - w.py + position / w.kw;
      const int64_t x = ox * w.sx - w.px + position % w.kw;
      if (y >= 0 && y < w.height && x >= 0 && x < w.width) fn(at, y * w.width + x);
    }
  }
}

void scatter(const Run& run) {
  namespace a = attr::pooling_scatter_2d;
  const Windows w(run, run.out(0), run.in(0), {a::ksize, a::stride, a::pad});
  const int32_t* index = run.in(1).data<const int32_t>();
  with_compute_type(run, [&]<class C>() {
    const C* x = widened<C>(run, run.in(0));
    const Widened<C> y(run, 0);
    for_planes(run, w, [&](int64_t plane) {
      const C* from = x + plane * w.small();
      C* to = y.data() + plane * w.large();
      std::fill_n(to, w.large(), C{0});
      for_indexes(w, index + plane * w.small(), [&](int64_t i, int64_t j) { to[j] += from[i]; });
    });
    y.store();
  });
}

void gather(const Run& run) {
  namespace a = attr::pooling_gather_2d;
  const Windows w(run, run.in(0), run.out(0), {a::ksize, a::stride, a::pad});
  const int32_t* index = run.in(1).data<const int32_t>();
  with_compute_type(run, [&]<class C>() {
    const C* x = widened<C>(run, run.in(0));
    const Widened<C> y(run, 0);
    for_planes(run, w, [&](int64_t plane) {
      const C* from = x + plane * w.large();
      C* to = y.data() + plane * w.small();
      std::fill_n(to, w.small(), C{0});
      for_indexes(w, index + plane * w.small(), [&](int64_t i, int64_t j) { to[i] = from[j]; });
    });
    y.store();
  });
}

void average_pooling(const Run& run) {
  namespace a = attr::average_pooling_2d;
  const Windows w(run, run.in(0), run.out(0), {a::ksize, a::stride, a::pad});
  with_compute_type(run, [&]<class C>() {
    const C* x = widened<C>(run, run.in(0));
    const Widened<C> y(run, 0);
    const PoolRows<C>& r = rows<C>();
    const C count = static_cast<C>(w.kh * w.kw);
    for_planes(run, w, [&](int64_t plane) {
      const C* from = x + plane * w.large();
      C* to = y.data() + plane * w.small();
      std::fill_n(to, w.small(), C{0});
      for (int64_t oy = 0; oy < w.out_h; ++oy, to += w.out_w) {
        w.row(oy, [&](int64_t, int64_t row, int64_t column, int64_t low, int64_t high) {
          r.sum(to + low, from + row * w.width + column, high - low, w.sx);
        });
        for (int64_t i = 0; i < w.out_w; ++i) to[i] /= count;
      }
    });
    y.store();
  });
}

void average_gradient(const Run& run) {
  namespace a = attr::average_pooling_2d_grad;
  const Windows w(run, run.out(0), run.in(0), {a::ksize, a::stride, a::pad});
  with_compute_type(run, [&]<class C>() {
    const C* gy = widened<C>(run, run.in(0));
    const Widened<C> gx(run, 0);
    const PoolRows<C>& r = rows<C>();
    const C count = static_cast<C>(w.kh * w.kw);
    // quotients once, not once for each element of a window
    C* shares = run.scratch<C>(w.planes * w.small());
    for_planes(run, w, [&](int64_t plane) {
      const C* from = gy + plane * w.small();
      C* share = shares + plane * w.small();
      for (int64_t i = 0; i < w.small(); ++i) share[i] = from[i] / count;
      C* to = gx.data() + plane * w.large();
      std::fill_n(to, w.large(), C{0});
      for (int64_t oy = 0; oy < w.out_h; ++oy, share += w.out_w) {
        w.row(oy, [&](int64_t, int64_t row, int64_t column, int64_t low, int64_t high) {
          r.spread(to + row * w.width + column, w.sx, share + low, high - low);
        });
      }
    });
    gx.store();
  });
}

}  // namespace

ctn_status register_pooling(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"max_pooling_2d_indexed", 0, sdk::kernel<max_pooling>},
                      {"pooling_scatter_2d", 0, sdk::kernel<scatter>},
                      {"pooling_gather_2d", 0, sdk::kernel<gather>},
                      {"average_pooling_2d", 0, sdk::kernel<average_pooling>},
                      {"average_pooling_2d_grad", 0, sdk::kernel<average_gradient>}});
}

}  // namespace catena::cpu
