// Logarithms and powers of float32. log is float arithmetic, the others go through double.
#pragma once

#include <cpu/math/exp.h>
#include <cpu/math/round.h>

namespace catena::cpu::CTN_ISA::math {

// x = 2^e m, m in [sqrt(1/2), sqrt(2)), log1p(f) = f - f^2/2 + f^3 p(f) for f = m - 1; p to 2^-30.
inline float log(float x) {
  const bool tiny = x < 0x1p-126f;
  const float v = tiny ? x * 0x1p23f : x;
  const uint32_t shifted = bits(v) - 0x3f3504f3u;  // the bits of sqrt(1/2)
  const auto e = static_cast<float>(static_cast<int32_t>(shifted) >> 23) - (tiny ? 23.0f : 0.0f);
  const float f = from_bits((shifted & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
  const float p =
      poly(f, 0x1.555546p-2f, -0x1.ffffeep-3f, 0x1.99a546p-3f, -0x1.5562e4p-3f, 0x1.2332c0p-3f,
           -0x1.fb432ap-4f, 0x1.e650a6p-4f, -0x1.e2e9b4p-4f, 0x1.1b42b6p-4f);
  const float f2 = f * f;
  // ln2 in two parts; the first has 11 bits, so that e times it is exact
  const float low = madd(f2 * f, p, e * -0x1.bd0106p-13f) - 0.5f * f2;
  const float y = madd(e, 0x1.63p-1f, f + low);
  const float bad = x == 0.0f ? -kInfF : kNanF;
  return x > 0.0f ? (x == kInfF ? x : y) : bad;
}

// x = 2^e (1 + f) for positive normal x, 1 + f in [sqrt(1/2), sqrt(2)]
struct LogParts {
  double e, f;
};
inline LogParts log_parts(double x) {
  const uint64_t b = bits(x);
  const double m = from_bits((b & 0xfffffffffffffu) | 0x3ff0000000000000u);
  // the exponent field as the low bits of 2^52
  const double field = from_bits((b >> 52) | 0x4330000000000000u);
  const bool high = m > 0x1.6a09e667f3bcdp0;
  return {field - (high ? 0x1p52 + 1022 : 0x1p52 + 1023), (high ? m * 0.5 : m) - 1.0};
}
// log1p(f), relative error 2^-38
inline double log1p_poly(double f) {
  return f * poly(f, 0x1.fffffffffc4eap-1, -0x1.fffffffe96d59p-2, 0x1.5555556b8172cp-2,
                  -0x1.0000018c590f9p-2, 0x1.999985a41606fp-3, -0x1.555454185408fp-3,
                  0x1.2495273a7672bp-3, -0x1.00248d4cf73c7p-3, 0x1.c6e001d88f4e3p-4,
                  -0x1.948c0d639f03cp-4, 0x1.71da9dea5031bp-4, -0x1.7e5868e38377cp-4,
                  0x1.786045b69d2dep-4, -0x1.8bff0544564cbp-5);
}
inline constexpr double kLn2 = 0x1.62e42fefa39efp-1;
inline constexpr double kLog2E = 0x1.71547652b82fep0;
inline constexpr double kLog10E = 0x1.bcb7b1526e50ep-2;
inline constexpr double kLog10Of2 = 0x1.34413509f79ffp-2;

// What a logarithm is for arguments that have none, given its value y for the others.
inline float log_cases(float x, float y) {
  const float bad = x == 0.0f ? -kInfF : kNanF;
  return x > 0.0f ? (x == kInfF ? x : y) : bad;
}

inline float log1p(float x) {
  const double wide = static_cast<double>(x);
  const LogParts p = log_parts(1.0 + wide);
  const double f = p.e == 0.0 ? wide : p.f;  // 1 + x has lost the last bits of a small x
  const float y = static_cast<float>(madd(p.e, kLn2, log1p_poly(f)));
  const float bad = x == -1.0f ? -kInfF : kNanF;
  const float finite = x == 0.0f ? x : y;  // keeps -0
  return x > -1.0f ? (x == kInfF ? x : finite) : bad;
}
inline float log2(float x) {
  const LogParts p = log_parts(static_cast<double>(x));
  return log_cases(x, static_cast<float>(madd(log1p_poly(p.f), kLog2E, p.e)));
}
inline float log10(float x) {
  const LogParts p = log_parts(static_cast<double>(x));
  return log_cases(x, static_cast<float>(madd(log1p_poly(p.f), kLog10E, p.e * kLog10Of2)));
}

// 2^(y log2|x|) with the cases of C99 F.9.4.4.
inline float pow(float x, float y) {
  const double ax = static_cast<double>(abs(x));
  const double wide = static_cast<double>(y);
  const LogParts p = log_parts(ax);
  const double finite = madd(log1p_poly(p.f), kLog2E, p.e);
  const double infinite = ax == 0.0 ? -__builtin_inf() : ax;  // of 0, infinity and NaN
  const double l = ax > 0.0 && ax < __builtin_inf() ? finite : infinite;
  const float r = static_cast<float>(value(exp2_parts(within(wide * l, 200))));
  const bool whole = rint(wide) == wide;
  const bool odd = whole && rint(wide * 0.5) != wide * 0.5;
  const bool negative = (bits(x) & kSign32) != 0;
  const float with = negative && odd ? -r : r;
  const float real = x < 0.0f && x > -kInfF && !whole ? kNanF : with;
  const bool one = y == 0.0f || x == 1.0f || (x == -1.0f && abs(y) == kInfF);
  return one ? 1.0f : real;
}

}  // namespace catena::cpu::CTN_ISA::math
