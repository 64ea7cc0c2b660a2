// The memory pool under several threads, and under fork() while they work.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

#include "core/memory.h"
#include "core/sys/host_memory.h"
#include "main.h"
#include "memory_source.h"

using catena::Ledger;
using catena::MemoryPool;
using catena_test::CountingSource;
using catena_test::Dice;

namespace {

// Gets, fills, checks and puts blocks of all sizes until told to stop; false if one was spoiled.
bool churn(MemoryPool& pool, uint64_t seed, int steps, const std::atomic<bool>* stop) {
  struct Block {
    unsigned char* p = nullptr;
    uint64_t bytes = 0;
    unsigned char with = 0;
  };
  Block blocks[24];
  Dice dice{seed};
  bool ok = true;
  const auto put = [&](Block& b) {
    if (b.p == nullptr) return;
    ok = ok && b.p[0] == b.with && b.p[b.bytes / 2] == b.with && b.p[b.bytes - 1] == b.with;
    pool.put(b.p, b.bytes);
    b.p = nullptr;
  };
  for (int step = 0; step < steps && !(stop != nullptr && stop->load()); ++step) {
    Block& b = blocks[dice(24)];
    put(b);
    const uint64_t kind = dice(100);
    b.bytes = 1 + dice(kind < 80 ? 600 : kind < 97 ? 20000 : 3000000);
    b.with = static_cast<unsigned char>(seed + static_cast<uint64_t>(step));
    b.p = static_cast<unsigned char*>(pool.get(b.bytes));
    if (b.p == nullptr) continue;
    b.p[0] = b.p[b.bytes / 2] = b.p[b.bytes - 1] = b.with;
  }
  for (Block& b : blocks) put(b);
  return ok;
}

}  // namespace

TEST_CASE("eight threads get, put and trim") {
  CountingSource source;
  constexpr uint64_t kLimit = 30000000;
  {
    Ledger ledger(kLimit);
    MemoryPool pool(ledger, source.source());
    MemoryPool other(ledger, source.source(false), 256);
    std::atomic<bool> stop{false};
    std::atomic<int> bad{0};
    std::vector<std::thread> threads;
    for (uint64_t t = 0; t < 8; ++t)
      threads.emplace_back([&, t] {
        if (!churn(t % 4 == 3 ? other : pool, t, 5000, nullptr)) ++bad;
      });
    std::thread trimmer([&] {
      while (!stop.load()) {
        pool.trim();
        other.trim();
        if (ledger.held() > kLimit) ++bad;
        std::this_thread::yield();
      }
    });
    for (std::thread& t : threads) t.join();
    stop.store(true);
    trimmer.join();
    CHECK(bad.load() == 0);
    CHECK(pool.outstanding() == 0);
    CHECK(other.outstanding() == 0);
    CHECK(ledger.used() == 0);
    CHECK(ledger.held() == source.bytes);
    CHECK(source.peak <= kLimit);
    pool.trim();
    other.trim();
    CHECK(ledger.held() == 0);
  }
  CHECK(source.mistakes == 0);
}

TEST_CASE("a child of fork can allocate, whatever other threads were doing") {
  Ledger ledger;
  MemoryPool pool(ledger, catena::system_memory());
  std::atomic<bool> stop{false};
  std::thread busy([&] { churn(pool, 1, INT32_MAX, &stop); });
  int failed = 0;
  for (int i = 0; i < 100; ++i) {
    std::fflush(nullptr);  // or the child may print it a second time
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      alarm(10);  // a child that hangs dies of it
      const bool ok = churn(pool, 2, 300, nullptr) && ledger.used() <= ledger.held();
      _exit(ok ? 0 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    if (status != 0) ++failed;
  }
  stop.store(true);
  busy.join();
  CHECK(failed == 0);
}
