// The caching pool. The ledger's lock guards it; the source, the C++ heap and the fault hook are
// called without it.
#include "core/memory.h"

#include <bit>
#include <string>

#include "core/block_table.h"
#include "core/error.h"
#include "core/size_class.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CATENA_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define CATENA_ASAN 1
#endif
#ifdef CATENA_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace catena {

namespace {

// Cached blocks, and the tail of a block beyond what was asked for, are out of bounds to ASan.
void forbid([[maybe_unused]] void* p, [[maybe_unused]] uint64_t bytes) noexcept {
#ifdef CATENA_ASAN
  ASAN_POISON_MEMORY_REGION(p, bytes);
#endif
}
void allow([[maybe_unused]] void* p, [[maybe_unused]] uint64_t bytes) noexcept {
#ifdef CATENA_ASAN
  ASAN_UNPOISON_MEMORY_REGION(p, bytes);
#endif
}

// Large blocks: whole 64 KiB, from 16 MiB on whole 2 MiB (a huge page). 0: too large to round.
uint64_t large_bytes(uint64_t bytes) noexcept {
  const uint64_t grain = uint64_t{bytes < (uint64_t{16} << 20) ? 64u * 1024u : 2048u * 1024u};
  return bytes > UINT64_MAX - grain ? 0 : (bytes + grain - 1) & ~(grain - 1);
}

struct FreeBlock {
  uint64_t bytes;
  void* p;
};

struct Slab {
  char* base;
  uint32_t size_class;
  uint32_t cached;  // blocks of it found by the last sweep
  bool dead;        // all of them were cached: waits to be given back
};

}  // namespace

struct MemoryPool::State {
  RawSource source;
  uint64_t align;
  uint32_t bytes_of[kSizeClasses];  // class_bytes, in whole multiples of align
  Store<void*> cached[kSizeClasses];
  Store<Slab> slabs;       // by address
  Store<FreeBlock> large;  // by size, the last one put first among equals
  SizeTable large_out;
  uint64_t out = 0;
  uint64_t held = 0;
  uint64_t used = 0;
  int64_t users = 1;  // closed at 0
  int64_t pins = 0;
  bool retired = false;

  uint32_t slab_blocks(uint32_t c) const noexcept { return kSlabBytes / bytes_of[c]; }
  uint64_t slab_above(const void* p) const noexcept;
  uint64_t large_at_least(uint64_t bytes) const noexcept;
  void add_slab(char* base, uint32_t c) noexcept;
  void sweep() noexcept;
  uint32_t collect(FreeBlock* batch, uint32_t most) noexcept;
};

MemoryPool::MemoryPool(Ledger& ledger, RawSource source, uint64_t align)
    : ledger_(ledger), state_(std::make_unique<State>()) {
  if (!std::has_single_bit(align) || align < 64 || align > 4096)
    fail(CTN_EINVAL, "alignment of a memory pool is " + std::to_string(align) +
                         ", not a power of two from 64 to 4096");
  state_->source = source;
  state_->align = align;
  for (uint32_t c = 0; c < kSizeClasses; ++c)
    state_->bytes_of[c] = static_cast<uint32_t>((class_bytes(c) + align - 1) & ~(align - 1));
}

MemoryPool::~MemoryPool() { trim(); }

uint64_t MemoryPool::taken_for(uint64_t bytes) noexcept {
  if (bytes > kClassedMost) return large_bytes(bytes);
  return bytes <= kSmallMost ? kSlabBytes : class_bytes(size_class(bytes));
}

// ---- getting and putting

void* MemoryPool::get(uint64_t bytes) noexcept {
  if (ledger_.faulty()) [[unlikely]]
    return nullptr;
  void* p = bytes <= kClassedMost ? get_classed(size_class(bytes)) : get_large(bytes);
  if (state_->source.host && p != nullptr) allow(p, bytes);
  return p;
}

bool MemoryPool::put(void* p, uint64_t bytes) noexcept {
  if (p == nullptr) return false;
  State& s = *state_;
  if (bytes > kClassedMost) return put_large(p);
  const uint32_t c = size_class(bytes);
  if (s.source.host) forbid(p, s.bytes_of[c]);
  SpinGuard guard(ledger_.lock_);
  Store<void*>& cached = s.cached[c];
  cached.push(p);
  note_in(s.bytes_of[c]);
  return s.users <= 0 && s.out == 0;
}

bool MemoryPool::close() noexcept {
  SpinGuard guard(ledger_.lock_);
  --state_->users;
  return state_->users <= 0 && state_->out == 0;
}

void MemoryPool::open() noexcept {
  SpinGuard guard(ledger_.lock_);
  ++state_->users;
}

