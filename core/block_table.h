// Bookkeeping of the memory pool: arrays that are grown outside of its lock, so that nothing
// foreign runs under it, and a hash table from block to size. The caller holds the lock for all
// else.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>

#include "core/spin.h"

namespace catena {

// `promised` counts the entries that may be in here at once: room for them is kept, so that adding
// never fails. T is trivially copyable.
template <class T>
struct Store {
  std::unique_ptr<T[]> at;
  uint64_t size = 0;
  uint64_t room = 0;
  uint64_t promised = 0;

  // Called without the lock. False when the C++ heap has no memory.
  bool promise(SpinLock& lock, uint64_t more) noexcept {
    lock.lock();
    while (promised + more > room) {
      const uint64_t wanted = std::max<uint64_t>({16, 2 * room, promised + more});
      lock.unlock();
      std::unique_ptr<T[]> fresh(new (std::nothrow) T[wanted]);
      if (fresh == nullptr) return false;
      lock.lock();
      if (wanted > room) {
        std::copy(begin(), end(), fresh.get());
        at.swap(fresh);
        room = wanted;
      }
      lock.unlock();
      fresh.reset();
      lock.lock();
    }
    promised += more;
    lock.unlock();
    return true;
  }

  T* begin() const noexcept { return at.get(); }
  T* end() const noexcept { return at.get() + size; }
  void push(const T& entry) noexcept { at[size++] = entry; }
  const T& pop() noexcept { return at[--size]; }

  void insert(uint64_t index, const T& entry) noexcept {
    std::copy_backward(begin() + index, end(), end() + 1);
    at[index] = entry;
    ++size;
  }
  void erase(uint64_t index) noexcept {
    std::copy(begin() + index + 1, end(), begin() + index);
    --size;
  }
};

// Open addressing with linear probing, at most half full. Entries with p == NULL are empty.
class SizeTable {
 public:
  struct Entry {
    void* p = nullptr;
    uint64_t bytes = 0;
  };

  // As Store::promise.
  bool promise(SpinLock& lock) noexcept {
    lock.lock();
    while (2 * (promised_ + 1) > room_) {
      const uint64_t wanted = std::max<uint64_t>(32, 2 * room_);
      lock.unlock();
      std::unique_ptr<Entry[]> fresh(new (std::nothrow) Entry[wanted]);
      if (fresh == nullptr) return false;
      lock.lock();
      if (wanted > room_) rehash(fresh, wanted);
      lock.unlock();
      fresh.reset();
      lock.lock();
    }
    ++promised_;
    lock.unlock();
    return true;
  }
  void unpromise(uint64_t n) noexcept { promised_ -= n; }

  void add(void* p, uint64_t bytes) noexcept {
    uint64_t i = home(p);
    while (at_[i].p != nullptr) i = next(i);
    at_[i] = {p, bytes};
  }

  // The size of p, which leaves the table; 0 if it is not here.
  uint64_t take(void* p) noexcept {
    if (room_ == 0) return 0;
    uint64_t hole = home(p);
    while (at_[hole].p != p) {
      if (at_[hole].p == nullptr) return 0;
      hole = next(hole);
    }
    const uint64_t bytes = at_[hole].bytes;
    // What follows may move into the hole unless its home lies behind the hole.
    for (uint64_t i = next(hole); at_[i].p != nullptr; i = next(i)) {
      const uint64_t from_home = (i - home(at_[i].p)) & (room_ - 1);
      if (from_home < ((i - hole) & (room_ - 1))) continue;
      at_[hole] = at_[i];
      hole = i;
    }
    at_[hole] = {};
    return bytes;
  }

 private:
  uint64_t home(const void* p) const noexcept {
    const uint64_t mixed = (reinterpret_cast<uintptr_t>(p) >> 6) * 0x9e3779b97f4a7c15u;
    return (mixed >> 32) & (room_ - 1);
  }
  uint64_t next(uint64_t i) const noexcept { return (i + 1) & (room_ - 1); }

  void rehash(std::unique_ptr<Entry[]>& fresh, uint64_t wanted) noexcept {
    const uint64_t before = room_;
    at_.swap(fresh);
    room_ = wanted;
    for (uint64_t i = 0; i < before; ++i)
      if (fresh[i].p != nullptr) add(fresh[i].p, fresh[i].bytes);
  }

  std::unique_ptr<Entry[]> at_;
  uint64_t room_ = 0;  // a power of two
  uint64_t promised_ = 0;
};

}  // namespace catena
