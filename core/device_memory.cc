// See device_memory.h. Blocks find their pool by the address of the raw memory they were cut from.
#include "core/device_memory.h"

#include <algorithm>

#include "core/error.h"

namespace catena {

struct DeviceMemory::Pool {
  DeviceMemory* memory;
  bool own = false;  // a hold's: nobody else takes from it
  MemoryPool pool;

  Pool(DeviceMemory& m, RawSource source, uint64_t align)
      : memory(&m), pool(m.ledger_, with_user(source), align) {}

 private:
  RawSource with_user(RawSource source) {
    source.user = this;
    return source;
  }
};

// Host memory that is used directly is never captured: its blocks need no owner.
DeviceMemory::DeviceMemory(Ledger& ledger, RawSource source, uint64_t align)
    : ledger_(ledger), source_(source), align_(align) {
  pools_.push_back(make_pool());
  current_.store(pools_.back().get());
}

DeviceMemory::~DeviceMemory() { pools_.clear(); }

std::unique_ptr<DeviceMemory::Pool> DeviceMemory::make_pool() {
  return std::make_unique<Pool>(*this, RawSource{nullptr, take, give, source_.host}, align_);
}

void* DeviceMemory::take(void* user, uint64_t bytes, uint64_t align) noexcept {
  Pool& pool = *static_cast<Pool*>(user);
  DeviceMemory& m = *pool.memory;
  void* p = m.source_.alloc(m.source_.user, bytes, align);
  if (p == nullptr || m.source_.host) return p;
  const bool noted = shielded([&] {
    const std::lock_guard lock(m.regions_mutex_);
    m.regions_[static_cast<const char*>(p)] = {bytes, &pool};
  });
  if (noted) return p;
  m.source_.free(m.source_.user, p, bytes, align);
  return nullptr;
}

void DeviceMemory::give(void* user, void* p, uint64_t bytes, uint64_t align) noexcept {
  DeviceMemory& m = *static_cast<Pool*>(user)->memory;
  if (!m.source_.host) {
    const std::lock_guard lock(m.regions_mutex_);
    m.regions_.erase(static_cast<const char*>(p));
  }
  m.source_.free(m.source_.user, p, bytes, align);
}

DeviceMemory::Pool* DeviceMemory::owner_of(const void* p) noexcept {
  const std::lock_guard lock(regions_mutex_);
  const auto above = regions_.upper_bound(static_cast<const char*>(p));
  return above == regions_.begin() ? current_.load() : std::prev(above)->second.pool;
}

void* DeviceMemory::get(uint64_t bytes, Pool* from) noexcept {
  return (from ? from : current_.load(std::memory_order_acquire))->pool.get(bytes);
}

void DeviceMemory::put(void* p, uint64_t bytes) noexcept {
  // In this order: hold() publishes the second pool after it has said that there are several.
  Pool* const only = current_.load(std::memory_order_acquire);
  if (!several_.load(std::memory_order_acquire)) [[likely]] {
    only->pool.put(p, bytes);
    return;
  }
  const std::lock_guard lock(mutex_);  // the pool stays meanwhile
  owner_of(p)->pool.put(p, bytes);
}

uint64_t DeviceMemory::trim() noexcept {
  if (!several_.load(std::memory_order_acquire)) return current_.load()->pool.trim();
  const std::lock_guard lock(mutex_);
  uint64_t bytes = 0;
  for (const auto& p : pools_) bytes += p->pool.trim();
  drop_empty();
  return bytes;
}

uint64_t DeviceMemory::held() const noexcept {
  const std::lock_guard lock(mutex_);
  uint64_t bytes = 0;
  for (const auto& p : pools_) bytes += p->pool.held();
  return bytes;
}

uint64_t DeviceMemory::used() const noexcept {
  const std::lock_guard lock(mutex_);
  uint64_t bytes = 0;
  for (const auto& p : pools_) bytes += p->pool.used();
  return bytes;
}

// The pool in use retires: what it has cached by now would be out of reach, so it is given back.
DeviceMemory::Hold DeviceMemory::hold() {
  trim();
  const std::lock_guard lock(mutex_);
  Hold h;
  h.pools.reserve(pools_.size() + 1);
  pools_.reserve(pools_.size() + 2);
  auto own = make_pool(), next = make_pool();
  several_.store(true, std::memory_order_release);
  h.own = own.get();
  h.own->own = true;
  current_.load()->pool.retire();
  current_.store(next.get(), std::memory_order_release);
  for (const auto& p : pools_) h.pools.push_back(p.get());
  h.pools.push_back(h.own);
  for (Pool* p : h.pools) p->pool.pin();
  pools_.push_back(std::move(own));
  pools_.push_back(std::move(next));
  return h;
}

void DeviceMemory::release(Hold& h) noexcept {
  const std::lock_guard lock(mutex_);
  for (Pool* p : h.pools) p->pool.unpin();
  if (h.own) h.own->pool.retire();
  h = {};
  for (const auto& p : pools_)
    if (p.get() != current_.load()) p->pool.trim();
  drop_empty();
}

// Pools that were in use stay, empty: a thread may be about to take from one.
void DeviceMemory::drop_empty() noexcept {
  std::erase_if(pools_, [&](const auto& p) {
    return p->own && !p->pool.pinned() && p->pool.held() == 0 && p->pool.outstanding() == 0;
  });
}

}  // namespace catena
