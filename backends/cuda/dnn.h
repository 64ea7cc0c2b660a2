// cuDNN as a table of the functions used, opened when a kernel or a device's description first asks
// for it; its descriptors; and one handle a device. Knows no op.
//
// The functions are those of version 7, which 9 keeps: a call is one function with plain
// descriptors, and an algorithm is a number with a workspace and a promise of determinism, which is
// what Chainer's keys (autotune, cudnn_deterministic, max_workspace_size) speak of. The graph
// interface of version 8 would be worth its size where several ops become one kernel.
#pragma once

#include <catena/sdk.hpp>

#include <cuda/device.h>

#include <cudnn.h>

#include <initializer_list>
#include <memory>
#include <utility>

namespace catena::cuda {

#define CATENA_CUDA_DNN(X)                          \
  X(cudnnGetVersion)                                \
  X(cudnnGetErrorString)                            \
  X(cudnnGetLastErrorString)                        \
  X(cudnnCreate)                                    \
  X(cudnnDestroy)                                   \
  X(cudnnSetStream)                                 \
  X(cudnnCreateTensorDescriptor)                    \
  X(cudnnSetTensor4dDescriptor)                     \
  X(cudnnDestroyTensorDescriptor)                   \
  X(cudnnCreateFilterDescriptor)                    \
  X(cudnnSetFilter4dDescriptor)                     \
  X(cudnnDestroyFilterDescriptor)                   \
  X(cudnnCreateConvolutionDescriptor)               \
  X(cudnnSetConvolution2dDescriptor)                \
  X(cudnnSetConvolutionGroupCount)                  \
  X(cudnnSetConvolutionMathType)                    \
  X(cudnnDestroyConvolutionDescriptor)              \
  X(cudnnCreateActivationDescriptor)                \
  X(cudnnSetActivationDescriptor)                   \
  X(cudnnDestroyActivationDescriptor)               \
  X(cudnnGetConvolutionForwardAlgorithm_v7)         \
  X(cudnnFindConvolutionForwardAlgorithmEx)         \
  X(cudnnGetConvolutionForwardWorkspaceSize)        \
  X(cudnnConvolutionForward)                        \
  X(cudnnConvolutionBiasActivationForward)          \
  X(cudnnGetConvolutionBackwardDataAlgorithm_v7)    \
  X(cudnnFindConvolutionBackwardDataAlgorithmEx)    \
  X(cudnnGetConvolutionBackwardDataWorkspaceSize)   \
  X(cudnnConvolutionBackwardData)                   \
  X(cudnnGetConvolutionBackwardFilterAlgorithm_v7)  \
  X(cudnnFindConvolutionBackwardFilterAlgorithmEx)  \
  X(cudnnGetConvolutionBackwardFilterWorkspaceSize) \
  X(cudnnConvolutionBackwardFilter)                 \
  X(cudnnScaleTensor)                               \
  X(cudnnBatchNormalizationForwardTraining)         \
  X(cudnnBatchNormalizationForwardInference)        \
  X(cudnnBatchNormalizationBackward)                \
  X(cudnnCreatePoolingDescriptor)                   \
  X(cudnnSetPooling2dDescriptor)                    \
  X(cudnnDestroyPoolingDescriptor)                  \
  X(cudnnPoolingForward)                            \
  X(cudnnPoolingBackward)                           \
  X(cudnnSoftmaxForward)                            \
  X(cudnnSoftmaxBackward)

struct Dnn {
#define CATENA_MEMBER(name) decltype(&::name) name = nullptr;
  CATENA_CUDA_DNN(CATENA_MEMBER)
#undef CATENA_MEMBER
  std::string why;  // it cannot be used: all of it, for a person
};

// The functions of the first of these libraries that can be opened, if it is of the version that
// the headers are.
Dnn load_dnn(std::initializer_list<const char*> names);
// The library of this process, opened by the first call; stays as it is. Anything but `why` may be
// used only where that is empty.
const Dnn& dnn();
// "9.19.0"
std::string dnn_version();

// Throws what the status says: CTN_ENOMEM, CTN_EUNSUPPORTED where cuDNN has nothing for it,
// CTN_EINVAL where it refuses an argument, or CTN_EDEVICE. `who`: a device, or "cuda".
void check(std::string_view who, cudnnStatus_t status, std::string_view doing);

// ---- descriptors

template <class T, auto kCreate, auto kDestroy>
class Descriptor {
 public:
  Descriptor() { check("cuda", (dnn().*kCreate)(&p_), "making a descriptor"); }
  ~Descriptor() {
    if (p_) (dnn().*kDestroy)(p_);
  }
  Descriptor(Descriptor&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  T get() const { return p_; }

 private:
  T p_ = nullptr;
};

using TensorDescriptor = Descriptor<cudnnTensorDescriptor_t, &Dnn::cudnnCreateTensorDescriptor,
                                    &Dnn::cudnnDestroyTensorDescriptor>;
using FilterDescriptor = Descriptor<cudnnFilterDescriptor_t, &Dnn::cudnnCreateFilterDescriptor,
                                    &Dnn::cudnnDestroyFilterDescriptor>;
using ConvDescriptor =
    Descriptor<cudnnConvolutionDescriptor_t, &Dnn::cudnnCreateConvolutionDescriptor,
               &Dnn::cudnnDestroyConvolutionDescriptor>;
using ActivationDescriptor =
    Descriptor<cudnnActivationDescriptor_t, &Dnn::cudnnCreateActivationDescriptor,
               &Dnn::cudnnDestroyActivationDescriptor>;
using PoolingDescriptor = Descriptor<cudnnPoolingDescriptor_t, &Dnn::cudnnCreatePoolingDescriptor,
                                     &Dnn::cudnnDestroyPoolingDescriptor>;

cudnnDataType_t dnn_type(ctn_dtype dtype);
// What sums are made in: float64 for float64, float32 for all others.
cudnnDataType_t dnn_sum_type(ctn_dtype dtype);

using Sizes = std::array<int64_t, 4>;
// (N, C, H, W) in C order, or with the channels last.
TensorDescriptor describe_images(ctn_dtype dtype, const Sizes& shape, bool channels_last = false);
FilterDescriptor describe_filters(ctn_dtype dtype, const Sizes& shape, bool channels_last = false);

// alpha and beta are of the type that sums are made in.
class Factor {
 public:
  Factor(ctn_dtype dtype, double value)
      : wide_(dnn_sum_type(dtype) == CUDNN_DATA_DOUBLE),
        double_(value),
        float_(static_cast<float>(value)) {}
  const void* get() const { return wide_ ? static_cast<const void*>(&double_) : &float_; }

