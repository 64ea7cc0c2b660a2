// Size classes of the memory pool. Up to 4 KiB: multiples of 64 up to 256, then four classes for
// each doubling (slabs of 64 KiB are cut into them); up to 1 MiB eight for each doubling.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <bit>
#include <cstdint>

namespace catena {

inline constexpr uint64_t kSlabBytes = 64 * 1024;
inline constexpr uint64_t kSmallMost = 4096;
inline constexpr uint64_t kClassedMost = uint64_t{1} << 20;
inline constexpr uint32_t kSmallClasses = 20;
inline constexpr uint32_t kSizeClasses = kSmallClasses + 8 * 8;

// `per` classes between `from` (a power of two, itself the end of the class before) and above.
constexpr uint32_t step_above(uint64_t bytes, uint64_t from, uint32_t per) noexcept {
  const int log = 63 - std::countl_zero(bytes - 1);
  const int shift = log - std::countr_zero(uint64_t{per});
  const uint64_t step = ((bytes - 1) - (uint64_t{1} << log)) >> shift;
  return static_cast<uint32_t>(log - std::countr_zero(from)) * per + static_cast<uint32_t>(step);
}

// bytes <= kClassedMost.
constexpr uint32_t size_class(uint64_t bytes) noexcept {
  if (bytes <= 256) return bytes == 0 ? 0 : static_cast<uint32_t>((bytes - 1) / 64);
  if (bytes <= kSmallMost) return 4 + step_above(bytes, 256, 4);
  return kSmallClasses + step_above(bytes, kSmallMost, 8);
}

constexpr uint64_t class_bytes(uint32_t c) noexcept {
  if (c < 4) return 64 * (c + 1);
  const bool small = c < kSmallClasses;
  const uint32_t per = small ? 4 : 8;
  const uint32_t above = c - (small ? 4 : kSmallClasses);
  const uint64_t base = (small ? uint64_t{256} : kSmallMost) << (above / per);
  return base + base / per * (above % per + 1);
}

static_assert(class_bytes(kSmallClasses - 1) == kSmallMost && size_class(kSmallMost) == 19);
static_assert(class_bytes(kSizeClasses - 1) == kClassedMost);
static_assert(size_class(kClassedMost) == kSizeClasses - 1);

}  // namespace catena
