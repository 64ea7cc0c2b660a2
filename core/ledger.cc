// The ledger: plain counters under one lock that is also taken around fork().
#include <algorithm>

#include "core/memory.h"

namespace catena {

Ledger::Ledger(uint64_t limit)
    : limit_(limit),
      fork_{this, [](void* self) noexcept { static_cast<Ledger*>(self)->lock_.lock(); },
            [](void* self) noexcept { static_cast<Ledger*>(self)->lock_.unlock(); },
            [](void* self) noexcept { static_cast<Ledger*>(self)->lock_.unlock(); }} {
  add_fork_entry(fork_);
}

Ledger::~Ledger() { remove_fork_entry(fork_); }

bool Ledger::faulty() noexcept {
  auto* fails = fails_.load(std::memory_order_acquire);
  return fails != nullptr && fails(fails_user_);
}

void Ledger::set_fault(bool (*fails)(void*), void* user) noexcept {
  fails_.store(nullptr, std::memory_order_release);
  fails_user_ = user;
  fails_.store(fails, std::memory_order_release);
}

// peak_held_ is left alone until the source has given the memory.
bool Ledger::charge(uint64_t bytes) noexcept {
  SpinGuard guard(lock_);
  const uint64_t most = limit_ == 0 ? UINT64_MAX : limit_;
  if (held_ > most || bytes > most - held_) return false;
  held_ += bytes;
  ++raw_allocations_;
  return true;
}

bool Ledger::take(uint64_t bytes) noexcept {
  if (faulty() || !charge(bytes)) return false;
  SpinGuard guard(lock_);
  peak_held_ = std::max(peak_held_, held_);
  out(bytes);
  return true;
}

void Ledger::give(uint64_t bytes) noexcept {
  SpinGuard guard(lock_);
  held_ -= bytes;
  in(bytes);
}

void Ledger::uncharge(uint64_t bytes) noexcept {
  SpinGuard guard(lock_);
  held_ -= bytes;
}

void Ledger::out(uint64_t bytes) noexcept {
  used_ += bytes;
  peak_used_ = std::max(peak_used_, used_);
  ++allocations_;
}

void Ledger::set_limit(uint64_t bytes) noexcept {
  SpinGuard guard(lock_);
  limit_ = bytes;
}

uint64_t Ledger::limit() const noexcept {
  SpinGuard guard(lock_);
  return limit_;
}

uint64_t Ledger::held() const noexcept {
  SpinGuard guard(lock_);
  return held_;
}

uint64_t Ledger::used() const noexcept {
  SpinGuard guard(lock_);
  return used_;
}

void Ledger::fill(ctn_memory_stats* to) const noexcept {
  SpinGuard guard(lock_);
  to->limit = limit_;
  to->held = held_;
  to->used = used_;
  to->cached = held_ - used_;
  to->peak_held = peak_held_;
  to->peak_used = peak_used_;
  to->allocations = allocations_;
  to->raw_allocations = raw_allocations_;
}

}  // namespace catena
