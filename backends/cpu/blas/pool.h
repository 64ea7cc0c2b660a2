// Rows of pooling windows for one instruction set: pooling.cc walks over windows, these over the
// columns of a row.
#pragma once

#include <stdint.h>

namespace catena::cpu {

template <class T>
struct PoolRows {
  // Where src[i * step] is greater than best[i], or the first NaN: best[i] and index[i] take it.
  void (*max)(T* best, int32_t* index, const T* src, int64_t n, int64_t step, int32_t position);
  // The same for whole windows of 2 x 2 side by side: two rows of 2n elements.
  void (*max_2x2)(T* best, int32_t* index, const T* top, const T* bottom, int64_t n);
  // sums[i] += src[i * step]
  void (*sum)(T* sums, const T* src, int64_t n, int64_t step);
  // dst[i * step] += src[i]
  void (*spread)(T* dst, int64_t step, const T* src, int64_t n);
};

namespace sse2 {
extern const PoolRows<float> kPoolFloat;
extern const PoolRows<double> kPoolDouble;
}  // namespace sse2
namespace avx2 {
extern const PoolRows<float> kPoolFloat;
extern const PoolRows<double> kPoolDouble;
}  // namespace avx2
namespace avx512 {
extern const PoolRows<float> kPoolFloat;
extern const PoolRows<double> kPoolDouble;
}  // namespace avx512

}  // namespace catena::cpu
