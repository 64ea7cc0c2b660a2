// Numbers for threads: never used again, unlike addresses and ids of the system.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <cstdint>

namespace catena {

// Of the calling thread, from 1; no other thread of the process has had it or will.
uint64_t thread_number() noexcept;

}  // namespace catena
