// See bias.h.
#include <cuda/bias.h>

namespace catena::cuda {
namespace {

constexpr const char* kText = R"(
// y[i] += bias[i / inner % channels]; N counts to n and a grid beyond it.
struct Bias {
  i64 n, channels, inner;
  const void* bias;
  void* y;
};
template <class T, class N> __device__ inline void add_bias(const Bias& p) {
  const N step = (N)gridDim.x * kThreads;
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < (N)p.n; i += step)
    ((T*)p.y)[i] += ((const T*)p.bias)[i / (N)p.inner % (N)p.channels];
}
)";

// As there.
struct Bias {
  int64_t n, channels, inner;
  const void* bias;
  void* y;
};

constexpr Sample kSamples[] = {{"add_bias<f32, i32>", "Bias"}, {nullptr, nullptr}};

CUfunction find(Device& d, ctn_dtype dtype, int64_t size) {
  static Native* const kernels = new Native(kBiasKernels);
  return kernels->find(d, "add_bias", {type_name(dtype), count_type(static_cast<double>(size))},
                       "Bias");
}

}  // namespace

constinit const Text kBiasKernels{"bias", {&kText}, kSamples};

AddBias::AddBias(Device& d, ctn_dtype dtype, const std::array<int64_t, 4>& shape,
                 bool channels_last)
    : device_(d),
      kernel_(find(d, dtype, sdk::size_of(shape))),
      size_(sdk::size_of(shape)),
      channels_(shape[1]),
      inner_(channels_last ? 1 : shape[2] * shape[3]) {}

void AddBias::run(const void* bias, void* y) const {
  const Bias p{size_, channels_, inner_, bias, y};
  queue(device_, kernel_, size_, &p);
}

}  // namespace catena::cuda
