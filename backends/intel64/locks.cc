// Locks over forks: see locks.h.
#include <intel64/locks.h>

#include <catena/sdk/error.hpp>

#include <pthread.h>

#include <array>

namespace catena::intel64 {

namespace {

constexpr size_t kKinds = static_cast<size_t>(Lock::kPrimitives) + 1;
constexpr size_t kSharers = 16;  // locks of one kind

constinit std::array<std::mutex, kKinds * kSharers> g_locks;

void lock_all() {
  for (std::mutex& m : g_locks) m.lock();
}
void unlock_all() {
  for (std::mutex& m : g_locks) m.unlock();
}

}  // namespace

std::mutex& process_lock(Lock kind, const void* object) {
  const size_t sharer = reinterpret_cast<uintptr_t>(object) / 64 % kSharers;
  return g_locks[static_cast<size_t>(kind) * kSharers + sharer];
}

void hold_locks_over_forks() {
  static bool held = false;  // twice, a fork would wait for itself
  if (held) return;
  if (pthread_atfork(lock_all, unlock_all, unlock_all) != 0)
    sdk::fail(CTN_ENOMEM, "no memory to register for fork()");
  held = true;
}

}  // namespace catena::intel64
