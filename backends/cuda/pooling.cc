// Kernels of pooling in two dimensions, one thread for each element that is written: what several
// windows give to one element is added in the order of the windows.
#include <catena/op_attrs.hpp>

#include <cuda/native.h>

#include <algorithm>

namespace catena::cuda {
namespace {

using sdk::Run;
using sdk::Tensor;

// `large` is the side that windows read, `small` has one element for each window.
constexpr const char* kText = R"(
struct Pool {
  i64 planes, height, width, out_h, out_w;
  i64 kh, kw, sy, sx, py, px;
  const void* from;
  void* to;
  i32* index;  // position in the window; read by scatter and gather
  i64 fault_kind;
  i64* fault;  // kind, the position, kh, kw: host memory
};
template <class N> struct At { N plane, y, x; };
template <class N> __device__ inline At<N> at_of(N i, N height, N width) {
  At<N> a;
  const N row = i / width;
  a.x = i - row * width;
  a.plane = row / height;
  a.y = row - a.plane * height;
  return a;
}
// Windows along one axis that element i lies in.
template <class N> struct Span { N first, last; };
template <class N> __device__ inline Span<N> windows_of(N i, i64 k, i64 s, i64 pad, i64 count) {
  const N place = i + (N)pad, step = (N)s, size = (N)k;
  Span<N> w;
  w.first = place < size ? (N)0 : (place - size) / step + 1;
  w.last = place / step;
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

template <class S, class N> __device__ inline void max_pool(const Pool& p) {
  typedef Wide<S> C;
  const N size = (N)(p.planes * p.out_h * p.out_w), step = (N)gridDim.x * kThreads;
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < size; i += step) {
    const At<N> a = at_of(i, (N)p.out_h, (N)p.out_w);
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

// A position that is in no window is reported and names no element.
__device__ inline bool is_bad(const Pool& p, i32 position) {
  if (position >= 0 && position < p.kh * p.kw) return false;
  p.fault[1] = position;
  p.fault[2] = p.kh;
  p.fault[3] = p.kw;
  p.fault[0] = p.fault_kind;
  return true;
}
template <class S, class N> __device__ inline void pool_scatter(const Pool& p) {
  typedef Wide<S> C;
  const N size = (N)(p.planes * p.height * p.width), step = (N)gridDim.x * kThreads;
  const N small = (N)(p.out_h * p.out_w), start = (N)blockIdx.x * kThreads + (N)threadIdx.x;
  for (N i = start; i < (N)p.planes * small; i += step) is_bad(p, p.index[i]);
  for (N i = start; i < size; i += step) {
    const At<N> a = at_of(i, (N)p.height, (N)p.width);
    const Span<N> rows = windows_of(a.y, p.kh, p.sy, p.py, p.out_h);
    const Span<N> columns = windows_of(a.x, p.kw, p.sx, p.px, p.out_w);
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
    const At<N> a = at_of(i, (N)p.out_h, (N)p.out_w);
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
    const At<N> a = at_of(i, (N)p.out_h, (N)p.out_w);
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
    const At<N> a = at_of(i, (N)p.height, (N)p.width);
    const Span<N> rows = windows_of(a.y, p.kh, p.sy, p.py, p.out_h);
    const Span<N> columns = windows_of(a.x, p.kw, p.sx, p.px, p.out_w);
    const S* gy = (const S*)p.from + a.plane * (N)(p.out_h * p.out_w);
    C sum = 0;
    for (N oy = rows.first; oy <= rows.last; ++oy)
      for (N ox = columns.first; ox <= columns.last; ++ox)
        sum += load(gy + oy * (N)p.out_w + ox) / count;
    store((S*)p.to + i, sum);
  }
}
)";

// As there.
struct Pool {
  int64_t planes, height, width, out_h, out_w;
  int64_t kh, kw, sy, sx, py, px;
  const void* from;
  void* to;
  int32_t* index;
  int64_t fault_kind;
  int64_t* fault;
};

constexpr Sample kSamples[] = {
    {"max_pool<f32, i32>", "Pool"},       {"pool_scatter<f32, i32>", "Pool"},
    {"pool_gather<f32, i32>", "Pool"},    {"average_pool<f32, i32>", "Pool"},
    {"average_spread<f32, i32>", "Pool"}, {nullptr, nullptr}};

struct Keys {
  int ksize, stride, pad;
};

// Every place that a kernel computes, beyond the ends too.
double reach(const Pool& p) {
  const auto d = [](int64_t v) { return static_cast<double>(v); };
  const double rows = d(p.height) + d(p.out_h) * d(p.sy) + d(p.py) + d(p.kh);
  const double columns = d(p.width) + d(p.out_w) * d(p.sx) + d(p.px) + d(p.kw);
  const double elements = d(p.planes) * std::max(d(p.height) * d(p.width), d(p.out_h) * d(p.out_w));
  return std::max({rows, columns, elements, (d(p.kh) + rows) * (d(p.kw) + columns)});
}

void pool(const Run& run, const char* name, const Tensor& large, const Tensor& small,
          const Keys& keys, int32_t* index) {
  static Native* const kernels = new Native(kPoolingKernels);
  Device& d = device_of(run);
  const auto k = run.pair(keys.ksize), pad = run.pair(keys.pad);
  const auto s = run.is_none(keys.stride) ? k : run.pair(keys.stride);
  const Tensor y = run.out(0);
  const Pool p{large.shape(0) * large.shape(1),
               large.shape(2),
               large.shape(3),
               small.shape(2),
               small.shape(3),
               k[0],
               k[1],
               s[0],
               s[1],
               pad[0],
               pad[1],
               run.in(0).data(),
               y.data(),
               index,
               Device::kBadPosition,
               d.fault};
  if (y.size() == 0) return;
  const Entry entry{
      std::string(name) + "<" + type_name(y.dtype()) + ", " + count_type(reach(p)) + ">", "Pool"};
  queue(d, kernels->find(d, entry), y.size(), &p);
  d.recent.add(name);
}

void max_pooling(const Run& run) {
  namespace a = attr::max_pooling_2d_indexed;
  pool(run, "max_pool", run.in(0), run.out(0), {a::ksize, a::stride, a::pad},
       run.out(1).data<int32_t>());
}
void scatter(const Run& run) {
  namespace a = attr::pooling_scatter_2d;
  pool(run, "pool_scatter", run.out(0), run.in(0), {a::ksize, a::stride, a::pad},
       run.in(1).data<int32_t>());
}
void gather(const Run& run) {
  namespace a = attr::pooling_gather_2d;
  pool(run, "pool_gather", run.in(0), run.out(0), {a::ksize, a::stride, a::pad},
       run.in(1).data<int32_t>());
}
void average_pooling(const Run& run) {
  namespace a = attr::average_pooling_2d;
  pool(run, "average_pool", run.in(0), run.out(0), {a::ksize, a::stride, a::pad}, nullptr);
}
void average_gradient(const Run& run) {
  namespace a = attr::average_pooling_2d_grad;
  pool(run, "average_spread", run.out(0), run.in(0), {a::ksize, a::stride, a::pad}, nullptr);
}

}  // namespace

constinit const Text kPoolingKernels{"pooling", {&kText}, kSamples};

ctn_status register_pooling(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"max_pooling_2d_indexed", sdk::kernel<max_pooling>},
                      {"pooling_scatter_2d", sdk::kernel<scatter>},
                      {"pooling_gather_2d", sdk::kernel<gather>},
                      {"average_pooling_2d", sdk::kernel<average_pooling>},
                      {"average_pooling_2d_grad", sdk::kernel<average_gradient>}});
}

}  // namespace catena::cuda
