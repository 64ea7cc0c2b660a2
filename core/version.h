// The library's version, major << 16 | minor << 8 | patch; meson.build says the same.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <cstdint>

namespace catena {

inline constexpr uint32_t kVersion = 0 << 16 | 1 << 8 | 0;

}  // namespace catena
