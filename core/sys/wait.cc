// Waiting by way of Linux futexes; also the slow path of SpinLock.
#include "core/sys/wait.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/spin.h"

namespace catena {

static_assert(sizeof(std::atomic<uint32_t>) == 4, "a futex is a word of 32 bits");

// Failures need no answer: EAGAIN and EINTR mean that the word is to be looked at again.
void wait_word(std::atomic<uint32_t>& word, uint32_t value) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void wake_word(std::atomic<uint32_t>& word, int32_t sleepers) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, sleepers, nullptr, nullptr, 0);
}

int64_t monotonic_ns() noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

// The holder runs for a few dozen instructions, so a long wait means that it lost its processor:
// yielding helps when it waits for this one, sleeping when it has a lower priority.
void SpinLock::wait() noexcept {
  constexpr int kSpins = 100;
  constexpr int kYields = 100;
  int round = 0;
  do {
    while (held_.load(std::memory_order_relaxed)) {
      if (round < kSpins) {
        cpu_relax();
      } else if (round < kSpins + kYields) {
        sched_yield();
      } else {
        const timespec nap{0, 50000};
        nanosleep(&nap, nullptr);
      }
      ++round;
    }
  } while (held_.exchange(true, std::memory_order_acquire));
}

}  // namespace catena
