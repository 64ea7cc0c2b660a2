// Lines of softmax for one instruction set: softmax.cc and loss.cc walk over arrays, these over n
// elements one after the other (rows) or `step` apart, m lines side by side (columns). `peak` is
// the largest element of a line and `total` the sum of exponentials relative to it.
#pragma once

#include <stdint.h>

namespace catena::cpu {

inline constexpr int64_t kMostColumns = 64;

template <class T>
struct SoftmaxLoops {
  void (*totals)(const T* x, int64_t n, T* peak, T* total);
  void (*softmax)(T* y, const T* x, int64_t n);
  void (*log_softmax)(T* y, const T* x, int64_t n);
  void (*softmax_grad)(T* gx, const T* y, const T* gy, int64_t n);
  void (*log_softmax_grad)(T* gx, const T* y, const T* gy, int64_t n);
  void (*scaled_exp)(T* y, const T* x, T peak, T scale, int64_t n);  // exp(x - peak) * scale

  // The same of m <= kMostColumns lines.
  void (*column_totals)(const T* x, int64_t n, int64_t step, int64_t m, T* peak, T* total);
  void (*column_softmax)(T* y, const T* x, int64_t n, int64_t step, int64_t m);
  void (*column_log_softmax)(T* y, const T* x, int64_t n, int64_t step, int64_t m);
  void (*column_softmax_grad)(T* gx, const T* y, const T* gy, int64_t n, int64_t step, int64_t m);
  void (*column_log_softmax_grad)(T* gx, const T* y, const T* gy, int64_t n, int64_t step,
                                  int64_t m);
  void (*column_scaled_exp)(T* y, const T* x, const T* peak, const T* scale, int64_t n,
                            int64_t step, int64_t m);
};

namespace sse2 {
extern const SoftmaxLoops<float> kSoftmaxFloat;
extern const SoftmaxLoops<double> kSoftmaxDouble;
}  // namespace sse2
namespace avx2 {
extern const SoftmaxLoops<float> kSoftmaxFloat;
extern const SoftmaxLoops<double> kSoftmaxDouble;
}  // namespace avx2
namespace avx512 {
extern const SoftmaxLoops<float> kSoftmaxFloat;
extern const SoftmaxLoops<double> kSoftmaxDouble;
}  // namespace avx512

}  // namespace catena::cpu
