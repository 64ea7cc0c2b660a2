// The kernels around a form's own functions: how elements are shared among threads, and in which
// order a reduction joins them. A reduction's partition depends on the launch alone (program.cc
// makes it), never on the device, so that its bits are the same everywhere.
#include <cuda/source.h>

namespace catena::cuda {

// Defined before: kArgs, kScalars, kThreads, kUnroll, struct In, Out; fetch(in, l, at), map(...),
// put(out, l, at).
const char* const kElementwiseKernels = R"(
template <int N> __device__ inline void elements_flat(const Launch<N>& l) {
  const i64 tile = (i64)kThreads * kUnroll;
  for (i64 base = (i64)blockIdx.x * tile; base < l.size; base += (i64)gridDim.x * tile) {
    In in[kUnroll];
    Out out[kUnroll];
    #pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const i64 i = base + u * kThreads + (i64)threadIdx.x;
      i64 at[kArgs];
      #pragma unroll
      for (int a = 0; a < kArgs; ++a) at[a] = i * l.strides[a][0];
      if (i < l.size) fetch(in[u], l, at);
    }
    #pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const i64 i = base + u * kThreads + (i64)threadIdx.x;
      if (i < l.size) map(in[u], l, i, l.size, out[u]);
    }
    #pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const i64 i = base + u * kThreads + (i64)threadIdx.x;
      i64 at[kArgs];
      #pragma unroll
      for (int a = 0; a < kArgs; ++a) at[a] = i * l.strides[a][0];
      if (i < l.size) put(out[u], l, at);
    }
  }
}

template <int N> __device__ inline void elements_walk(const Launch<N>& l) {
  const i64 step = (i64)gridDim.x * kThreads;
  for (i64 i = (i64)blockIdx.x * kThreads + threadIdx.x; i < l.size; i += step) {
    i64 at[kArgs] = {};
    place(l, 0, (int)l.ndim, i, at);
    In in;
    Out out;
    fetch(in, l, at);
    map(in, l, i, l.size, out);
    put(out, l, at);
  }
}
)";

// A block has lanes * outputs == kThreads threads. Lane k of an output takes every lanes-th of the
// block's part of its items, in order; the lanes are then joined as a tree. `across`: neighbouring
// threads are neighbouring outputs, otherwise neighbouring lanes.
const char* const kReductionKernels = R"(
struct Seat { int output, lane, lanes, outputs; };
template <class L> __device__ inline Seat seat(const L& l) {
  const int t = (int)threadIdx.x, lanes = (int)l.lanes, outputs = kThreads / lanes;
  Seat s;
  s.output = l.across ? t % outputs : t / lanes;
  s.lane = l.across ? t / outputs : t % lanes;
  s.lanes = lanes;
  s.outputs = outputs;
  return s;
}

// All threads of the block; lane 0 then has what the lanes of its output have together.
template <class L> __device__ inline void join_lanes(const Seat& s, const L& l, Acc& acc) {
  __shared__ Acc shared[kThreads];
  Acc* const mine = shared + s.output * s.lanes + s.lane;
  *mine = acc;
  __syncthreads();
  for (int half = s.lanes / 2; half > 0; half /= 2) {
    if (s.lane < half) {
      reduce(acc, mine[half], l);
      *mine = acc;
    }
    __syncthreads();
  }
}

template <class L> __device__ inline void conclude(const Acc& acc, const L& l, i64 k) {
  i64 at[kArgs] = {};
  place(l, 0, (int)(l.ndim - l.n_reduced), k, at);
  Out out;
  post(acc, l, l.reduced, out);
  put(out, l, at);
}

template <int N> __device__ inline void reduce_part(const Launch<N>& l) {
  const Seat s = seat(l);
  const int outer = (int)(l.ndim - l.n_reduced);
  const i64 begin = (i64)blockIdx.y * l.chunk;
  const i64 end = begin + l.chunk < l.reduced ? begin + l.chunk : l.reduced;
  for (i64 first = (i64)blockIdx.x * s.outputs; first < l.kept;
       first += (i64)gridDim.x * s.outputs) {
    const i64 k = first + s.output;
    Acc acc;
    identity(acc);
    if (k < l.kept) {
      i64 start[kArgs] = {};
      place(l, 0, outer, k, start);
      const auto read = [&](In& in, i64 r) {
        i64 at[kArgs];
        #pragma unroll
        for (int a = 0; a < kArgs; ++a) at[a] = start[a];
        place(l, outer, (int)l.ndim, r, at);
        fetch(in, l, at);
      };
      const auto take = [&](const In& in, i64 r) {
        Acc item;
        map(in, l, k * l.reduced + r, l.size, item);
        reduce(acc, item, l);
      };
      i64 r = begin + s.lane;
      for (; r + 3 * s.lanes < end; r += 4 * s.lanes) {  // four are read before the first is used
        In in[4];
        #pragma unroll
        for (int u = 0; u < 4; ++u) read(in[u], r + u * s.lanes);
        #pragma unroll
        for (int u = 0; u < 4; ++u) take(in[u], r + u * s.lanes);
      }
      for (; r < end; r += s.lanes) {
        In in;
        read(in, r);
        take(in, r);
      }
    }
    join_lanes(s, l, acc);
    if (s.lane == 0 && k < l.kept) {
      if (l.parts == 1) conclude(acc, l, k);
      else ((Acc*)l.partial)[(i64)blockIdx.y * l.kept + k] = acc;
    }
  }
}

// One block for an output: joins its parts and finishes it.
template <int N> __device__ inline void finish_parts(const Launch<N>& l) {
  Seat s;
  s.output = 0;
  s.lane = (int)threadIdx.x;
  s.lanes = kThreads;
  s.outputs = 1;
  for (i64 k = blockIdx.x; k < l.kept; k += gridDim.x) {
    Acc acc;
    identity(acc);
    for (i64 p = s.lane; p < l.parts; p += s.lanes)
      reduce(acc, ((const Acc*)l.partial)[p * l.kept + k], l);
    join_lanes(s, l, acc);
    if (s.lane == 0) conclude(acc, l, k);
  }
}
)";

}  // namespace catena::cuda
