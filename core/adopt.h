// The one reader of structs that cross the boundary: it copies what both sides know of a size-first
// struct into a zeroed one of ours and never looks at the original again. Knows no struct by name.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/types.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <type_traits>

#include "core/error.h"

namespace catena {

// Smaller than a size and one more member, or larger than any struct will be: not one of ours.
inline constexpr uint32_t kLeastStruct = 8;
inline constexpr uint32_t kMostStruct = 64 * 1024;

// `what` names the struct in the error: "ctn_op_def of add_op".
template <class T>
T adopt(const T* given, const char* what) {
  static_assert(std::is_trivially_copyable_v<T> && std::is_same_v<decltype(T::size), uint32_t>);
  static_assert(offsetof(T, size) == 0 && sizeof(T) >= kLeastStruct && sizeof(T) <= kMostStruct);
  if (!given) fail(CTN_EINVAL, std::string(what) + " is NULL");
  uint32_t size = 0;
  std::memcpy(&size, given, sizeof size);
  if (size < kLeastStruct || size > kMostStruct) {
    fail(CTN_EINVAL, std::string(what) + ": size is " + std::to_string(size) +
                         "; it is to be sizeof of the struct (" + std::to_string(sizeof(T)) +
                         " in this library)");
  }
  T own{};
  std::memcpy(static_cast<void*>(&own), given, std::min<size_t>(size, sizeof(T)));
  own.size = sizeof(T);
  return own;
}

// Bits nobody has defined yet: whoever sets them wants something this library does not do.
inline void check_flags(uint32_t flags, uint32_t known, const std::string& what) {
  if ((flags & ~known) != 0)
    fail(CTN_EINVAL, what + ": flags are " + std::to_string(flags) + ", of which " +
                         std::to_string(flags & ~known) + " are unknown");
}

}  // namespace catena
