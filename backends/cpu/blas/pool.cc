// Rows of pooling windows for the instruction set of this file's flags; compiled once per set. The
// loops are written for the compiler to vectorise: selections instead of branches, constant steps.
#include <cpu/blas/pool.h>

namespace catena::cpu::CTN_ISA {
namespace {

// Greater, or the first NaN that comes by.
template <class T>
inline bool takes(T x, T best) {
  return (x > best) | (__builtin_isnan(x) & !__builtin_isnan(best));
}

template <class T, int kStep>
inline void max_steps(T* __restrict best, int32_t* __restrict index, const T* __restrict src,
                      int64_t n, int64_t step, int32_t position) {
  for (int64_t i = 0; i < n; ++i) {
    const T x = src[i * (kStep != 0 ? kStep : step)];
    const bool take = takes(x, best[i]);
    best[i] = take ? x : best[i];
    index[i] = take ? position : index[i];
  }
}

template <class T>
void max_row(T* best, int32_t* index, const T* src, int64_t n, int64_t step, int32_t position) {
  switch (step) {
    case 1: return max_steps<T, 1>(best, index, src, n, step, position);
    case 2: return max_steps<T, 2>(best, index, src, n, step, position);
    default: return max_steps<T, 0>(best, index, src, n, step, position);
  }
}

template <class T>
void max_2x2(T* __restrict best, int32_t* __restrict index, const T* __restrict top,
             const T* __restrict bottom, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const T a = top[2 * i], b = top[2 * i + 1], c = bottom[2 * i], d = bottom[2 * i + 1];
    const bool take_b = takes(b, a);
    const T ab = take_b ? b : a;
    const int32_t ab_index = take_b ? 1 : 0;
    const bool take_c = takes(c, ab);
    const T abc = take_c ? c : ab;
    const int32_t abc_index = take_c ? 2 : ab_index;
    const bool take_d = takes(d, abc);
    best[i] = take_d ? d : abc;
    index[i] = take_d ? 3 : abc_index;
  }
}

template <class T, int kStep>
inline void sum_steps(T* __restrict sums, const T* __restrict src, int64_t n, int64_t step) {
  for (int64_t i = 0; i < n; ++i) sums[i] += src[i * (kStep != 0 ? kStep : step)];
}

template <class T>
void sum_row(T* sums, const T* src, int64_t n, int64_t step) {
  switch (step) {
    case 1: return sum_steps<T, 1>(sums, src, n, step);
    case 2: return sum_steps<T, 2>(sums, src, n, step);
    default: return sum_steps<T, 0>(sums, src, n, step);
  }
}

template <class T>
void spread_row(T* __restrict dst, int64_t step, const T* __restrict src, int64_t n) {
  if (step == 1) {
    for (int64_t i = 0; i < n; ++i) dst[i] += src[i];
  } else {
    for (int64_t i = 0; i < n; ++i) dst[i * step] += src[i];
  }
}

template <class T>
constexpr PoolRows<T> make() {
  return {max_row<T>, max_2x2<T>, sum_row<T>, spread_row<T>};
}

}  // namespace

constinit const PoolRows<float> kPoolFloat = make<float>();
constinit const PoolRows<double> kPoolDouble = make<double>();

}  // namespace catena::cpu::CTN_ISA
