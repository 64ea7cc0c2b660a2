// CUDA C of pooling in two dimensions (pooling.cc, pooling_last.cc), one thread for each element or
// pack of channels that is written: what several windows give to one element is added in the order
// of the windows.
#include <cuda/pooling.h>

namespace catena::cuda {

const char* const kPoolingWindowsText = R"(
struct Pool {
  i64 planes, height, width, out_h, out_w;
  i64 kh, kw, sy, sx, py, px;
  const void* from;
  void* to;
  i32* index;  // position in the window; read by scatter and gather
  i64 fault_kind;
  i64* fault;  // kind, the position, kh, kw: host memory
  Divisor rows, columns, down, across;  // of the side that is written; of strides
  Divisor packs;                        // of channels that lie innermost
};
// Windows along one axis that element i lies in.
template <class N> struct Span { N first, last; };
template <class N> __device__ inline Span<N> windows_of(N i, i64 k, const Divisor& s, i64 pad,
                                                          i64 count) {
  const N place = i + (N)pad, size = (N)k;
  Span<N> w;
  w.first = place < size ? (N)0 : divided(place - size, s) + 1;
  w.last = divided(place, s);
  if (w.last >= (N)count) w.last = (N)count - 1;
  return w;
}
// Elements along one axis that are in window i and no padding: [first, last).
template <class N> __device__ inline Span<N> elements_of(N i, i64 k, i64 s, i64 pad, i64 size) {
  const N start = i * (N)s - (N)pad, end = start + (N)k;
  Span<N> e;
  e.first = start < 0 ? (N)0 : start;
  e.last = end < (N)size ? end : (N)size;
  return e;
}

// A position that is in no window is reported and names no element.
__device__ inline bool is_bad(const Pool& p, i32 position) {
  if (position >= 0 && position < p.kh * p.kw) return false;
  p.fault[1] = position;
  p.fault[2] = p.kh;
  p.fault[3] = p.kw;
  p.fault[0] = p.fault_kind;
  return true;
}
)";

namespace {

constexpr const char* kText = R"(
template <class N> struct At { N plane, y, x; };
template <class N> __device__ inline At<N> at_of(const Pool& p, N i) {
  At<N> a;
  const N row = divided(i, p.columns);
  a.x = i - row * (N)p.columns.by;
  a.plane = divided(row, p.rows);
  a.y = row - a.plane * (N)p.rows.by;
  return a;
}

template <class S, class N> __device__ inline void max_pool(const Pool& p) {
  typedef Wide<S> C;
  const N size = (N)(p.planes * p.out_h * p.out_w), step = (N)gridDim.x * kThreads;
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < size; i += step) {
    const At<N> a = at_of(p, i);
    const Span<N> rows = elements_of(a.y, p.kh, p.sy, p.py, p.height);
    const Span<N> columns = elements_of(a.x, p.kw, p.sx, p.px, p.width);
    const S* x = (const S*)p.from + a.plane * (N)(p.height * p.width);
    C best = -(C)inf32();
    N found = 0;
    for (N y = rows.first; y < rows.last; ++y) {
      for (N c = columns.first; c < columns.last; ++c) {
        const C v = load(x + y * (N)p.width + c);
        if (!(v > best || (v != v && best == best))) continue;
        best = v;
        found = (y - a.y * (N)p.sy + (N)p.py) * (N)p.kw + (c - a.x * (N)p.sx + (N)p.px);
      }
    }
    store((S*)p.to + i, best);
    p.index[i] = (i32)found;
  }
}

template <class S, class N> __device__ inline void pool_scatter(const Pool& p) {
  typedef Wide<S> C;
  const N size = (N)(p.planes * p.height * p.width), step = (N)gridDim.x * kThreads;
  const N small = (N)(p.out_h * p.out_w), start = (N)blockIdx.x * kThreads + (N)threadIdx.x;
  for (N i = start; i < (N)p.planes * small; i += step) is_bad(p, p.index[i]);
  for (N i = start; i < size; i += step) {
    const At<N> a = at_of(p, i);
    const Span<N> rows = windows_of(a.y, p.kh, p.down, p.py, p.out_h);
    const Span<N> columns = windows_of(a.x, p.kw, p.across, p.px, p.out_w);
    const S* x = (const S*)p.from + a.plane * small;
    const i32* index = p.index + a.plane * small;
    C sum = 0;
    for (N oy = rows.first; oy <= rows.last; ++oy) {
      for (N ox = columns.first; ox <= columns.last; ++ox) {
        const N position = (a.y + (N)p.py - oy * (N)p.sy) * (N)p.kw + a.x + (N)p.px - ox * (N)p.sx;
        const N k = oy * (N)p.out_w + ox;
        if ((N)index[k] == position) sum += load(x + k);
      }
    }
    store((S*)p.to + i, sum);
  }
}
template <class S, class N> __device__ inline void pool_gather(const Pool& p) {
  typedef Wide<S> C;
  const N size = (N)(p.planes * p.out_h * p.out_w), step = (N)gridDim.x * kThreads;
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < size; i += step) {
    const At<N> a = at_of(p, i);
    const i32 position = p.index[i];
    C v = 0;
    if (!is_bad(p, position)) {
      const N y = a.y * (N)p.sy - (N)p.py + (N)position / (N)p.kw;
      const N x = a.x * (N)p.sx - (N)p.px + (N)position % (N)p.kw;
      if (y >= 0 && y < (N)p.height && x >= 0 && x < (N)p.width)
        v = load((const S*)p.from + (a.plane * (N)p.height + y) * (N)p.width + x);
    }
    store((S*)p.to + i, v);
  }
}

