// Bit patterns of floating values, for the vector mathematics. In the namespace of the instruction
// set (CTN_ISA), like all of math/.
#pragma once

#include <stdint.h>

namespace catena::cpu::CTN_ISA::math {

inline uint32_t bits(float x) { return __builtin_bit_cast(uint32_t, x); }
inline uint64_t bits(double x) { return __builtin_bit_cast(uint64_t, x); }
inline float from_bits(uint32_t x) { return __builtin_bit_cast(float, x); }
inline double from_bits(uint64_t x) { return __builtin_bit_cast(double, x); }

inline constexpr uint32_t kSign32 = 0x80000000u;
inline constexpr uint64_t kSign64 = UINT64_C(1) << 63;

inline float abs(float x) { return from_bits(bits(x) & ~kSign32); }
inline double abs(double x) { return from_bits(bits(x) & ~kSign64); }
// `magnitude`, which is not negative, with the sign of x
inline float with_sign(float magnitude, float x) {
  return from_bits(bits(magnitude) | (bits(x) & kSign32));
}
inline double with_sign(double magnitude, double x) {
  return from_bits(bits(magnitude) | (bits(x) & kSign64));
}

// a * b + c: one rounding where the instruction exists, two elsewhere. Only for mathematics whose
// error is bounded either way; never for what a form says.
inline float madd(float a, float b, float c) {
#if defined(__FMA__)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}
inline double madd(double a, double b, double c) {
#if defined(__FMA__)
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

}  // namespace catena::cpu::CTN_ISA::math
