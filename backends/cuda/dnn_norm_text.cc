// CUDA C of what batch normalization does to the parameters of channels around cuDNN, which wants
// them in float32, and a variance as the inverse of a deviation.
#include <cuda/native.h>

namespace catena::cuda {
namespace {

constexpr const char* kText = R"(
struct Channels {
  i64 n, count;
  f64 eps;
  const void* from[4];
  void* to[4];
};
// float32 of 16-bit floats, `count` arrays.
template <class T> __device__ inline void widen_channels(const Channels& c) {
  const i64 step = (i64)gridDim.x * kThreads;
  for (i64 i = (i64)blockIdx.x * kThreads + threadIdx.x; i < c.n; i += step)
    for (i64 k = 0; k < c.count; ++k) ((f32*)c.to[k])[i] = load((const T*)c.from[k] + i);
}
template <class T> __device__ inline void narrow_channels(const Channels& c) {
  const i64 step = (i64)gridDim.x * kThreads;
  for (i64 i = (i64)blockIdx.x * kThreads + threadIdx.x; i < c.n; i += step)
    for (i64 k = 0; k < c.count; ++k) store((T*)c.to[k] + i, ((const f32*)c.from[k])[i]);
}
// 1 / sqrt(variance + eps)
template <class T> __device__ inline void invert_channels(const Channels& c) {
  const i64 step = (i64)gridDim.x * kThreads;
  for (i64 i = (i64)blockIdx.x * kThreads + threadIdx.x; i < c.n; i += step)
    ((T*)c.to[0])[i] = (T)1 / x_sqrt(((const T*)c.from[0])[i] + (T)c.eps);
}
)";

constexpr Sample kSamples[] = {{"widen_channels<f16>", "Channels"},
                               {"narrow_channels<f16>", "Channels"},
                               {"invert_channels<f32>", "Channels"},
                               {nullptr, nullptr}};

}  // namespace

constinit const Text kDnnNormKernels{"dnn_norm", {&kText}, kSamples};

}  // namespace catena::cuda
