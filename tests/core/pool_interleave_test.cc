// The thread pool with threads held up between any two steps of its protocol. Includes the source
// itself, so that all of this program runs on a pool that can be held up.
#include <time.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

std::atomic<bool> holding_up{false};
std::atomic<uint32_t> next_thread{1};

// One time in eight a yield, one in eight a sleep of 0 to 100 us.
void interleave() {
  if (!holding_up.load(std::memory_order_relaxed)) return;
  static thread_local uint32_t state = next_thread.fetch_add(1) * 2654435761u;
  state = state * 1664525 + 1013904223;
  const uint32_t what = state >> 29;
  if (what == 0) {
    std::this_thread::yield();
  } else if (what == 1) {
    const timespec nap{0, static_cast<long>(state >> 8 & 0xffff) * 3 / 2};
    nanosleep(&nap, nullptr);
  }
}

}  // namespace

#define CATENA_INTERLEAVE() interleave()
#include "core/pool.cc"

#include "main.h"

using catena::ThreadPool;

namespace {

struct Job {
  std::atomic<int> times[4] = {};

  static void body(void* self, int64_t k) {
    static_cast<Job*>(self)->times[k].fetch_add(1);
    interleave();
  }
};

// Runs jobs of 2 to 4 items; how many were not done exactly once when run() returned.
int wrong_jobs(int threads, int rounds) {
  ThreadPool pool(threads);
  int wrong = 0;
  for (int i = 0; i < rounds; ++i) {
    Job job;
    const int n = 2 + i % 3;
    pool.run(n, Job::body, &job);
    for (int k = 0; k < 4; ++k) wrong += job.times[k].load() != (k < n ? 1 : 0);
  }
  return wrong;
}

}  // namespace

TEST_CASE("whoever is held up wherever, every job is whole when run returns") {
  holding_up.store(true);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 6; ++c)
    callers.emplace_back([&wrong, c] { wrong += wrong_jobs(2 + c % 3, 1000); });
  for (std::thread& t : callers) t.join();
  holding_up.store(false);
  CHECK(wrong.load() == 0);
}
