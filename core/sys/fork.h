// What has to happen around fork(): locks are taken before it and opened after it on both sides,
// and a child learns that its threads are gone. One pthread_atfork handler serves all.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <cstdint>

namespace catena {

// An entry lives as long as the object it guards. The three functions run in the forking thread and
// must neither allocate nor take a lock that is held while another entry's lock is taken.
struct ForkEntry {
  void* self;
  void (*before)(void* self) noexcept;  // each may be NULL
  void (*in_parent)(void* self) noexcept;
  void (*in_child)(void* self) noexcept;
  ForkEntry* next = nullptr;
  ForkEntry* previous = nullptr;
};

// Throws CTN_ENOMEM when the process cannot take the handler.
void add_fork_entry(ForkEntry& entry);
void remove_fork_entry(ForkEntry& entry) noexcept;

}  // namespace catena
