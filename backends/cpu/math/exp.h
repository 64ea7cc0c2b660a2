// Exponentials of float32. exp itself is float arithmetic; where that would cancel or lose the last
// bits the others go through double, whose error of 2^-37 leaves a correctly rounded result nearly
// always.
#pragma once

#include <cpu/math/poly.h>

namespace catena::cpu::CTN_ISA::math {

inline constexpr float kInfF = __builtin_inff();
inline constexpr float kNanF = __builtin_nanf("");

// exp(x) = 2^n exp(r), |r| <= ln2 / 2, exp(r) = 1 + r + r^2 q(r); q to 2^-28.
inline float exp(float x) {
  const float low = x < -104.0f ? -104.0f : x;  // below, the result rounds to 0; NaN stays
  const float v = low > 89.0f ? 89.0f : low;    // above, it is infinite
  float sum;
  const float n = nearest(v * 0x1.715476p0f, sum);
  // ln2 in two parts; the first has 11 bits, so that n times it is exact
  const float r = madd(n, 0x1.bd0106p-13f, madd(n, -0x1.63p-1f, v));
  const float q =
      poly(r, 0x1.fffffcp-2f, 0x1.555492p-3f, 0x1.5558f2p-5f, 0x1.1239e2p-7f, 0x1.6a2446p-10f);
  const float y = madd(r * r, q, r) + 1.0f;
  // 2^n in two factors: n may be beyond the exponents of normal numbers
  const auto k = static_cast<int32_t>(bits(sum)) - 0x4b400000;
  const int32_t half = k >> 1;
  const float first = from_bits(static_cast<uint32_t>(half + 127) << 23);
  const float second = from_bits(static_cast<uint32_t>(k - half + 127) << 23);
  return y * first * second;
}

// exp(x) = scale * (1 + r * q), q to 2^-37; for |x| < 700.
struct ExpParts {
  double scale, r, q;
};
inline ExpParts exp_parts(double sum, double r) {
  const double q = poly(r, 0x1.fffffffff641cp-1, 0x1.000000001a849p-1, 0x1.5555557e233d0p-3,
                        0x1.555554f2ff162p-5, 0x1.1110a68c1ba37p-7, 0x1.6c175b1c22e43p-10,
                        0x1.a17d62f98153ep-13, 0x1.a019f644fc8f6p-16);
  return {from_bits((bits(sum) + 1023) << 52), r, q};
}
inline ExpParts exp_parts(double x) {
  double sum;
  const double n = nearest(x * 0x1.71547652b82fep0, sum);
  return exp_parts(sum, madd(n, -0x1.62e42fefa39efp-1, x));
}
inline ExpParts exp2_parts(double x) {
  double sum;
  const double n = nearest(x, sum);
  return exp_parts(sum, (x - n) * 0x1.62e42fefa39efp-1);
}
inline double value(ExpParts p) { return madd(p.scale * p.r, p.q, p.scale); }
inline double minus_one(ExpParts p) { return madd(p.scale * p.r, p.q, p.scale - 1.0); }

// `x` within +-limit, NaN as it is
inline double within(double x, double limit) {
  const double low = x < -limit ? -limit : x;
  return low > limit ? limit : low;
}

inline float expm1(float x) {
  const float y = static_cast<float>(minus_one(exp_parts(within(static_cast<double>(x), 200))));
  return x == 0.0f ? x : y;  // keeps -0
}
inline float exp2(float x) {
  return static_cast<float>(value(exp2_parts(within(static_cast<double>(x), 200))));
}
inline float sinh(float x) {
  const double p = minus_one(exp_parts(within(static_cast<double>(abs(x)), 200)));
  return with_sign(static_cast<float>(0.5 * (p + p / (p + 1.0))), x);
}
inline float cosh(float x) {
  const double e = value(exp_parts(within(static_cast<double>(abs(x)), 200)));
  return static_cast<float>(0.5 * (e + 1.0 / e));
}

}  // namespace catena::cpu::CTN_ISA::math
