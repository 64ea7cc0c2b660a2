// float16 and bfloat16 as storage types: values are widened to float, computed with, and rounded to
// nearest even when stored. There is no arithmetic on them by design.
#ifndef CATENA_SDK_FLOAT16_HPP
#define CATENA_SDK_FLOAT16_HPP

#include <catena/sdk/host.hpp>

#include <bit>
#include <cstdint>
#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace catena {
namespace sdk CTN_SDK_HIDDEN {

// IEEE 754 binary16 -> binary32, exact; signalling NaN becomes quiet.
inline float widen_float16(uint16_t h) noexcept {
#if defined(__F16C__)
  return _cvtsh_ss(h);
#else
  const uint32_t sign = uint32_t{h & 0x8000u} << 16;
  const uint32_t magnitude = h & 0x7fffu;
  if (magnitude >= 0x7c00u) {  // infinity or NaN
    const uint32_t quiet = magnitude > 0x7c00u ? 0x00400000u : 0u;
    return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13 | quiet);
  }
  // Place the bits in a float and let one multiplication by 2^112 correct the exponent's bias; it
  // is exact and turns subnormal halves into normal floats.
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | sign);
#endif
}

// binary32 -> binary16, to nearest even; overflow gives infinity, NaN stays NaN.
inline uint16_t narrow_float16(float f) noexcept {
#if defined(__F16C__)
  return static_cast<uint16_t>(_cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT));
#else
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  const uint32_t sign = bits >> 16 & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t h;
  if (magnitude > 0x7f800000u) {
    h = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  } else if (magnitude >= 0x477ff000u) {  // 65520: rounds to 2^16
    h = 0x7c00u;
  } else if (magnitude < 0x38800000u) {  // below 2^-14: a subnormal half, a multiple of 2^-24
    // Adding 0.5 leaves a float whose last place is 2^-24: the addition itself rounds.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    h = std::bit_cast<uint32_t>(shifted) - 0x3f000000u;
  } else {
    const uint32_t odd = magnitude >> 13 & 1u;
    h = (magnitude - 0x38000000u + 0xfffu + odd) >> 13;
  }
  return static_cast<uint16_t>(sign | h);
#endif
}

// binary64 -> binary32 for a second rounding: inexact results get an odd last place, so that the
// second rounding sees on which side of a tie the value lies.
inline float narrow_odd(double d) noexcept {
  const float f = static_cast<float>(d);
  const double back = static_cast<double>(f);
  uint32_t bits = std::bit_cast<uint32_t>(f);
  if (back == d || d != d || (bits & 0x7fffffffu) == 0x7f800000u) return f;
  const bool away = d < 0 ? back < d : back > d;
  if (away) --bits;
  return std::bit_cast<float>(bits | 1u);
}

inline float widen_bfloat16(uint16_t b) noexcept { return std::bit_cast<float>(uint32_t{b} << 16); }
inline uint16_t narrow_bfloat16(float f) noexcept {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

struct float16 {
  uint16_t bits;
  float16() = default;
  explicit float16(float f) noexcept : bits(narrow_float16(f)) {}
  explicit float16(double d) noexcept : float16(narrow_odd(d)) {}
  operator float() const noexcept { return widen_float16(bits); }
};

struct bfloat16 {
  uint16_t bits;
  bfloat16() = default;
  explicit bfloat16(float f) noexcept : bits(narrow_bfloat16(f)) {}
  explicit bfloat16(double d) noexcept : bfloat16(narrow_odd(d)) {}
  operator float() const noexcept { return widen_bfloat16(bits); }
};

// What one computes with: float for the 16-bit types, else the type itself.
template <class T>
struct ComputeType {
  using type = T;
};
template <>
struct ComputeType<float16> {
  using type = float;
};
template <>
struct ComputeType<bfloat16> {
  using type = float;
};
template <class T>
using compute_t = typename ComputeType<T>::type;

}  // namespace CTN_SDK_HIDDEN
}  // namespace catena

#endif
