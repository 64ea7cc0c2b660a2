// What kernels made of an array and want to find again: packed and folded weights. Kept with the
// storage, each piece with the version of the data it was made of. Knows no kernel.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include "core/array.h"

namespace catena {

// One piece. Never changed once others can find it; used by runs after it was replaced.
struct Derived {
  std::atomic<int32_t> refs{1};
  Device* device = nullptr;
  uint64_t key = 0;
  uint64_t bytes = 0;
  std::byte* data = nullptr;
  uint32_t version = 0;  // of the storage
  Derived* next = nullptr;

  void retain() { refs.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;
};

// NULL if there is none of this key, the array was written since, or is a view.
Ref<Derived> find_derived(Array& a, uint64_t key);
// Not to be found yet.
Ref<Derived> make_derived(Array& a, uint64_t key, uint64_t bytes);
// From now on it is what is found, unless the array is a view, has been written, or may be unseen.
void keep_derived(Array& a, Derived& d) noexcept;

// For array.cc: those of a storage that goes.
void drop_derived(Storage& s) noexcept;

}  // namespace catena
