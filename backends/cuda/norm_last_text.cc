// CUDA C of batch normalization of arrays whose channels lie innermost: rows of channels. A block
// has 32 packs of neighbouring channels and kThreads / 32 rows at a time; sums are made in parts
// that depend on the shape alone, and joined in their order.
#include <cuda/native.h>

namespace catena::cuda {
namespace {

constexpr const char* kText = R"(
struct Norm {
  i64 rows, channels, parts, chunk;
  f64 eps;
  const void *x, *gy, *gamma, *beta, *mean, *var;
  void *y, *first, *second;  // the array; mean and variance, or the gradients of gamma and beta
  f32 *sums, *factors;       // [parts][2][channels], [4][channels]
};
template <class T, int V> struct alignas(sizeof(T) * V) Pack { T v[V]; };
const int kLanes = kThreads / 32;

// Of x - x[0] and its square; or of gy and gy * (x - mean).
template <class T, int V, bool gradient> __device__ inline void norm_sums(const Norm& p) {
  __shared__ f32 shared[2][kLanes][32 * V];
  const int column = (int)threadIdx.x % 32, lane = (int)threadIdx.x / 32;
  const i64 packs = p.channels / V, tiles = (packs + 31) / 32;
  for (i64 b = blockIdx.x; b < tiles * p.parts; b += gridDim.x) {
    const i64 pack = b % tiles * 32 + column, part = b / tiles;
    const i64 end = (part + 1) * p.chunk < p.rows ? (part + 1) * p.chunk : p.rows;
    f32 a[V] = {}, c[V] = {}, centre[V] = {};
    if (pack < packs) {
      for (int v = 0; v < V; ++v) {
        const i64 k = pack * V + v;
        centre[v] = gradient ? ((const f32*)p.mean)[k] : load((const T*)p.x + k);
      }
      #pragma unroll 4
      for (i64 r = part * p.chunk + lane; r < end; r += kLanes) {
        const Pack<T, V> x = ((const Pack<T, V>*)p.x)[r * packs + pack];
        Pack<T, V> g = x;
        if (gradient) g = ((const Pack<T, V>*)p.gy)[r * packs + pack];
        for (int v = 0; v < V; ++v) {
          const f32 away = load(&x.v[v]) - centre[v], u = gradient ? load(&g.v[v]) : away;
          a[v] += u;
          c[v] += u * away;
        }
      }
    }
    for (int v = 0; v < V; ++v) {
      shared[0][lane][column * V + v] = a[v];
      shared[1][lane][column * V + v] = c[v];
    }
    __syncthreads();
    if (lane == 0 && pack < packs) {
      for (int v = 0; v < V; ++v)
        for (int k = 0; k < 2; ++k) {
          f32 sum = 0;
          for (int l = 0; l < kLanes; ++l) sum += shared[k][l][column * V + v];
          p.sums[(part * 2 + k) * p.channels + pack * V + v] = sum;
        }
    }
    __syncthreads();
  }
}

// The factors of a channel for norm_apply, from what the parts add up to.
template <class T, bool gradient> __device__ inline void norm_finish(const Norm& p) {
  __shared__ f64 shared[2][kLanes][32];
  const int column = (int)threadIdx.x % 32, lane = (int)threadIdx.x / 32;
  for (i64 first = (i64)blockIdx.x * 32; first < p.channels; first += (i64)gridDim.x * 32) {
    const i64 c = first + column;
    f64 a = 0, b = 0;
    if (c < p.channels) {
      #pragma unroll 4
      for (i64 k = lane; k < p.parts; k += kLanes) {
        a += p.sums[k * 2 * p.channels + c];
        b += p.sums[(k * 2 + 1) * p.channels + c];
      }
    }
    shared[0][lane][column] = a;
    shared[1][lane][column] = b;
    __syncthreads();
    if (lane == 0 && c < p.channels) {
      f64 sum = 0, dot = 0;
      for (int l = 0; l < kLanes; ++l) {
        sum += shared[0][l][column];
        dot += shared[1][l][column];
      }
      const f64 m = (f64)p.rows, gamma = load((const T*)p.gamma + c);
      if (gradient) {
        const f64 s = 1 / sqrt((f64)((const f32*)p.var)[c] + p.eps);
        store((T*)p.first + c, (f32)(dot * s));
        store((T*)p.second + c, (f32)sum);
        p.factors[c] = ((const f32*)p.mean)[c];
        p.factors[p.channels + c] = (f32)(gamma * s);
        p.factors[2 * p.channels + c] = (f32)(sum / m);
        p.factors[3 * p.channels + c] = (f32)(dot * s * s / m);
      } else {
        const f64 left = sum / m, var = dot / m - left * left, kept = var < 0 ? 0 : var;
        const f32 mean = (f32)(load((const T*)p.x + c) + left);
        ((f32*)p.first)[c] = mean;
        ((f32*)p.second)[c] = (f32)kept;
        p.factors[c] = mean;
        p.factors[p.channels + c] = (f32)(gamma / sqrt(kept + p.eps));
        p.factors[2 * p.channels + c] = load((const T*)p.beta + c);
      }
    }
    __syncthreads();
  }
}

// The factors from a given mean and variance.
template <class T> __device__ inline void norm_given(const Norm& p) {
  const i64 step = (i64)gridDim.x * kThreads;
  for (i64 c = (i64)blockIdx.x * kThreads + threadIdx.x; c < p.channels; c += step) {
    const f64 var = load((const T*)p.var + c), gamma = load((const T*)p.gamma + c);
    p.factors[c] = load((const T*)p.mean + c);
    p.factors[p.channels + c] = (f32)(gamma / sqrt(var + p.eps));
    p.factors[2 * p.channels + c] = load((const T*)p.beta + c);
  }
}

template <class T, int V, bool gradient> __device__ inline void norm_apply(const Norm& p) {
  const i64 packs = p.channels / V, step = (i64)gridDim.x * kThreads;
  const f32 *mean = p.factors, *scale = mean + p.channels;
  const f32 *third = scale + p.channels, *fourth = third + p.channels;
  for (i64 i = (i64)blockIdx.x * kThreads + threadIdx.x; i < p.rows * packs; i += step) {
    const i64 c = i % packs * V;
    const Pack<T, V> x = ((const Pack<T, V>*)p.x)[i];
    Pack<T, V> g = x, out;
    if (gradient) g = ((const Pack<T, V>*)p.gy)[i];
    for (int v = 0; v < V; ++v) {
      const f32 away = load(&x.v[v]) - mean[c + v];
      const f32 y = gradient
                        ? scale[c + v] * (load(&g.v[v]) - third[c + v] - away * fourth[c + v])
                        : away * scale[c + v] + third[c + v];
      store(&out.v[v], y);
    }
    ((Pack<T, V>*)p.y)[i] = out;
  }
}
)";

constexpr Sample kSamples[] = {{"norm_sums<f16, 4, false>", "Norm"},
                               {"norm_sums<f16, 1, true>", "Norm"},
                               {"norm_finish<f16, false>", "Norm"},
                               {"norm_finish<bf16, true>", "Norm"},
                               {"norm_given<f16>", "Norm"},
                               {"norm_apply<f16, 4, true>", "Norm"},
                               {"norm_apply<bf16, 1, false>", "Norm"},
                               {nullptr, nullptr}};

}  // namespace

constinit const Text kNormLastKernels{"norm_last", {&kText}, kSamples};

}  // namespace catena::cuda
