// Where a context's memory comes from: a ledger that counts every byte held against a hard limit,
// and caching pools over a raw source (host memory or one device). Knows no array and no backend.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <catena/catena.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "core/spin.h"
#include "core/sys/fork.h"

namespace catena {

// Exact account of a context's memory, all devices together. `held` is what raw sources were asked
// for and never exceeds the limit; `used` is the part inside blocks that are out, counted in block
// sizes (what was asked for, rounded up to the pool's size class). Thread-safe, also around fork.
class Ledger {
 public:
  explicit Ledger(uint64_t limit = 0);  // 0: none
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;
  ~Ledger();

  // Memory held outside of pools. False and unchanged when the limit or the fault hook forbids it.
  bool take(uint64_t bytes) noexcept;
  void give(uint64_t bytes) noexcept;

  // A limit below what is held now refuses everything until enough was given back.
  void set_limit(uint64_t bytes) noexcept;

  uint64_t limit() const noexcept;
  uint64_t held() const noexcept;
  uint64_t used() const noexcept;
  // Everything but out->size.
  void fill(ctn_memory_stats* out) const noexcept;

  // For tests: asked once per take() and MemoryPool::get(), cached or not; true makes it fail. Set
  // while no other thread allocates; NULL removes it.
  void set_fault(bool (*fails)(void* user), void* user) noexcept;

 private:
  friend class MemoryPool;

  bool faulty() noexcept;
  bool charge(uint64_t bytes) noexcept;  // a pool's raw request
  void uncharge(uint64_t bytes) noexcept;
  void out(uint64_t bytes) noexcept;  // with lock_ held: a block goes out or comes back
  void in(uint64_t bytes) noexcept { used_ -= bytes; }

  mutable SpinLock lock_;  // also guards the pools over this ledger
  std::atomic<bool (*)(void*)> fails_{nullptr};
  void* fails_user_ = nullptr;
  uint64_t limit_;
  uint64_t held_ = 0;
  uint64_t used_ = 0;
  uint64_t peak_held_ = 0;
  uint64_t peak_used_ = 0;
  uint64_t allocations_ = 0;
  uint64_t raw_allocations_ = 0;
  ForkEntry fork_;
};

// Raw memory. Both functions may be called from any thread and must not call back into the pool.
struct RawSource {
  void* user;
  void* (*alloc)(void* user, uint64_t bytes, uint64_t align) noexcept;  // NULL: there is none
  void (*free)(void* user, void* p, uint64_t bytes, uint64_t align) noexcept;
  bool host;  // the CPU may read and write it
};

// Caches blocks of one raw source, so that a steady state asks it for nothing. Up to 4 KiB blocks
// are cut from slabs of 64 KiB, up to 1 MiB there are size classes (at most 12.5 % waste), above
// that the best fitting cached block (at most 25 % larger) is reused. All bookkeeping lies outside
// of the memory itself, on the C++ heap: 8 bytes for a block up to 1 MiB, 32 for a larger one.
// Thread-safe, also around fork.
class MemoryPool {
 public:
  // align: a power of two from 64 to 4096, which every block then has (anything else is
  // CTN_EINVAL). The ledger outlives the pool.
  MemoryPool(Ledger& ledger, RawSource source, uint64_t align = 64);
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  // Gives back all but the blocks still out, their slabs and their bytes in the ledger, which are
  // forgotten: outstanding() tells beforehand.
  ~MemoryPool();

  // Uninitialised; 0 bytes give a block too. NULL when limit or source is exhausted even after this
  // pool was trimmed: the caller may then trim other pools of the ledger and ask again.
  void* get(uint64_t bytes) noexcept;
  // What the source is asked for when no block for `bytes` is cached; 0: more than there can be.
  static uint64_t taken_for(uint64_t bytes) noexcept;
  // `bytes` as in get(). NULL is ignored. True if the pool is closed and this was the last block
  // out: exactly one caller learns that.
  bool put(void* p, uint64_t bytes) noexcept;
  // From now on the last put() tells. True if nothing is out already. open() takes one close()
  // back, whichever comes first; the caller has a block out.
  bool close() noexcept;
  void open() noexcept;

  // Gives cached blocks and empty slabs back to the source, unless it is pinned; bytes given back.
  uint64_t trim() noexcept;

  // While it is pinned, as often as it was, nothing goes back to the source. Retired, for ever, it
  // does not hand out again what was put back.
  void pin() noexcept;
  void unpin() noexcept;
  bool pinned() const noexcept;
  void retire() noexcept;

  uint64_t outstanding() const noexcept;  // blocks out
  uint64_t held() const noexcept;         // bytes of this pool, out or cached
  uint64_t used() const noexcept;         // of these in blocks out

 private:
  struct State;

  void* get_classed(uint32_t c) noexcept;
  void* get_large(uint64_t bytes) noexcept;
  bool put_large(void* p) noexcept;
  void* fresh_small(uint32_t c) noexcept;
  void* fresh_medium(uint32_t c) noexcept;
  void* fetch(uint64_t bytes) noexcept;
  void note_fetched(uint64_t bytes) noexcept;
  void note_out(uint64_t bytes) noexcept;
  void note_in(uint64_t bytes) noexcept;

  Ledger& ledger_;
  std::unique_ptr<State> state_;
};

}  // namespace catena
