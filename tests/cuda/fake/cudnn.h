// What the files of the false cuDNN share: descriptors, checks of arguments, work on a stream. It
// computes with plain loops, refuses what the real one refuses, and counts.
#pragma once

#include <cudnn.h>

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>

struct cudnnContext {
  cudaStream_t stream;
};
struct cudnnTensorStruct {
  bool set;
  cudnnDataType_t type;
  int size[4];
  int64_t step[4];
};
struct cudnnFilterStruct : cudnnTensorStruct {};
struct cudnnConvolutionStruct {
  bool set;
  int pad[2], stride[2], dilate[2], groups;
  cudnnDataType_t sums;
  cudnnMathType_t math;
};
struct cudnnActivationStruct {
  bool set;
  cudnnActivationMode_t mode;
  cudnnNanPropagation_t nan;
};
struct cudnnPoolingStruct {
  bool set;
  cudnnPoolingMode_t mode;
  int window[2], pad[2], stride[2];
};

namespace fake {

// How a test steers it: libcudnn.so.9 exports
//   fake_cudnn_set("fail", n): the n-th computation from now fails
//   fake_cudnn_set("balk", n): so many convolutions are not supported, whatever was foretold
//   fake_cudnn_set("no bias", n): the next n convolutions with a bias are not supported
//   fake_cudnn_get(what): descriptors and handles alive ("alive") or ever made ("made"); calls that
//     were refused ("refused"), that foretold or timed algorithms, set a stream, computed; the
//     number of the algorithm that ran last ("forward", "data", "filter"), and its "math"; runs
//     with a bias ("biases"), and such calls that were not supported ("no biases")
struct State {
  std::recursive_mutex mutex;
  std::set<const void*> alive;
  std::map<std::string, int64_t> counts;
  int64_t fail = 0, balk = 0, no_bias = 0;
};
State& state();
using Lock = std::lock_guard<std::recursive_mutex>;
inline void count(const char* what) { ++state().counts[what]; }
inline cudnnStatus_t refuse(cudnnStatus_t s = CUDNN_STATUS_BAD_PARAM) {
  count("refused");
  return s;
}

template <class T>
bool alive(const T* p) {
  return state().alive.count(p) != 0;
}
// It is there and was filled in.
template <class T>
bool ready(const T* p) {
  return alive(p) && p->set;
}
template <class T>
cudnnStatus_t make(T** out) {
  const Lock lock(state().mutex);
  if (!out) return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
  *out = new T{};
  state().alive.insert(*out);
  count("made");
  return CUDNN_STATUS_SUCCESS;
}
template <class T>
cudnnStatus_t destroy(T* p) {
  const Lock lock(state().mutex);
  if (state().alive.erase(p) == 0) return refuse();
  delete p;
  return CUDNN_STATUS_SUCCESS;
}

// ---- elements

double read(cudnnDataType_t type, const void* p, int64_t at);
void write(cudnnDataType_t type, void* p, int64_t at, double v);
int64_t bytes_of(cudnnDataType_t type);
int64_t place(const cudnnTensorStruct& t, int64_t n, int64_t c, int64_t y, int64_t x);

// The array's memory is there, on the current device, and aligned as kernels read it: the real one
// calls anything else CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER.
bool holds(const cudnnTensorStruct& t, const void* p);
bool is_memory(const void* p, uint64_t bytes, uint64_t align);
// Sums are double for double, otherwise float.
cudnnDataType_t sums_of(cudnnDataType_t type);
// alpha or beta, of the type that sums of `type` have: false unless it is 0 or 1, which it would
// hardly be in another type.
bool factor(cudnnDataType_t type, const void* p, double* out);

// Queues work on the handle's stream, unless a test wants it to fail.
cudnnStatus_t queue(cudnnHandle_t h, std::function<void()> work);

}  // namespace fake

#define EXPORT __attribute__((visibility("default")))
