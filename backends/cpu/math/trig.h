// sin, cos and tan of float32, computed in double. Beyond kTrigLimit the C library is right.
#pragma once

#include <cpu/math/poly.h>

namespace catena::cpu::CTN_ISA::math {

// Below, n = x * 2 / pi has at most 20 bits: n times the first 33 bits of pi / 2 is exact.
inline constexpr float kTrigLimit = 1e6f;

// x = n pi / 2 + r, |r| <= pi / 4; n in the low bits of `n`
struct Angle {
  double r;
  uint64_t n;
};
inline Angle reduce_angle(double x) {
  double sum;
  const double n = nearest(x * 0x1.45f306dc9c883p-1, sum);
  return {madd(n, -0x1.0b4611a626331p-34, madd(n, -0x1.921fb544p0, x)), bits(sum)};
}
// Relative errors 2^-37 and 2^-34.
inline double sin_poly(double r) {
  return r * poly(r * r, 0x1.fffffffff5f85p-1, -0x1.55555548dcf13p-3, 0x1.111107149c1b6p-7,
                  -0x1.a00ec43b54581p-13, 0x1.6cafff7dbd751p-19);
}
inline double cos_poly(double r) {
  return poly(r * r, 0x1.ffffffff84662p-1, -0x1.ffffffb63e44ep-2, 0x1.5555389a4dcf7p-5,
              -0x1.6c06e74d5cd79p-10, 0x1.98e6edff7fd7ap-16);
}
// b where n is odd, a elsewhere; without a comparison of 64-bit integers, which SSE2 lacks
inline double odd_picks(uint64_t n, double a, double b) {
  const uint64_t mask = 0 - (n & 1);
  return from_bits((bits(b) & mask) | (bits(a) & ~mask));
}
// The sine at angle n pi / 2 + r
inline double turn(double s, double c, uint64_t n) {
  return from_bits(bits(odd_picks(n, s, c)) ^ ((n & 2) << 62));
}

inline float sin(float x) {
  const Angle a = reduce_angle(static_cast<double>(x));
  return static_cast<float>(turn(sin_poly(a.r), cos_poly(a.r), a.n));
}
inline float cos(float x) {
  const Angle a = reduce_angle(static_cast<double>(x));
  return static_cast<float>(turn(sin_poly(a.r), cos_poly(a.r), a.n + 1));
}
inline float tan(float x) {
  const Angle a = reduce_angle(static_cast<double>(x));
  const double s = sin_poly(a.r);
  const double c = cos_poly(a.r);
  return static_cast<float>(odd_picks(a.n, s, -c) / odd_picks(a.n, c, s));
}

}  // namespace catena::cpu::CTN_ISA::math
