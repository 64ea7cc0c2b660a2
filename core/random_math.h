// What random numbers are made of 64-bit random words by: uniform, normal, Gumbel. Written so that
// a loop over it vectorises, with logarithm, sine and cosine of our own: no result depends on the C
// library, and without contraction every CPU gives the same bits.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

// A function left as a call keeps the loop around it from being vectorised.
#define CATENA_LANE [[gnu::always_inline]] inline

namespace catena {

// An integer below 2^52 as a double, by way of the mantissa: there is no vector instruction for it
// before AVX-512.
CATENA_LANE double small_to_double(uint64_t i) noexcept {
  return std::bit_cast<double>(i | 0x4330000000000000u) - 0x1p52;
}

// (w >> 11) * 2^-53 in two exact halves.
CATENA_LANE double uniform(uint64_t w) noexcept {
  return small_to_double(w >> 32) * 0x1p-32 + small_to_double(w >> 11 & 0x1fffff) * 0x1p-53;
}

// x normal and positive, error below 1 ulp. x = 2^k * (1 + f) with 1 + f in [sqrt(1/2), sqrt(2));
// with s = f / (2 + f), log(1 + f) = 2 atanh(s) = f - s * (f - R), R = 2 (s^2/3 + s^4/5 + ...).
CATENA_LANE double log_of(double x) noexcept {
  constexpr uint64_t kSqrtHalf = 0x3fe6a09e667f3bcd;
  constexpr uint64_t kMantissa = (uint64_t{1} << 52) - 1;
  constexpr double kLn2High = 0x1.62e42fee00000p-1;  // 32 bits: k times it is exact
  constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  const uint64_t moved = std::bit_cast<uint64_t>(x) + (0x3ff0000000000000u - kSqrtHalf);
  const double k = small_to_double(moved >> 52) - 1023;
  const double f = std::bit_cast<double>((moved & kMantissa) + kSqrtHalf) - 1;
  const double s = f / (2 + f);
  const double z = s * s;
  double r = 2.0 / 21;
  r = 2.0 / 19 + z * r;
  r = 2.0 / 17 + z * r;
  r = 2.0 / 15 + z * r;
  r = 2.0 / 13 + z * r;
  r = 2.0 / 11 + z * r;
  r = 2.0 / 9 + z * r;
  r = 2.0 / 7 + z * r;
  r = 2.0 / 5 + z * r;
  r = 2.0 / 3 + z * r;
  return k * kLn2High + (f - (s * (f - z * r) - k * kLn2Low));
}

// Taylor series; |a| <= pi/4, where the terms left out are below 2^-60.
CATENA_LANE double sin_near_0(double a) noexcept {
  const double z = a * a;
  double p = 1.0 / 355687428096000;  // 17!
  p = -1.0 / 1307674368000 + z * p;
  p = 1.0 / 6227020800 + z * p;
  p = -1.0 / 39916800 + z * p;
  p = 1.0 / 362880 + z * p;
  p = -1.0 / 5040 + z * p;
  p = 1.0 / 120 + z * p;
  p = -1.0 / 6 + z * p;
  return a + a * (z * p);
}
CATENA_LANE double cos_near_0(double a) noexcept {
  const double z = a * a;
  double p = -1.0 / 6402373705728000;  // 18!
  p = 1.0 / 20922789888000 + z * p;
  p = -1.0 / 87178291200 + z * p;
  p = 1.0 / 479001600 + z * p;
  p = -1.0 / 3628800 + z * p;
  p = 1.0 / 40320 + z * p;
  p = -1.0 / 720 + z * p;
  p = 1.0 / 24 + z * p;
  p = -1.0 / 2 + z * p;
  return 1 + z * p;
}

// The two normal numbers of a block. v = quarter / 4 + rest, |rest| <= 1/8, both exact.
CATENA_LANE void normal_pair(uint64_t w0, uint64_t w1, double* out) noexcept {
  constexpr double kTwoPi = 6.283185307179586476925;
  constexpr double kRound = 0x1.8p52;  // adding it rounds to a whole number, in the low bits
  const double radius = std::sqrt(-2 * log_of(1 - uniform(w0)));
  const double v = uniform(w1);
  const double shifted = 4 * v + kRound;
  const uint64_t quarter = std::bit_cast<uint64_t>(shifted);
  const double rest = v - 0.25 * (shifted - kRound);
  const auto s = std::bit_cast<uint64_t>(sin_near_0(kTwoPi * rest));
  const auto c = std::bit_cast<uint64_t>(cos_near_0(kTwoPi * rest));
  const uint64_t odd = uint64_t{0} - (quarter & 1);
  const uint64_t cosine = ((c & ~odd) | (s & odd)) ^ ((quarter + 1) & 2) << 62;
  const uint64_t sine = ((s & ~odd) | (c & odd)) ^ (quarter & 2) << 62;
  out[0] = radius * std::bit_cast<double>(cosine);
  out[1] = radius * std::bit_cast<double>(sine);
}

// -log(-log(u)) with u = ((w >> 12) + 1/2) * 2^-52, which is neither 0 nor 1.
CATENA_LANE double gumbel(uint64_t w) noexcept {
  const double u = (small_to_double(w >> 12) + 0.5) * 0x1p-52;
  return -log_of(-log_of(u));
}

}  // namespace catena

#undef CATENA_LANE
