// The list of everything that has to be put right around fork(), and the one handler that walks it.
#include "core/sys/fork.h"

#include <pthread.h>

#include <atomic>

#include "core/error.h"
#include "core/spin.h"

namespace catena {

namespace {

constinit SpinLock list_lock;
constinit ForkEntry* first = nullptr;

// Two threads that register the first two entries at once may both install the handler. A lock
// against that could stay shut in a child for ever; instead only the outermost call does the work.
constinit std::atomic<bool> installed{false};
constinit thread_local int depth = 0;

// list_lock is held from here until the fork is over, so that nobody adds or removes an entry.
void before_fork() {
  if (depth++ > 0) return;
  list_lock.lock();
  for (ForkEntry* e = first; e != nullptr; e = e->next)
    if (e->before != nullptr) e->before(e->self);
}

void after_in_parent() {
  if (--depth > 0) return;
  for (ForkEntry* e = first; e != nullptr; e = e->next)
    if (e->in_parent != nullptr) e->in_parent(e->self);
  list_lock.unlock();
}

void after_in_child() {
  if (--depth > 0) return;
  for (ForkEntry* e = first; e != nullptr; e = e->next)
    if (e->in_child != nullptr) e->in_child(e->self);
  list_lock.unlock();
}

}  // namespace

void add_fork_entry(ForkEntry& entry) {
  if (!installed.load(std::memory_order_acquire)) {
    if (pthread_atfork(before_fork, after_in_parent, after_in_child) != 0)
      fail(CTN_ENOMEM, "no memory to register for fork()");
    installed.store(true, std::memory_order_release);
  }
  SpinGuard guard(list_lock);
  entry.previous = nullptr;
  entry.next = first;
  if (first != nullptr) first->previous = &entry;
  first = &entry;
}

void remove_fork_entry(ForkEntry& entry) noexcept {
  SpinGuard guard(list_lock);
  (entry.previous != nullptr ? entry.previous->next : first) = entry.next;
  if (entry.next != nullptr) entry.next->previous = entry.previous;
}

}  // namespace catena