void* MemoryPool::get_classed(uint32_t c) noexcept {
  State& s = *state_;
  Store<void*>& cached = s.cached[c];
  {
    SpinGuard guard(ledger_.lock_);
    if (cached.size > 0 && !s.retired) [[likely]] {
      note_out(s.bytes_of[c]);
      return cached.pop();
    }
  }
  return c < kSmallClasses ? fresh_small(c) : fresh_medium(c);
}

void* MemoryPool::fresh_small(uint32_t c) noexcept {
  State& s = *state_;
  const uint32_t blocks = s.slab_blocks(c);
  if (!s.slabs.promise(ledger_.lock_, 1)) return nullptr;
  const bool room = s.cached[c].promise(ledger_.lock_, blocks);
  char* base = room ? static_cast<char*>(fetch(kSlabBytes)) : nullptr;
  if (base != nullptr && s.source.host) forbid(base, kSlabBytes);
  SpinGuard guard(ledger_.lock_);
  if (base == nullptr) {
    s.slabs.promised -= 1;
    if (room) s.cached[c].promised -= blocks;
    return nullptr;
  }
  s.add_slab(base, c);
  note_fetched(kSlabBytes);
  note_out(s.bytes_of[c]);
  return s.cached[c].pop();
}

void* MemoryPool::fresh_medium(uint32_t c) noexcept {
  State& s = *state_;
  if (!s.cached[c].promise(ledger_.lock_, 1)) return nullptr;
  void* p = fetch(s.bytes_of[c]);
  if (p != nullptr && s.source.host) forbid(p, s.bytes_of[c]);
  SpinGuard guard(ledger_.lock_);
  if (p == nullptr) {
    s.cached[c].promised -= 1;
    return nullptr;
  }
  note_fetched(s.bytes_of[c]);
  note_out(s.bytes_of[c]);
  return p;
}

void* MemoryPool::get_large(uint64_t bytes) noexcept {
  State& s = *state_;
  const uint64_t need = large_bytes(bytes);
  if (need == 0) return nullptr;
  {
    SpinGuard guard(ledger_.lock_);
    const uint64_t i = s.large_at_least(need);
    if (i < s.large.size && s.large.at[i].bytes - need <= need / 4 && !s.retired) {
      const FreeBlock found = s.large.at[i];
      s.large.erase(i);
      s.large_out.add(found.p, found.bytes);
      note_out(found.bytes);
      return found.p;
    }
  }
  if (!s.large.promise(ledger_.lock_, 1)) return nullptr;
  const bool room = s.large_out.promise(ledger_.lock_);
  void* p = room ? fetch(need) : nullptr;
  if (p != nullptr && s.source.host) forbid(p, need);
  SpinGuard guard(ledger_.lock_);
  if (p == nullptr) {
    s.large.promised -= 1;
    if (room) s.large_out.unpromise(1);
    return nullptr;
  }
  note_fetched(need);
  s.large_out.add(p, need);
  note_out(need);
  return p;
}

bool MemoryPool::put_large(void* p) noexcept {
  State& s = *state_;
  SpinGuard guard(ledger_.lock_);
  const uint64_t bytes = s.large_out.take(p);
  if (bytes == 0) return false;  // not ours: outstanding() still counts the block that was meant
  if (s.source.host) forbid(p, bytes);
  s.large.insert(s.large_at_least(bytes), {bytes, p});
  note_in(bytes);
  return s.users <= 0 && s.out == 0;
}

// Raw memory within the limit, if need be after giving cached blocks back.
void* MemoryPool::fetch(uint64_t bytes) noexcept {
  State& s = *state_;
  do {
    if (!ledger_.charge(bytes)) continue;
    void* p = s.source.alloc(s.source.user, bytes, s.align);
    if (p != nullptr) return p;
    ledger_.uncharge(bytes);
  } while (trim() > 0);
  return nullptr;
}

// With the lock held: a block goes out or comes back.
void MemoryPool::note_out(uint64_t bytes) noexcept {
  ++state_->out;
  state_->used += bytes;
  ledger_.out(bytes);
}
void MemoryPool::note_in(uint64_t bytes) noexcept {
  --state_->out;
  state_->used -= bytes;
  ledger_.in(bytes);
}

void MemoryPool::note_fetched(uint64_t bytes) noexcept {
  state_->held += bytes;
  ledger_.peak_held_ = std::max(ledger_.peak_held_, ledger_.held_);
}

// ---- giving back

