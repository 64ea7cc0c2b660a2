// The thread pool. Items are claimed by counting `left` down; whoever claims one may then read the
// job, which cannot end before that item is done. So a helper that comes late finds nothing, reads
// nothing and is waited for by nobody.
#include "core/pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>

#include "core/spin.h"
#include "core/sys/cpus.h"
#include "core/sys/fork.h"
#include "core/sys/wait.h"

// A test that includes this file may hold a thread up here, before each step that others see.
#ifndef CATENA_INTERLEAVE
#define CATENA_INTERLEAVE() ((void)0)
#endif

namespace catena {

namespace {

// Waking a sleeper takes about 50 us, so a helper waits that long for the next job before it
// sleeps; with more threads than CPUs it would only be in the way.
constexpr int64_t kSpin = 50000;
constexpr int64_t kSpinCrowded = 1000;

enum : uint32_t { kRunning = 0, kFinished = 1, kCallerSleeps = 2 };

// Whether `ready` came true within `most` nanoseconds of spinning.
template <class Ready>
bool spin_until(int64_t most, const Ready& ready) noexcept {
  const int64_t deadline = monotonic_ns() + most;
  do {
    for (int i = 0; i < 16; ++i) {
      if (ready()) return true;
      cpu_relax();
    }
  } while (monotonic_ns() < deadline);
  return ready();
}

}  // namespace

struct ThreadPool::State {
  alignas(64) std::atomic<int64_t> left{0};  // unclaimed items of the job
  std::atomic<int64_t> from_back{0};         // items that helpers claimed
  std::atomic<bool> stop{false};

  alignas(64) std::atomic<int64_t> done{0};
  std::atomic<uint32_t> end{kRunning};

  // The job, written while nobody can claim.
  alignas(64) void (*body)(void* arg, int64_t k) = nullptr;
  void* arg = nullptr;
  int64_t n = 0;

  alignas(64) std::atomic<uint32_t> bell{0};  // rung to wake sleepers
  std::atomic<int32_t> sleepers{0};

  alignas(64) std::atomic<bool> busy{false};  // someone is in run(); guards the rest
  int started = 0;
  int wanted = 0;  // helpers; fewer once the system refused one
  std::unique_ptr<pthread_t[]> helpers;
  int64_t spin = kSpin;
  ForkEntry fork;

  int64_t claim_all(bool helper, int64_t* of) noexcept;
  void help() noexcept;
  void sleep() noexcept;
  void start(int64_t most) noexcept;
  void wake(int64_t most) noexcept;
  void wait_for_others() noexcept;
  void forget_helpers(int helpers_wanted) noexcept;
};

namespace {

sigset_t all_signals() noexcept {
  sigset_t set;
  sigfillset(&set);
  return set;
}

}  // namespace

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  const int cpus = allowed_cpus();
  threads_ = threads > 0 ? threads : cpus;
  State& s = *state_;
  s.wanted = threads_ - 1;
  s.helpers = std::make_unique<pthread_t[]>(static_cast<size_t>(s.wanted));
  s.spin = threads_ <= cpus ? kSpin : kSpinCrowded;
  s.fork = {this, nullptr, nullptr, [](void* self) noexcept {
              auto* pool = static_cast<ThreadPool*>(self);
              pool->state_->forget_helpers(pool->threads_ - 1);
            }};
  add_fork_entry(s.fork);
}

ThreadPool::~ThreadPool() {
  State& s = *state_;
  remove_fork_entry(s.fork);
  s.stop.store(true);
  s.bell.fetch_add(1);
  wake_word(s.bell, s.started);
  for (int i = 0; i < s.started; ++i) pthread_join(s.helpers[static_cast<size_t>(i)], nullptr);
}

void ThreadPool::run(int64_t n, void (*body)(void* arg, int64_t k), void* arg) noexcept {
  State& s = *state_;
  if (n <= 1 || threads_ == 1 || s.busy.exchange(true, std::memory_order_acquire)) {
    for (int64_t k = 0; k < n; ++k) body(arg, k);
    return;
  }
  s.start(n - 1);
  s.body = body;
  s.arg = arg;
  s.n = n;
  s.done.store(0, std::memory_order_relaxed);
  s.end.store(kRunning, std::memory_order_relaxed);
  s.from_back.store(0, std::memory_order_relaxed);
  CATENA_INTERLEAVE();
  s.left.store(n);  // sequentially consistent: before the look at `sleepers`
  CATENA_INTERLEAVE();
  s.wake(n - 1);
  CATENA_INTERLEAVE();
  int64_t of = 0;
  const int64_t mine = s.claim_all(false, &of);
  // Who completes `done` ends the job: the caller here, or a helper by way of `end`. A caller that
  // did nothing must not look at `done`, or it could leave before that helper has set `end`.
  CATENA_INTERLEAVE();
  if (mine == 0 || s.done.fetch_add(mine, std::memory_order_acq_rel) + mine != n)
    s.wait_for_others();
  CATENA_INTERLEAVE();
  s.busy.store(false, std::memory_order_release);
}

