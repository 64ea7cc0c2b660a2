// Polynomials by Horner's rule, lowest coefficient first. Coefficients in math/ come from our own
// Remez fits in 40 digits; the error named beside each is that of the exact polynomial.
#pragma once

#include <cpu/math/bits.h>

namespace catena::cpu::CTN_ISA::math {

template <class T>
inline T poly(T, T c0) {
  return c0;
}
template <class T, class... Rest>
inline T poly(T x, T c0, Rest... rest) {
  return madd(poly(x, rest...), x, c0);
}

// Rounds to the nearest integer by the sum with 1.5 * 2^23 (2^52); `sum` keeps that integer in its
// low bits. For |x| below 2^22 (2^51).
inline float nearest(float x, float& sum) {
  sum = x + 12582912.0f;
  return sum - 12582912.0f;
}
inline double nearest(double x, double& sum) {
  sum = x + 6755399441055744.0;
  return sum - 6755399441055744.0;
}

}  // namespace catena::cpu::CTN_ISA::math
