// A false cuDNN on the false driver: handles, descriptors, work on a stream.
#include "cudnn.h"

#include <catena/sdk/float16.hpp>

#include <dlfcn.h>

#include <cstring>

#include "driver.h"

using catena::sdk::narrow_bfloat16, catena::sdk::narrow_float16;
using catena::sdk::widen_bfloat16, catena::sdk::widen_float16;

namespace fake {
namespace {

template <class T>
T* of_driver(const char* name) {
  static void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  return reinterpret_cast<T*>(dlsym(driver, name));
}

}  // namespace

State& state() {
  static State* const s = new State;
  return *s;
}

double read(cudnnDataType_t type, const void* p, int64_t at) {
  switch (type) {
    case CUDNN_DATA_DOUBLE: return static_cast<const double*>(p)[at];
    case CUDNN_DATA_FLOAT: return static_cast<double>(static_cast<const float*>(p)[at]);
    case CUDNN_DATA_HALF:
      return static_cast<double>(widen_float16(static_cast<const uint16_t*>(p)[at]));
    default: return static_cast<double>(widen_bfloat16(static_cast<const uint16_t*>(p)[at]));
  }
}

void write(cudnnDataType_t type, void* p, int64_t at, double v) {
  const auto f = static_cast<float>(v);
  switch (type) {
    case CUDNN_DATA_DOUBLE: static_cast<double*>(p)[at] = v; break;
    case CUDNN_DATA_FLOAT: static_cast<float*>(p)[at] = f; break;
    case CUDNN_DATA_HALF: static_cast<uint16_t*>(p)[at] = narrow_float16(f); break;
    default: static_cast<uint16_t*>(p)[at] = narrow_bfloat16(f);
  }
}

int64_t bytes_of(cudnnDataType_t type) {
  return type == CUDNN_DATA_DOUBLE ? 8 : type == CUDNN_DATA_FLOAT ? 4 : 2;
}

int64_t place(const cudnnTensorStruct& t, int64_t n, int64_t c, int64_t y, int64_t x) {
  return n * t.step[0] + c * t.step[1] + y * t.step[2] + x * t.step[3];
}

bool is_memory(const void* p, uint64_t bytes, uint64_t align) {
  return p && reinterpret_cast<uintptr_t>(p) % align == 0 &&
         of_driver<decltype(fake_cuda_owns)>("fake_cuda_owns")(p, bytes) != 0;
}

bool holds(const cudnnTensorStruct& t, const void* p) {
  const int64_t all = int64_t{t.size[0]} * t.size[1] * t.size[2] * t.size[3];
  return is_memory(p, static_cast<uint64_t>(all * bytes_of(t.type)), 16);
}

cudnnDataType_t sums_of(cudnnDataType_t type) {
  return type == CUDNN_DATA_DOUBLE ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
}

bool factor(cudnnDataType_t type, const void* p, double* out) {
  if (!p) return false;
  *out = read(sums_of(type), p, 0);
  return *out == 0 || *out == 1;
}

cudnnStatus_t queue(cudnnHandle_t h, std::function<void()> work) {
  State& s = state();
  if (s.fail > 0 && --s.fail == 0) return CUDNN_STATUS_EXECUTION_FAILED;
  count("computed");
  of_driver<decltype(fake_cuda_enqueue)>("fake_cuda_enqueue")(
      h->stream, [](void* job) { (*static_cast<std::function<void()>*>(job))(); },
      new std::function<void()>(std::move(work)),
      [](void* job) { delete static_cast<std::function<void()>*>(job); });
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace fake

using fake::Lock, fake::refuse, fake::state;

extern "C" {

EXPORT void fake_cudnn_set(const char* what, int64_t n) {
  const Lock lock(state().mutex);
  if (std::strcmp(what, "fail") == 0) state().fail = n;
  if (std::strcmp(what, "balk") == 0) state().balk = n;
  if (std::strcmp(what, "no bias") == 0) state().no_bias = n;
}
EXPORT int64_t fake_cudnn_get(const char* what) {
  const Lock lock(state().mutex);
  return std::strcmp(what, "alive") == 0 ? static_cast<int64_t>(state().alive.size())
                                         : state().counts[what];
}

EXPORT size_t cudnnGetVersion() { return CUDNN_VERSION; }
EXPORT const char* cudnnGetErrorString(cudnnStatus_t s) {
  switch (s) {
    case CUDNN_STATUS_SUCCESS: return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_EXECUTION_FAILED: return "CUDNN_STATUS_EXECUTION_FAILED";
    case CUDNN_STATUS_NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
    default: return "CUDNN_STATUS_BAD_PARAM";
  }
}
EXPORT void cudnnGetLastErrorString(char* text, size_t most) {
  std::strncpy(text, "as a test wants", most);
}

EXPORT cudnnStatus_t cudnnCreate(cudnnHandle_t* h) { return fake::make(h); }
EXPORT cudnnStatus_t cudnnDestroy(cudnnHandle_t h) { return fake::destroy(h); }
EXPORT cudnnStatus_t cudnnSetStream(cudnnHandle_t h, cudaStream_t s) {
  const Lock lock(state().mutex);
  if (!fake::alive(h)) return refuse();
  h->stream = s;
  fake::count("streams");
  return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t describe(cudnnTensorStruct* t, cudnnDataType_t type,
                              cudnnTensorFormat_t format, int n, int c, int h, int w) {
  const Lock lock(state().mutex);
  if (!fake::alive(t) || n < 1 || c < 1 || h < 1 || w < 1 || format > CUDNN_TENSOR_NHWC)
    return refuse();
  const int64_t ch = c, hh = h, ww = w;
  if (format == CUDNN_TENSOR_NHWC)
    *t = {true, type, {n, c, h, w}, {hh * ww * ch, 1, ww * ch, ch}};
  else
    *t = {true, type, {n, c, h, w}, {ch * hh * ww, hh * ww, ww, 1}};
  return CUDNN_STATUS_SUCCESS;
}
EXPORT cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* t) {
  return fake::make(t);
}
EXPORT cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t t) {
  return fake::destroy(t);
}
EXPORT cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t t,
                                                cudnnTensorFormat_t format, cudnnDataType_t type,
                                                int n, int c, int h, int w) {
  return describe(t, type, format, n, c, h, w);
}
EXPORT cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* f) {
  return fake::make(f);
}
EXPORT cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t f) {
  return fake::destroy(f);
}
EXPORT cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t f, cudnnDataType_t type,
                                                cudnnTensorFormat_t format, int k, int c, int h,
                                                int w) {
  return describe(f, type, format, k, c, h, w);
}

EXPORT cudnnStatus_t cudnnCreateActivationDescriptor(cudnnActivationDescriptor_t* d) {
  return fake::make(d);
}
EXPORT cudnnStatus_t cudnnDestroyActivationDescriptor(cudnnActivationDescriptor_t d) {
  return fake::destroy(d);
}
EXPORT cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t d,
                                                  cudnnActivationMode_t mode,
                                                  cudnnNanPropagation_t nan, double) {
  const Lock lock(state().mutex);
  if (!fake::alive(d)) return refuse();
  *d = {true, mode, nan};
  return CUDNN_STATUS_SUCCESS;
}
}
