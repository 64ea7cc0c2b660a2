// Rows of batch normalization for one instruction set: norm.cc walks over arrays, these over n
// elements of one channel, or over columns that are channels of their own.
#pragma once

#include <stdint.h>

namespace catena::cpu {

// Count, mean and sum of squared distances from it, of what has been seen so far.
struct Moments {
  double count = 0, mean = 0, squares = 0;
};
inline void merge(Moments& into, const Moments& m) {
  const double n = into.count + m.count;
  if (m.count == 0) return;
  const double d = m.mean - into.mean, share = m.count / n;
  into.squares += m.squares + d * d * into.count * share;
  into.mean += d * share;
  into.count = n;
}

// gx = scale * (gy - offset - (x - mean) * slope)
template <class T>
struct NormSlope {
  T mean, scale, offset, slope;
};

template <class T>
struct NormLoops {
  void (*moments)(Moments* m, const T* x, int64_t n);
  // y = (x - mean) * scale + shift
  void (*apply)(T* y, const T* x, T mean, T scale, T shift, int64_t n);
  // sums[0] += sum(gy), sums[1] += sum(gy * (x - mean))
  void (*dots)(double* sums, const T* gy, const T* x, T mean, int64_t n);
  void (*slope)(T* gx, const T* gy, const T* x, NormSlope<T> k, int64_t n);

  // Columns: parameters are arrays of n.
  void (*add)(T* sums, const T* x, int64_t n);
  void (*distances)(T* sums, T* squares, const T* x, const T* mean, int64_t n);
  void (*column_apply)(T* y, const T* x, const T* mean, const T* scale, const T* shift, int64_t n);
  void (*column_dots)(T* sums, T* dots, const T* gy, const T* x, const T* mean, int64_t n);
  void (*column_slope)(T* gx, const T* gy, const T* x, const T* mean, const T* scale,
                       const T* offset, const T* slope, int64_t n);
};

namespace sse2 {
extern const NormLoops<float> kNormFloat;
extern const NormLoops<double> kNormDouble;
}  // namespace sse2
namespace avx2 {
extern const NormLoops<float> kNormFloat;
extern const NormLoops<double> kNormDouble;
}  // namespace avx2
namespace avx512 {
extern const NormLoops<float> kNormFloat;
extern const NormLoops<double> kNormDouble;
}  // namespace avx512

}  // namespace catena::cpu
