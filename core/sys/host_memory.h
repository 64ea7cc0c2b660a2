// The raw host memory of a context that brought no allocator, and the adapter for one that did.
// Knows nothing of pools and limits.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <catena/types.h>

#include "core/memory.h"

namespace catena {

// The system's memory: from 1 MiB on own mappings, 2 MiB-aligned and offered to huge pages, below
// that the C library's heap. Stateless, any thread.
RawSource system_memory() noexcept;

// The same by way of a host's table, which is borrowed for the life of the source.
RawSource memory_of(const ctn_allocator& allocator) noexcept;

// What a context with these options uses: the table where its size is not 0, else the system.
inline RawSource host_memory(const ctn_allocator& allocator) noexcept {
  return allocator.size == 0 ? system_memory() : memory_of(allocator);
}

}  // namespace catena
