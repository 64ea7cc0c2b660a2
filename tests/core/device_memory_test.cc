// The memory of a device whose blocks are held for captured work.
#include "core/device_memory.h"

#include <main.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

using namespace catena;

namespace {

struct Source {
  std::atomic<int64_t> blocks{0};

  RawSource raw() {
    return {this,
            [](void* user, uint64_t bytes, uint64_t align) noexcept -> void* {
              ++static_cast<Source*>(user)->blocks;
              return std::aligned_alloc(align, (bytes + align - 1) / align * align);
            },
            [](void* user, void* p, uint64_t, uint64_t) noexcept {
              --static_cast<Source*>(user)->blocks;
              std::free(p);
            },
            false};
  }
};

constexpr uint64_t kSizes[] = {100, 5000, 300'000, 3'000'000};

}  // namespace

TEST_CASE("what was out when it was held, and what came out of its own pool, is nobody else's") {
  Ledger ledger;
  Source source;
  {
    DeviceMemory memory(ledger, source.raw());
    for (const uint64_t bytes : kSizes) {
      CAPTURE(bytes);
      void* const before = memory.get(bytes);
      DeviceMemory::Hold hold = memory.hold();
      void* const inside = memory.get(bytes, hold.own);
      memory.put(before, bytes);
      memory.put(inside, bytes);
      CHECK(memory.get(bytes, hold.own) == inside);  // reused by the held work itself
      memory.put(inside, bytes);
      memory.trim();
      std::vector<void*> others;
      for (int k = 0; k < 50; ++k) others.push_back(memory.get(bytes));
      CHECK(std::ranges::count(others, before) == 0);
      CHECK(std::ranges::count(others, inside) == 0);
      for (void* p : others) memory.put(p, bytes);
      memory.release(hold);
      memory.trim();
      CHECK(memory.held() == 0);
      CHECK(source.blocks == 0);
    }
  }
  CHECK(ledger.held() == 0);
}

TEST_CASE("several hold what was there; the last one lets go of it") {
  Ledger ledger;
  Source source;
  DeviceMemory memory(ledger, source.raw());
  void* const p = memory.get(5000);
  DeviceMemory::Hold first = memory.hold(), second = memory.hold();
  void* const in_first = memory.get(5000, first.own);
  memory.put(p, 5000);
  memory.release(first);
  memory.trim();
  CHECK(memory.held() >= 5000);  // the second still has p
  CHECK(memory.used() >= 5000);  // and in_first is out
  memory.release(second);
  memory.put(in_first, 5000);
  memory.trim();
  CHECK(memory.held() == 0);
  CHECK(source.blocks == 0);
}

TEST_CASE("threads take and give memory while others hold and release") {
  Ledger ledger;
  Source source;
  {
    DeviceMemory memory(ledger, source.raw());
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
      threads.emplace_back([&] {
        while (!stop.load())
          for (const uint64_t bytes : kSizes) memory.put(memory.get(bytes), bytes);
      });
    for (int round = 0; round < 30; ++round) {
      DeviceMemory::Hold hold = memory.hold();
      for (const uint64_t bytes : kSizes) memory.put(memory.get(bytes, hold.own), bytes);
      memory.release(hold);
    }
    stop = true;
    for (std::thread& t : threads) t.join();
    memory.trim();
    CHECK(memory.used() == 0);
    CHECK(memory.held() == 0);
  }
  CHECK(source.blocks == 0);
}
