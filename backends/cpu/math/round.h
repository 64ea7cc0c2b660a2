// Rounding to integers in floating arithmetic. One instruction from SSE4.1 on; before, the sum with
// 2^23 (2^52) rounds to nearest even and the rest follows from that.
#pragma once

#include <cpu/math/bits.h>

namespace catena::cpu::CTN_ISA::math {

#if defined(__SSE4_1__)

inline float rint(float x) { return __builtin_rintf(x); }
inline double rint(double x) { return __builtin_rint(x); }
inline float floor(float x) { return __builtin_floorf(x); }
inline double floor(double x) { return __builtin_floor(x); }
inline float ceil(float x) { return __builtin_ceilf(x); }
inline double ceil(double x) { return __builtin_ceil(x); }
inline float trunc(float x) { return __builtin_truncf(x); }
inline double trunc(double x) { return __builtin_trunc(x); }

#else

template <class T>
inline constexpr T kAllInteger = sizeof(T) == 4 ? T(8388608) : T(4503599627370496);

template <class T>
inline T rint(T x) {
  const T m = abs(x);
  const T r = (m + kAllInteger<T>)-kAllInteger<T>;
  return with_sign(m < kAllInteger<T> ? r : m, x);
}
template <class T>
inline T trunc(T x) {
  const T m = abs(x);
  const T r = (m + kAllInteger<T>)-kAllInteger<T>;
  const T down = r > m ? r - T(1) : r;
  return with_sign(m < kAllInteger<T> ? down : m, x);
}
template <class T>
inline T floor(T x) {
  const T t = trunc(x);
  return t > x ? t - T(1) : t;
}
template <class T>
inline T ceil(T x) {
  const T t = trunc(x);
  return with_sign(abs(t < x ? t + T(1) : t), x);
}

#endif

}  // namespace catena::cpu::CTN_ISA::math
