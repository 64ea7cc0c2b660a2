// Sums along a row for one instruction set: whole vectors into four accumulators, blocks of a row
// into a double. Which element joins which accumulator depends on the length of the row alone.
#pragma once

#include <stdint.h>

namespace catena::cpu::CTN_ISA {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

template <class T>
struct Lanes {
  typedef T V __attribute__((vector_size(kVectorBytes)));
  static constexpr int kCount = kVectorBytes / static_cast<int>(sizeof(T));
  static V load(const T* p) {
    V v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  }
  static T fold(V v) {
    T x[kCount];
    __builtin_memcpy(x, &v, sizeof v);
    for (int half = kCount / 2; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) x[i] += x[i + half];
    return x[0];
  }
};

inline constexpr int64_t kSumBlock = 4096;

// The sum of term(i) over [0, n), n <= kSumBlock, where term(i, V) gives a vector from i on.
template <class T, class Vector, class Scalar>
inline T sum_block(int64_t n, Vector vector, Scalar scalar) {
  using L = Lanes<T>;
  typename L::V a{}, b{}, c{}, d{};
  int64_t i = 0;
  for (; i + 4 * L::kCount <= n; i += 4 * L::kCount) {
    a += vector(i);
    b += vector(i + L::kCount);
    c += vector(i + 2 * L::kCount);
    d += vector(i + 3 * L::kCount);
  }
  for (; i + L::kCount <= n; i += L::kCount) a += vector(i);
  T rest = 0;
  for (; i < n; ++i) rest += scalar(i);
  return L::fold((a + b) + (c + d)) + rest;
}

template <class T>
inline double sum(const T* x, int64_t n) {
  double total = 0;
  for (int64_t at = 0; at < n; at += kSumBlock) {
    const T* p = x + at;
    const int64_t m = n - at < kSumBlock ? n - at : kSumBlock;
    total += static_cast<double>(sum_block<T>(
        m, [p](int64_t i) { return Lanes<T>::load(p + i); }, [p](int64_t i) { return p[i]; }));
  }
  return total;
}

template <class T>
inline double dot(const T* x, const T* y, int64_t n) {
  double total = 0;
  for (int64_t at = 0; at < n; at += kSumBlock) {
    const T *p = x + at, *q = y + at;
    const int64_t m = n - at < kSumBlock ? n - at : kSumBlock;
    total += static_cast<double>(sum_block<T>(
        m, [p, q](int64_t i) { return Lanes<T>::load(p + i) * Lanes<T>::load(q + i); },
        [p, q](int64_t i) { return p[i] * q[i]; }));
  }
  return total;
}

}  // namespace catena::cpu::CTN_ISA