template <class S, class N> __device__ inline void average_pool(const Pool& p) {
  typedef Wide<S> C;
  const C count = (C)(p.kh * p.kw);
  const N size = (N)(p.planes * p.out_h * p.out_w), step = (N)gridDim.x * kThreads;
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < size; i += step) {
    const At<N> a = at_of(p, i);
    const Span<N> rows = elements_of(a.y, p.kh, p.sy, p.py, p.height);
    const Span<N> columns = elements_of(a.x, p.kw, p.sx, p.px, p.width);
    const S* x = (const S*)p.from + a.plane * (N)(p.height * p.width);
    C sum = 0;
    for (N y = rows.first; y < rows.last; ++y)
      for (N c = columns.first; c < columns.last; ++c) sum += load(x + y * (N)p.width + c);
    store((S*)p.to + i, sum / count);
  }
}
template <class S, class N> __device__ inline void average_spread(const Pool& p) {
  typedef Wide<S> C;
  const C count = (C)(p.kh * p.kw);
  const N size = (N)(p.planes * p.height * p.width), step = (N)gridDim.x * kThreads;
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < size; i += step) {
    const At<N> a = at_of(p, i);
    const Span<N> rows = windows_of(a.y, p.kh, p.down, p.py, p.out_h);
    const Span<N> columns = windows_of(a.x, p.kw, p.across, p.px, p.out_w);
    const S* gy = (const S*)p.from + a.plane * (N)(p.out_h * p.out_w);
    C sum = 0;
    for (N oy = rows.first; oy <= rows.last; ++oy)
      for (N ox = columns.first; ox <= columns.last; ++ox)
        sum += load(gy + oy * (N)p.out_w + ox) / count;
    store((S*)p.to + i, sum);
  }
}
)";

// Channels are innermost: an element is a pack of neighbouring ones.
constexpr const char* kLastText = R"(
template <class T, int V> struct alignas(sizeof(T) * V) Pack { T v[V]; };
template <class N> struct At { N pack, x, y, image; };
template <class N> __device__ inline At<N> at_of(const Pool& p, N i) {
  At<N> a;
  const N column = divided(i, p.packs), row = divided(column, p.columns);
  a.pack = i - column * (N)p.packs.by;
  a.x = column - row * (N)p.columns.by;
  a.image = divided(row, p.rows);
  a.y = row - a.image * (N)p.rows.by;
  return a;
}
// Pack (y, x) of the same channels in an array of `height` rows of `width`.
template <class P, class N>
__device__ inline P pack_at(const Pool& p, const void* of, const At<N>& a, i64 height, i64 width,
                            N y, N x) {
  return ((const P*)of)[((a.image * (N)height + y) * (N)width + x) * (N)p.packs.by + a.pack];
}
template <class N> __device__ inline N packs_of(const Pool& p) {
  return (N)(p.planes * p.rows.by * p.columns.by * p.packs.by);
}

