// CUDA C of reductions along one axis: which lane of which line a thread is, and what the lanes of
// a line have together. Lanes are joined in an order that depends on the shape alone.
#include <cuda/lines.h>

namespace catena::cuda {

const char* const kLinesText = R"(
// Element j of line k is at k / inner * n * inner + k % inner + j * inner. Neighbouring threads are
// neighbouring lanes, or with `across` neighbouring lines.
struct Lines {
  i64 count, n, inner;
  i32 lanes, across;
};
struct Seat { int line, lane, lanes, lines, across; };
__device__ inline Seat seat(const Lines& l) {
  const int t = (int)threadIdx.x, lines = kThreads / l.lanes;
  Seat s;
  s.line = l.across ? t % lines : t / l.lanes;
  s.lane = l.across ? t / lines : t % l.lanes;
  s.lanes = l.lanes;
  s.lines = lines;
  s.across = l.across;
  return s;
}
__device__ inline i64 line_start(const Lines& l, i64 k) {
  if (l.inner == 1) return k * l.n;
  const i64 outer = k / l.inner;
  return outer * l.n * l.inner + (k - outer * l.inner);
}

// What lanes have, with two functions of each: `swapped` gives another lane's, `merged` joins two
// and gives the same bits whichever comes first.
template <class C> struct Sum { C v; };
template <class T> __device__ inline T other_lane(T v, int distance) {
  return __shfl_xor_sync(0xffffffffu, v, distance);
}
template <class C> __device__ inline Sum<C> swapped(Sum<C> s, int distance) {
  s.v = other_lane(s.v, distance);
  return s;
}
template <class C> __device__ inline Sum<C> merged(Sum<C> a, Sum<C> b) {
  a.v += b.v;
  return a;
}

// What all lanes of a line have together, in each of them. All threads of the block take part.
template <class V> __device__ inline V join_lanes(const Seat& s, V v) {
  __shared__ V shared[kThreads];
  if (s.across) {
    shared[threadIdx.x] = v;
    __syncthreads();
    v = shared[s.line];
    for (int k = 1; k < s.lanes; ++k) v = merged(v, shared[k * s.lines + s.line]);
    __syncthreads();
    return v;
  }
  for (int distance = (s.lanes < 32 ? s.lanes : 32) / 2; distance > 0; distance /= 2)
    v = merged(v, swapped(v, distance));
  if (s.lanes <= 32) return v;
  const int warp = (int)threadIdx.x / 32, first = warp - s.lane / 32;
  if (threadIdx.x % 32 == 0) shared[warp] = v;
  __syncthreads();
  v = shared[first];
  for (int k = 1; k < s.lanes / 32; ++k) v = merged(v, shared[first + k]);
  __syncthreads();
  return v;
}

// The largest element of a line and the sum of exponentials relative to it, in one pass. Elements
// that are the largest count 1, infinite ones too: `total_of` says what their sum is.
template <class C> struct Peak { C top, total; };
template <class C> __device__ inline C lowest() {
  if constexpr (Same<C, f32>::value) return -inf32();
  else return -inf64();
}
template <class C> __device__ inline C share(Peak<C> p, C top) {
  return p.top == top ? p.total : p.total * x_exp(p.top - top);
}
template <class C> __device__ inline Peak<C> swapped(Peak<C> p, int distance) {
  p.top = other_lane(p.top, distance);
  p.total = other_lane(p.total, distance);
  return p;
}
template <class C> __device__ inline Peak<C> merged(Peak<C> a, Peak<C> b) {
  Peak<C> p;
  p.top = a.top > b.top ? a.top : b.top;
  p.total = share(a, p.top) + share(b, p.top);
  return p;
}
template <class C> __device__ inline C total_of(Peak<C> p) {
  return p.top - p.top == 0 ? p.total : nan_of<C>();
}
// n elements `step` apart, shared among the lanes; four of a lane's are loaded before the first is
// looked at, and the largest of them moves the sum once.
template <class S> __device__ inline Peak<Wide<S>> peak_of(const Seat& s, const S* x, i64 n,
                                                           i64 step) {
  typedef Wide<S> C;
  Peak<C> p;
  p.top = lowest<C>();
  p.total = 0;
  for (i64 j = s.lane; j < n; j += 4 * s.lanes) {
    C v[4];
    C top = p.top;
    #pragma unroll
    for (int u = 0; u < 4; ++u) {
      const i64 at = j + u * s.lanes;
      v[u] = at < n ? load(x + at * step) : lowest<C>();
    }
    #pragma unroll
    for (int u = 0; u < 4; ++u) top = v[u] > top ? v[u] : top;
    p.total = share(p, top);
    p.top = top;
    C part = 0;
    #pragma unroll
    for (int u = 0; u < 4; ++u)
      if (j + u * s.lanes < n) part += v[u] == top ? (C)1 : x_exp(v[u] - top);
    p.total += part;
  }
  return join_lanes(s, p);
}
// The sum of item(0) ... item(n - 1); a lane adds four at once to what it has, in float64.
template <class Item> __device__ inline f64 sum_of(const Seat& s, i64 n, Item item) {
  Sum<f64> sum;
  sum.v = 0;
  for (i64 j = s.lane; j < n; j += 4 * s.lanes) {
    decltype(item(j)) v[4];
    #pragma unroll
    for (int u = 0; u < 4; ++u) {
      const i64 at = j + u * s.lanes;
      v[u] = 0;
      if (at < n) v[u] = item(at);
    }
    sum.v += (f64)((v[0] + v[1]) + (v[2] + v[3]));
  }
  return join_lanes(s, sum).v;
}
)";

}  // namespace catena::cuda
