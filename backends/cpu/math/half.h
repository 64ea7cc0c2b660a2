// The 16-bit floats: exact widening, narrowing to nearest even, NaN stays NaN. Branch-free integer
// arithmetic that vectorises on every instruction set.
#pragma once

#include <cpu/math/bits.h>

namespace catena::cpu::CTN_ISA::math {

inline float from_half(uint16_t h) {
  const uint32_t sign = (uint32_t{h} & 0x8000u) << 16;
  const uint32_t magnitude = (uint32_t{h} & 0x7fffu) << 13;
  // 2^112 moves the exponent's bias; a subnormal half is a subnormal float here and becomes normal
  const uint32_t finite = bits(from_bits(magnitude) * 0x1p112f);
  const uint32_t special = magnitude | 0x7f800000u;
  return from_bits((magnitude >= 0x0f800000u ? special : finite) | sign);
}

inline uint16_t to_half(float x) {
  const uint32_t sign = (bits(x) >> 16) & 0x8000u;
  const uint32_t m = bits(x) & 0x7fffffffu;
  // a sum with 0.5 leaves the units of 2^-24 in the low bits, rounded by the addition
  const uint32_t subnormal = bits(from_bits(m) + 0.5f) - 0x3f000000u;
  const uint32_t normal = (m - 0x38000000u + 0xfffu + ((m >> 13) & 1u)) >> 13;
  const uint32_t special = m > 0x7f800000u ? (0x7e00u | ((m >> 13) & 0x3ffu)) : 0x7c00u;
  const uint32_t finite = m < 0x38800000u ? subnormal : normal;
  return static_cast<uint16_t>((m >= 0x47800000u ? special : finite) | sign);
}

inline float from_brain(uint16_t h) { return from_bits(uint32_t{h} << 16); }

inline uint16_t to_brain(float x) {
  const uint32_t b = bits(x);
  const uint32_t rounded = (b + 0x7fffu + ((b >> 16) & 1u)) >> 16;
  const uint32_t nan = (b >> 16) | 0x40u;
  return static_cast<uint16_t>((b & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

}  // namespace catena::cpu::CTN_ISA::math