// How many items this thread did; *of: how many the job has, if any was done. The caller does the
// first ones, helpers the last ones: what two jobs on the same data leave in a core's cache is more
// likely to be that core's again.
int64_t ThreadPool::State::claim_all(bool helper, int64_t* of) noexcept {
  int64_t mine = 0;
  int64_t unclaimed = left.load(std::memory_order_acquire);
  while (unclaimed > 0) {
    if (!left.compare_exchange_weak(unclaimed, unclaimed - 1, std::memory_order_acq_rel,
                                    std::memory_order_acquire))
      continue;
    CATENA_INTERLEAVE();
    *of = n;
    body(arg, helper ? *of - 1 - from_back.fetch_add(1, std::memory_order_relaxed) : mine);
    ++mine;
    unclaimed = left.load(std::memory_order_acquire);
  }
  return mine;
}

void ThreadPool::State::help() noexcept {
  const auto called = [this] {
    return left.load(std::memory_order_relaxed) > 0 || stop.load(std::memory_order_relaxed);
  };
  while (!stop.load(std::memory_order_acquire)) {
    if (!spin_until(spin, called)) sleep();
    int64_t of = 0;
    CATENA_INTERLEAVE();
    const int64_t mine = claim_all(true, &of);
    CATENA_INTERLEAVE();
    if (mine == 0 || done.fetch_add(mine, std::memory_order_acq_rel) + mine != of) continue;
    CATENA_INTERLEAVE();
    if (end.exchange(kFinished, std::memory_order_acq_rel) == kCallerSleeps) wake_word(end, 1);
  }
}

// The caller stores `left` and then looks at `sleepers`; here it is the other way round, so one of
// the two sees the other.
void ThreadPool::State::sleep() noexcept {
  const uint32_t heard = bell.load();
  CATENA_INTERLEAVE();
  sleepers.fetch_add(1);
  CATENA_INTERLEAVE();
  if (left.load() <= 0 && !stop.load()) wait_word(bell, heard);
  sleepers.fetch_sub(1);
}

void ThreadPool::State::start(int64_t most) noexcept {
  const int target = static_cast<int>(std::min<int64_t>(wanted, most));
  if (started >= target) return;
  // The host's signals are for the host's threads.
  const sigset_t all = all_signals();
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (; started < target; ++started) {
    const auto entry = [](void* self) -> void* {
      static_cast<State*>(self)->help();
      return nullptr;
    };
    pthread_t& helper = helpers[static_cast<size_t>(started)];
    if (pthread_create(&helper, nullptr, entry, this) != 0) {
      wanted = started;
      break;
    }
    pthread_setname_np(helper, "catena");
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// A system call only where the awake helpers do not suffice.
void ThreadPool::State::wake(int64_t most) noexcept {
  const int32_t asleep = sleepers.load();
  if (asleep == 0) return;
  const int64_t missing = most - (started - asleep);
  if (missing <= 0) return;
  CATENA_INTERLEAVE();
  bell.fetch_add(1);
  wake_word(bell, static_cast<int32_t>(std::min<int64_t>(missing, asleep)));
}

void ThreadPool::State::wait_for_others() noexcept {
  const auto finished = [this] { return end.load(std::memory_order_acquire) == kFinished; };
  if (spin_until(spin, finished)) return;
  CATENA_INTERLEAVE();
  uint32_t expected = kRunning;
  end.compare_exchange_strong(expected, kCallerSleeps, std::memory_order_acq_rel);
  CATENA_INTERLEAVE();
  while (!finished()) wait_word(end, kCallerSleeps);
}

// In the child of a fork, where only the calling thread lives on.
void ThreadPool::State::forget_helpers(int helpers_wanted) noexcept {
  left.store(0);
  sleepers.store(0);
  started = 0;
  wanted = helpers_wanted;
  busy.store(false);
}

}  // namespace catena