template <class T, int V, class N> __device__ inline void max_pool(const Pool& p) {
  const N size = packs_of<N>(p), step = (N)gridDim.x * kThreads;
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < size; i += step) {
    const At<N> a = at_of(p, i);
    const Span<N> rows = elements_of(a.y, p.kh, p.sy, p.py, p.height);
    const Span<N> columns = elements_of(a.x, p.kw, p.sx, p.px, p.width);
    f32 best[V];
    Pack<i32, V> index;
    #pragma unroll
    for (int v = 0; v < V; ++v) {
      best[v] = -inf32();
      index.v[v] = 0;
    }
    for (N y = rows.first; y < rows.last; ++y) {
      for (N c = columns.first; c < columns.last; ++c) {
        const N place = (y - a.y * (N)p.sy + (N)p.py) * (N)p.kw + (c - a.x * (N)p.sx + (N)p.px);
        const Pack<T, V> x = pack_at<Pack<T, V>>(p, p.from, a, p.height, p.width, y, c);
        #pragma unroll
        for (int v = 0; v < V; ++v) {
          const f32 e = load(&x.v[v]);
          const bool more = e > best[v] || (e != e && best[v] == best[v]);
          best[v] = more ? e : best[v];
          index.v[v] = more ? (i32)place : index.v[v];
        }
      }
    }
    Pack<T, V> out;
    #pragma unroll
    for (int v = 0; v < V; ++v) store(&out.v[v], best[v]);
    ((Pack<T, V>*)p.to)[i] = out;
    ((Pack<i32, V>*)p.index)[i] = index;
  }
}
template <class T, int V, class N> __device__ inline void pool_scatter(const Pool& p) {
  const N size = packs_of<N>(p), step = (N)gridDim.x * kThreads;
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < size; i += step) {
    const At<N> a = at_of(p, i);
    const Span<N> rows = windows_of(a.y, p.kh, p.down, p.py, p.out_h);
    const Span<N> columns = windows_of(a.x, p.kw, p.across, p.px, p.out_w);
    f32 sum[V] = {};
    for (N oy = rows.first; oy <= rows.last; ++oy) {
      for (N ox = columns.first; ox <= columns.last; ++ox) {
        const N place = (a.y + (N)p.py - oy * (N)p.sy) * (N)p.kw + a.x + (N)p.px - ox * (N)p.sx;
        const Pack<i32, V> index = pack_at<Pack<i32, V>>(p, p.index, a, p.out_h, p.out_w, oy, ox);
        const Pack<T, V> g = pack_at<Pack<T, V>>(p, p.from, a, p.out_h, p.out_w, oy, ox);
        #pragma unroll
        for (int v = 0; v < V; ++v) {
          is_bad(p, index.v[v]);
          if ((N)index.v[v] == place) sum[v] += load(&g.v[v]);
        }
      }
    }
    Pack<T, V> out;
    #pragma unroll
    for (int v = 0; v < V; ++v) store(&out.v[v], sum[v]);
    ((Pack<T, V>*)p.to)[i] = out;
  }
}

template <class T, int V, class N> __device__ inline void average_pool(const Pool& p) {
  const f32 count = (f32)(p.kh * p.kw);
  const N size = packs_of<N>(p), step = (N)gridDim.x * kThreads;
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < size; i += step) {
    const At<N> a = at_of(p, i);
    const Span<N> rows = elements_of(a.y, p.kh, p.sy, p.py, p.height);
    const Span<N> columns = elements_of(a.x, p.kw, p.sx, p.px, p.width);
    f32 sum[V] = {};
    for (N y = rows.first; y < rows.last; ++y) {
      for (N c = columns.first; c < columns.last; ++c) {
        const Pack<T, V> x = pack_at<Pack<T, V>>(p, p.from, a, p.height, p.width, y, c);
        #pragma unroll
        for (int v = 0; v < V; ++v) sum[v] += load(&x.v[v]);
      }
    }
    Pack<T, V> out;
    #pragma unroll
    for (int v = 0; v < V; ++v) store(&out.v[v], sum[v] / count);
    ((Pack<T, V>*)p.to)[i] = out;
  }
}
template <class T, int V, class N> __device__ inline void average_spread(const Pool& p) {
  const f32 count = (f32)(p.kh * p.kw);
  const N size = packs_of<N>(p), step = (N)gridDim.x * kThreads;
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < size; i += step) {
    const At<N> a = at_of(p, i);
    const Span<N> rows = windows_of(a.y, p.kh, p.down, p.py, p.out_h);
    const Span<N> columns = windows_of(a.x, p.kw, p.across, p.px, p.out_w);
    f32 sum[V] = {};
    for (N oy = rows.first; oy <= rows.last; ++oy) {
      for (N ox = columns.first; ox <= columns.last; ++ox) {
        const Pack<T, V> g = pack_at<Pack<T, V>>(p, p.from, a, p.out_h, p.out_w, oy, ox);
        #pragma unroll
        for (int v = 0; v < V; ++v) sum[v] += load(&g.v[v]) / count;
      }
    }
    Pack<T, V> out;
    #pragma unroll
    for (int v = 0; v < V; ++v) store(&out.v[v], sum[v]);
    ((Pack<T, V>*)p.to)[i] = out;
  }
}
)";

constexpr Sample kSamples[] = {
    {"max_pool<f32, i32>", "Pool"},       {"pool_scatter<f32, i32>", "Pool"},
    {"pool_gather<f32, i32>", "Pool"},    {"average_pool<f32, i32>", "Pool"},
    {"average_spread<f32, i32>", "Pool"}, {nullptr, nullptr}};
constexpr Sample kLastSamples[] = {
    {"max_pool<f16, 8, i32>", "Pool"},       {"max_pool<bf16, 1, i64>", "Pool"},
    {"pool_scatter<f16, 8, i32>", "Pool"},   {"average_pool<bf16, 8, i32>", "Pool"},
    {"average_spread<f16, 8, i32>", "Pool"}, {nullptr, nullptr}};

}  // namespace

constinit const Text kPoolingKernels{
    "pooling", {&kDivisionText, &kPoolingWindowsText, &kText}, kSamples};
constinit const Text kPoolingLastKernels{
    "pooling_last", {&kDivisionText, &kPoolingWindowsText, &kLastText}, kLastSamples};

}  // namespace catena::cuda