 private:
  bool wide_;
  double double_;
  float float_;
};

// ---- handles

// A handle is for one thread at a time and for one stream. Plans keep it: the last one that goes
// gives back what cuDNN holds of the device.
class DnnHandle {
 public:
  explicit DnnHandle(Device& d);
  ~DnnHandle();
  DnnHandle(const DnnHandle&) = delete;
  DnnHandle& operator=(const DnnHandle&) = delete;

  Device& device() const { return device_; }
  // Checks what body(cudnnHandle_t) returns; what it queues goes to the device's stream.
  template <class Body>
  void use(std::string_view doing, Body&& body) {
    const std::lock_guard lock(mutex_);
    const Current current(device_);
    check(device_.name, body(ready()), doing);
  }

 private:
  cudnnHandle_t ready();  // with the mutex held and the device current

  Device& device_;
  std::mutex mutex_;
  cudnnHandle_t handle_ = nullptr;
  CUstream stream_ = nullptr;
};

// The device's handle: that of the plans there are, or a fresh one.
std::shared_ptr<DnnHandle> dnn_handle(Device& d);

// ---- calls

// Why kernels of cuDNN take no call here: use_cudnn, or there is no cuDNN. NULL: they may.
const char* declines_dnn(const sdk::Call& c);
// Also: the arrays' sizes, or a dtype that is not that of the first input.
const char* declines_arrays(const sdk::Call& c, std::initializer_list<sdk::Tensor> arrays);
// Also: bfloat16, of which nobody says which functions but convolutions take it.
const char* declines_simple(const sdk::Call& c, std::initializer_list<sdk::Tensor> arrays);
// The memory of an input where cuDNN takes it, at a multiple of 16 bytes: a part of another array
// may begin anywhere, and is copied.
void* dnn_input(const sdk::Run& run, const sdk::Tensor& t);
// That the run is among what was queued, for errors that show later.
void note_queued(const sdk::Run& run);

// Of a window, its steps and its border: its kernels compute places in 32 bits.
inline constexpr int64_t kMostSide = 1 << 15;
inline constexpr int kDnnPriority = 100;  // above the backend's own kernels

}  // namespace catena::cuda
