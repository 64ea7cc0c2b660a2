// The memory of one device in a context: a caching pool, and beside it the pools whose blocks
// captured work reads and writes, which stay as they are as long as it may be done again. Knows no
// capture.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "core/memory.h"

namespace catena {

class DeviceMemory {
 public:
  struct Pool;
  // What keeps memory where it is: all pools there were, and a fresh one of its own.
  struct Hold {
    std::vector<Pool*> pools;
    Pool* own = nullptr;
  };

  DeviceMemory(Ledger& ledger, RawSource source, uint64_t align = 64);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  // from: a hold's own pool; NULL: the common one. As MemoryPool::get.
  void* get(uint64_t bytes, Pool* from = nullptr) noexcept;
  void put(void* p, uint64_t bytes) noexcept;
  uint64_t trim() noexcept;
  uint64_t held() const noexcept;
  uint64_t used() const noexcept;

  // From now on, until release(), what lies in any block that is out, or comes out of `own`, is
  // nobody else's, whether the block is put back or not.
  Hold hold();
  void release(Hold& hold) noexcept;

 private:
  static void* take(void* user, uint64_t bytes, uint64_t align) noexcept;
  static void give(void* user, void* p, uint64_t bytes, uint64_t align) noexcept;
  std::unique_ptr<Pool> make_pool();
  Pool* owner_of(const void* p) noexcept;
  void drop_empty() noexcept;  // with mutex_ locked

  Ledger& ledger_;
  const RawSource source_;
  const uint64_t align_;
  std::atomic<Pool*> current_;
  std::atomic<bool> several_{false};  // never false again
  mutable std::mutex mutex_;          // the list
  std::vector<std::unique_ptr<Pool>> pools_;
  struct Region {
    uint64_t bytes;
    Pool* pool;
  };
  std::mutex regions_mutex_;
  std::map<const char*, Region> regions_;  // what pools have of the source, by address
};

}  // namespace catena