uint64_t MemoryPool::trim() noexcept {
  State& s = *state_;
  FreeBlock batch[64];
  uint64_t total = 0;
  {
    SpinGuard guard(ledger_.lock_);
    if (s.pins > 0) return 0;
    s.sweep();
  }
  for (;;) {
    uint32_t n = 0;
    uint64_t bytes = 0;
    {
      SpinGuard guard(ledger_.lock_);
      n = s.collect(batch, 64);
      for (uint32_t i = 0; i < n; ++i) bytes += batch[i].bytes;
      s.held -= bytes;
    }
    if (n == 0) return total;
    for (uint32_t i = 0; i < n; ++i) {
      if (s.source.host) allow(batch[i].p, batch[i].bytes);
      s.source.free(s.source.user, batch[i].p, batch[i].bytes, s.align);
    }
    // Only now: the ledger never claims less than what is held.
    ledger_.uncharge(bytes);
    total += bytes;
  }
}

// Index of the first slab that starts above p.
uint64_t MemoryPool::State::slab_above(const void* p) const noexcept {
  const auto above = [](const void* q, const Slab& slab) { return q < slab.base; };
  return static_cast<uint64_t>(std::upper_bound(slabs.begin(), slabs.end(), p, above) -
                               slabs.begin());
}

uint64_t MemoryPool::State::large_at_least(uint64_t bytes) const noexcept {
  const auto below = [](const FreeBlock& block, uint64_t least) { return block.bytes < least; };
  return static_cast<uint64_t>(std::lower_bound(large.begin(), large.end(), bytes, below) -
                               large.begin());
}

void MemoryPool::State::add_slab(char* base, uint32_t c) noexcept {
  slabs.insert(slab_above(base), {base, c, 0, false});
  Store<void*>& list = cached[c];
  for (uint32_t i = slab_blocks(c); i-- > 0;) list.push(base + i * bytes_of[c]);
}

// Takes the blocks of wholly cached slabs off the free lists and marks the slabs dead.
void MemoryPool::State::sweep() noexcept {
  for (Slab& slab : slabs) slab.cached = 0;
  for (uint32_t c = 0; c < kSmallClasses; ++c)
    for (void* p : cached[c]) ++slabs.at[slab_above(p) - 1].cached;
  for (Slab& slab : slabs) {
    if (slab.cached < slab_blocks(slab.size_class)) continue;  // dead ones have none
    slab.dead = true;
    cached[slab.size_class].promised -= slab.cached;
  }
  const auto in_dead_slab = [this](void* p) { return slabs.at[slab_above(p) - 1].dead; };
  for (uint32_t c = 0; c < kSmallClasses; ++c) {
    Store<void*>& list = cached[c];
    list.size = static_cast<uint64_t>(std::remove_if(list.begin(), list.end(), in_dead_slab) -
                                      list.begin());
  }
}

// Takes up to `most` things to be freed out of the books: dead slabs, then cached larger blocks.
uint32_t MemoryPool::State::collect(FreeBlock* batch, uint32_t most) noexcept {
  uint32_t n = 0;
  uint64_t kept = 0;
  for (uint64_t i = 0; i < slabs.size; ++i) {
    if (slabs.at[i].dead && n < most) {
      batch[n++] = {kSlabBytes, slabs.at[i].base};
    } else {
      slabs.at[kept++] = slabs.at[i];
    }
  }
  slabs.promised -= slabs.size - kept;
  slabs.size = kept;
  for (uint32_t c = kSmallClasses; c < kSizeClasses; ++c) {
    for (; n < most && cached[c].size > 0; --cached[c].promised)
      batch[n++] = {bytes_of[c], cached[c].pop()};
  }
  for (; n < most && large.size > 0; --large.promised) {
    batch[n++] = large.pop();
    large_out.unpromise(1);
  }
  return n;
}

void MemoryPool::pin() noexcept {
  SpinGuard guard(ledger_.lock_);
  ++state_->pins;
}

void MemoryPool::unpin() noexcept {
  SpinGuard guard(ledger_.lock_);
  --state_->pins;
}

bool MemoryPool::pinned() const noexcept {
  SpinGuard guard(ledger_.lock_);
  return state_->pins > 0;
}

void MemoryPool::retire() noexcept {
  SpinGuard guard(ledger_.lock_);
  state_->retired = true;
}

uint64_t MemoryPool::outstanding() const noexcept {
  SpinGuard guard(ledger_.lock_);
  return state_->out;
}

uint64_t MemoryPool::held() const noexcept {
  SpinGuard guard(ledger_.lock_);
  return state_->held;
}

uint64_t MemoryPool::used() const noexcept {
  SpinGuard guard(ledger_.lock_);
  return state_->used;
}

}  // namespace catena
