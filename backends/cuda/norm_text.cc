// CUDA C of batch normalization (norm.cc). A channel's elements are cut into parts, a block's lanes
// share a part, and the parts are joined in their order: by the shape alone.
#include <cuda/lines.h>

namespace catena::cuda {
namespace {

constexpr const char* kText = R"(
// A line is a channel: its n elements, of which `inner` lie one after the other.
struct Norm {
  Lines lines;
  i64 channels, inner, parts, chunk;
  const void *x, *gy, *gamma, *beta, *mean, *var;
  void *y, *ggamma, *gbeta, *out_mean, *out_var;
  void* partial;     // of each part and channel
  void* parameters;  // four of each channel, in what is computed with
  f64 eps;
};
template <class N> __device__ inline N norm_place(const Norm& p, N c, N j) {
  const N inner = (N)p.inner, channels = (N)p.channels;
  if (inner == 1) return j * channels + c;
  const N image = j / inner;
  return (image * channels + c) * inner + (j - image * inner);
}
template <class N> __device__ inline N channel_of(const Norm& p, N i) {
  return i / (N)p.inner % (N)p.channels;
}

struct Moments { f64 count, mean, squares; };  // squares of distances from the mean
__device__ inline Moments swapped(Moments m, int distance) {
  m.count = other_lane(m.count, distance);
  m.mean = other_lane(m.mean, distance);
  m.squares = other_lane(m.squares, distance);
  return m;
}
__device__ inline Moments merged(Moments a, Moments b) {
  const f64 n = a.count + b.count;
  if (a.count == 0) return b;
  if (b.count == 0) return a;
  Moments m;
  const f64 d = b.mean - a.mean;
  m.count = n;
  m.mean = (a.mean * a.count + b.mean * b.count) / n;
  m.squares = (a.squares + b.squares) + d * d * (a.count * b.count / n);
  return m;
}
struct Dots { f64 sum, dot; };  // of gy, of gy * (x - mean)
__device__ inline Dots swapped(Dots a, int distance) {
  a.sum = other_lane(a.sum, distance);
  a.dot = other_lane(a.dot, distance);
  return a;
}
__device__ inline Dots merged(Dots a, Dots b) {
  a.sum += b.sum;
  a.dot += b.dot;
  return a;
}

// of(channel, first element, end, seat) for each part, kept for the kernel that joins them.
template <class V, class Of> __device__ inline void norm_parts(const Norm& p, Of of) {
  const Seat s = seat(p.lines);
  const i64 groups = (p.channels + s.lines - 1) / s.lines;
  for (i64 b = blockIdx.x; b < groups * p.parts; b += gridDim.x) {
    const i64 part = b / groups, c = (b - part * groups) * s.lines + s.line;
    const i64 begin = part * p.chunk, end = begin + p.chunk;
    const i64 last = end < p.lines.n ? end : p.lines.n;
    const V v = join_lanes(s, of(c, begin, c < p.channels ? last : begin, s));
    if (s.lane == 0 && c < p.channels) ((V*)p.partial)[part * p.channels + c] = v;
  }
}

// Four elements at once are centred on their own mean, so that no digits are lost where the mean is
// large beside the deviation.
template <class S, class N> __device__ inline void norm_moments(const Norm& p) {
  typedef Wide<S> C;
  const S* x = (const S*)p.x;
  norm_parts<Moments>(p, [=](i64 c, i64 begin, i64 end, const Seat& s) {
    C count = 0, mean = 0, squares = 0;
    for (N j = (N)begin + s.lane; j < (N)end; j += 4 * s.lanes) {
      C v[4];
      int m = 0;
      #pragma unroll
      for (int u = 0; u < 4; ++u) {
        const N at = j + u * s.lanes;
        v[u] = 0;
        if (at < (N)end) v[u] = load(x + norm_place(p, (N)c, at)), ++m;
      }
      const C centre = ((v[0] + v[1]) + (v[2] + v[3])) / (C)m;
      C apart = 0;
      #pragma unroll
      for (int u = 0; u < 4; ++u)
        if (u < m) apart += (v[u] - centre) * (v[u] - centre);
      const C all = count + (C)m, d = centre - mean, share = (C)m / all;
      mean += d * share;
      squares += apart + d * d * count * share;
      count = all;
    }
    Moments moments;
    moments.count = (f64)count;
    moments.mean = (f64)mean;
    moments.squares = (f64)squares;
    return moments;
  });
}

template <class C> __device__ inline void set_parameters(const Norm& p, i64 c, C a, C b, C d, C e) {
  C* to = (C*)p.parameters + c;
  to[0] = a;
  to[p.channels] = b;
  to[2 * p.channels] = d;
  to[3 * p.channels] = e;
}
template <class S> __device__ inline void norm_finish(const Norm& p) {
  typedef Wide<S> C;
  for (i64 c = (i64)blockIdx.x * kThreads + threadIdx.x; c < p.channels;
       c += (i64)gridDim.x * kThreads) {
    Moments m;
    m.count = m.mean = m.squares = 0;
    for (i64 k = 0; k < p.parts; ++k)
      m = merged(m, ((const Moments*)p.partial)[k * p.channels + c]);
    const C mean = m.count > 0 ? (C)m.mean : nan_of<C>();
    const f64 var = m.squares / m.count;
    ((C*)p.out_mean)[c] = mean;
    ((C*)p.out_var)[c] = (C)var;
    const f64 scale = (f64)load((const S*)p.gamma + c) / x_sqrt(var + p.eps);
    set_parameters<C>(p, c, mean, (C)scale, load((const S*)p.beta + c), 0);
  }
}
template <class S> __device__ inline void norm_fixed(const Norm& p) {
  typedef Wide<S> C;
  for (i64 c = (i64)blockIdx.x * kThreads + threadIdx.x; c < p.channels;
       c += (i64)gridDim.x * kThreads) {
    const f64 var = (f64)((const C*)p.var)[c];
    const f64 scale = (f64)load((const S*)p.gamma + c) / x_sqrt(var + p.eps);
    set_parameters<C>(p, c, ((const C*)p.mean)[c], (C)scale, load((const S*)p.beta + c), 0);
  }
}
template <class S, class N> __device__ inline void norm_apply(const Norm& p) {
  typedef Wide<S> C;
  const N size = (N)(p.channels * p.lines.n);
  const C* parameters = (const C*)p.parameters;
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < size; i += (N)gridDim.x * kThreads) {
    const C* of = parameters + channel_of(p, i);
    store((S*)p.y + i, (load((const S*)p.x + i) - of[0]) * of[p.channels] + of[2 * p.channels]);
  }
}

template <class S, class N> __device__ inline void norm_dots(const Norm& p) {
  typedef Wide<S> C;
  const S *x = (const S*)p.x, *gy = (const S*)p.gy;
  norm_parts<Dots>(p, [=](i64 c, i64 begin, i64 end, const Seat& s) {
    const C mean = begin < end ? ((const C*)p.mean)[c] : (C)0;
    Dots dots;
    dots.sum = dots.dot = 0;
    for (N j = (N)begin + s.lane; j < (N)end; j += 4 * s.lanes) {
      C g[4], d[4];
      #pragma unroll
      for (int u = 0; u < 4; ++u) {
        const N at = j + u * s.lanes;
        g[u] = d[u] = 0;
        if (at >= (N)end) continue;
        const N place = norm_place(p, (N)c, at);
        g[u] = load(gy + place);
        d[u] = g[u] * (load(x + place) - mean);
      }
      dots.sum += (f64)((g[0] + g[1]) + (g[2] + g[3]));
      dots.dot += (f64)((d[0] + d[1]) + (d[2] + d[3]));
    }
    return dots;
  });
}
template <class S> __device__ inline void norm_grad_finish(const Norm& p) {
  typedef Wide<S> C;
  for (i64 c = (i64)blockIdx.x * kThreads + threadIdx.x; c < p.channels;
       c += (i64)gridDim.x * kThreads) {
    Dots a;
    a.sum = a.dot = 0;
    for (i64 k = 0; k < p.parts; ++k) a = merged(a, ((const Dots*)p.partial)[k * p.channels + c]);
    const f64 s = 1.0 / x_sqrt((f64)((const C*)p.var)[c] + p.eps), n = (f64)p.lines.n;
    store((S*)p.gbeta + c, (C)a.sum);
    store((S*)p.ggamma + c, (C)(a.dot * s));
    set_parameters<C>(p, c, ((const C*)p.mean)[c], (C)((f64)load((const S*)p.gamma + c) * s),
                      (C)(a.sum / n), (C)(a.dot * s * s / n));
  }
}
template <class S, class N> __device__ inline void norm_slope(const Norm& p) {
  typedef Wide<S> C;
  const N size = (N)(p.channels * p.lines.n);
  const C* parameters = (const C*)p.parameters;
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < size; i += (N)gridDim.x * kThreads) {
    const C* of = parameters + channel_of(p, i);
    const C d = load((const S*)p.x + i) - of[0], g = load((const S*)p.gy + i);
    store((S*)p.y + i, of[p.channels] * ((g - of[2 * p.channels]) - d * of[3 * p.channels]));
  }
}
)";

constexpr Sample kSamples[] = {
    {"norm_moments<f32, i32>", "Norm"}, {"norm_finish<f32>", "Norm"},
    {"norm_fixed<f32>", "Norm"},        {"norm_apply<f32, i32>", "Norm"},
    {"norm_dots<f32, i32>", "Norm"},    {"norm_grad_finish<f32>", "Norm"},
    {"norm_slope<f32, i32>", "Norm"},   {nullptr, nullptr}};

}  // namespace

constinit const Text kNormKernels{"norm", {&kLinesText, &kText}, kSamples};

}  // namespace catena::cuda
