// Ledger and memory pool: exactness under a limit, reuse, trimming, every single failure. What
// happens with several threads and processes is in memory_threads_test.cc.
#include "core/memory.h"

#include <sys/resource.h>

#include <cstring>
#include <new>
#include <vector>

#include "core/error.h"
#include "core/size_class.h"
#include "core/sys/host_memory.h"
#include "main.h"
#include "memory_source.h"

#ifdef CATENA_ASAN
#include <sanitizer/asan_interface.h>
#endif

using catena::Ledger;
using catena::MemoryPool;
using catena_test::CountingSource;
using catena_test::Dice;

namespace {

// When it reaches 0 the form of operator new that the pool's tables use fails; below 0 it never
// does.
thread_local int64_t heap_fails_in = -1;
thread_local int64_t heap_calls = 0;

bool heap_fails() {
  ++heap_calls;
  return heap_fails_in >= 0 && heap_fails_in-- == 0;
}

constexpr uint64_t kMiB = uint64_t{1} << 20;

ctn_memory_stats stats_of(const Ledger& ledger) {
  ctn_memory_stats stats{};
  ledger.fill(&stats);
  return stats;
}

void fill_pattern(void* p, uint64_t bytes, unsigned char with) { std::memset(p, with, bytes); }

bool holds_pattern(const void* p, uint64_t bytes, unsigned char with) {
  const auto* c = static_cast<const unsigned char*>(p);
  for (uint64_t i = 0; i < bytes; ++i)
    if (c[i] != with) return false;
  return true;
}

struct Fault {
  int64_t countdown;
  bool forever;
  uint64_t asked = 0;

  static bool fails(void* self) {
    auto& f = *static_cast<Fault*>(self);
    ++f.asked;
    if (f.countdown > 0) {
      --f.countdown;
      return false;
    }
    return f.countdown == 0 && (f.forever || f.countdown-- == 0);
  }
};

}  // namespace

void* operator new[](size_t bytes, const std::nothrow_t&) noexcept {
  if (heap_fails()) return nullptr;
  try {
    return operator new[](bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

TEST_CASE("size classes hold what is asked for and waste little") {
  uint32_t last = 0;
  for (uint64_t bytes = 0; bytes <= catena::kClassedMost; ++bytes) {
    const uint32_t c = catena::size_class(bytes);
    const uint64_t size = catena::class_bytes(c);
    const bool fits = size >= bytes && (c == 0 || catena::class_bytes(c - 1) < bytes);
    const uint64_t waste_most = bytes <= 256 ? 63 : bytes <= 4096 ? bytes / 4 : bytes / 8;
    const bool thrifty = bytes == 0 || size - bytes <= waste_most;
    const bool ordered = c == last || c == last + 1;
    if (!fits || !thrifty || !ordered || size % 64 != 0) {
      CAPTURE(bytes);
      REQUIRE(fits);
      REQUIRE(thrifty);
      REQUIRE(ordered);
      REQUIRE(size % 64 == 0);
    }
    last = c;
  }
  CHECK(last == catena::kSizeClasses - 1);
}

TEST_CASE("the ledger is exact to the byte and cannot wrap") {
  Ledger ledger(1000);
  CHECK(ledger.take(999));
  CHECK_FALSE(ledger.take(2));
  CHECK_FALSE(ledger.take(UINT64_MAX));
  CHECK(ledger.take(1));
  CHECK_FALSE(ledger.take(1));
  CHECK(ledger.take(0));
  CHECK(ledger.held() == 1000);
  ledger.give(999);
  CHECK(ledger.held() == 1);
  CHECK(ledger.take(500));
  CHECK(stats_of(ledger).peak_held == 1000);
  CHECK(stats_of(ledger).peak_used == 1000);
  CHECK(stats_of(ledger).limit == 1000);
  ledger.set_limit(400);
  CHECK_FALSE(ledger.take(1));
  ledger.give(101);
  CHECK(ledger.held() == 400);
  CHECK_FALSE(ledger.take(1));
  ledger.set_limit(0);
  CHECK_FALSE(ledger.take(UINT64_MAX));
  CHECK(ledger.take(UINT64_MAX - 400));
  const ctn_memory_stats stats = stats_of(ledger);
  CHECK(stats.limit == 0);
  CHECK(stats.held == UINT64_MAX);
  CHECK(stats.used == UINT64_MAX);
  CHECK(stats.cached == 0);
  CHECK(stats.peak_held == UINT64_MAX);
  CHECK(stats.peak_used == UINT64_MAX);
  CHECK(stats.raw_allocations == 5);
  CHECK(stats.allocations == 5);
}

TEST_CASE("blocks are aligned, do not overlap and keep what is written") {
  for (const bool host : {true, false}) {
    for (const uint64_t align : {uint64_t{64}, uint64_t{256}, uint64_t{4096}}) {
      CAPTURE(align);
      CountingSource source;
      {
        Ledger ledger;
        MemoryPool pool(ledger, source.source(host), align);
        struct Block {
          unsigned char* p;
          uint64_t bytes;
          unsigned char with;
        };
        std::vector<Block> blocks;
        Dice dice{align};
        bool ok = true;
        for (int step = 0; step < 4000; ++step) {
          if (blocks.size() < 200 && dice(5) < 3) {
            static constexpr uint64_t kMost[] = {300, 5000, 60000, 3 * kMiB};
            const uint64_t kind = dice(40);
            const uint64_t bytes = 1 + dice(kMost[kind < 30   ? 0
                                                  : kind < 37 ? 1
                                                  : kind < 39 ? 2
                                                              : 3]);
            auto* p = static_cast<unsigned char*>(pool.get(bytes));
            REQUIRE(p != nullptr);
            ok = ok && reinterpret_cast<uintptr_t>(p) % align == 0;
            const auto with = static_cast<unsigned char>(step);
            fill_pattern(p, bytes, with);
            blocks.push_back({p, bytes, with});
          } else if (!blocks.empty()) {
            const size_t i = dice(blocks.size());
            ok = ok && holds_pattern(blocks[i].p, blocks[i].bytes, blocks[i].with);
            pool.put(blocks[i].p, blocks[i].bytes);
            blocks[i] = blocks.back();
            blocks.pop_back();
          }
          if (step % 500 == 499) pool.trim();
          ok = ok && source.bytes == ledger.held() && pool.held() == ledger.held();
          ok = ok && pool.outstanding() == blocks.size() && ledger.used() <= ledger.held();
        }
        CHECK(ok);
        CHECK(source.align == align);
        for (const Block& b : blocks) ok = ok && holds_pattern(b.p, b.bytes, b.with);
        CHECK(ok);
        for (const Block& b : blocks) pool.put(b.p, b.bytes);
        CHECK(ledger.used() == 0);
        CHECK(pool.trim() > 0);
        CHECK(ledger.held() == 0);
        CHECK(source.out.empty());
      }
      CHECK(source.mistakes == 0);
    }
  }
}

TEST_CASE("only alignments from 64 to 4096 are served") {
  Ledger ledger;
  CountingSource source;
  for (const uint64_t align : {uint64_t{0}, uint64_t{32}, uint64_t{96}, uint64_t{8192}})
    CHECK_THROWS_AS(MemoryPool(ledger, source.source(), align), catena::Error);
}

TEST_CASE("held never passes the limit by a byte, and a put makes room again") {
  CountingSource source;
  constexpr uint64_t kLimit = 10 * kMiB + 12345;
  Ledger ledger(kLimit);
  MemoryPool pool(ledger, source.source());
  Dice dice{7};
  std::vector<std::pair<void*, uint64_t>> out;
  int refused = 0;
  for (int step = 0; step < 20000; ++step) {
    const uint64_t bytes = dice(2) == 0 ? dice(5000) : dice(2 * kMiB);
    if (void* p = pool.get(bytes)) {
      out.emplace_back(p, bytes);
    } else {
      ++refused;
      const size_t i = dice(out.size());
      pool.put(out[i].first, out[i].second);
      out[i] = out.back();
      out.pop_back();
    }
    if (ledger.held() > kLimit || source.bytes != ledger.held()) {
      REQUIRE(ledger.held() <= kLimit);
      REQUIRE(source.bytes == ledger.held());
    }
  }
  CHECK(refused > 100);
  CHECK(source.peak <= kLimit);
  CHECK(source.peak == stats_of(ledger).peak_held);
  for (auto [p, bytes] : out) pool.put(p, bytes);
  // What is cached in small pieces makes way for one large block.
  void* whole = pool.get(10 * kMiB);
  REQUIRE(whole != nullptr);
  CHECK(ledger.held() == 10 * kMiB);
  pool.put(whole, 10 * kMiB);
}

TEST_CASE("a refusing source leaves the ledger as it was") {
  CountingSource source;
  source.refuse_above = 3 * kMiB;
  Ledger ledger;
  MemoryPool pool(ledger, source.source());
  void* a = pool.get(2 * kMiB);
  REQUIRE(a != nullptr);
  const ctn_memory_stats before = stats_of(ledger);
  CHECK(pool.get(2 * kMiB) == nullptr);
  CHECK(pool.get(uint64_t{1} << 62) == nullptr);
  CHECK(pool.get(UINT64_MAX) == nullptr);
  CHECK(pool.get(UINT64_MAX - 4096) == nullptr);
  const ctn_memory_stats after = stats_of(ledger);
  CHECK(after.held == before.held);
  CHECK(after.used == before.used);
  CHECK(after.peak_held == before.peak_held);
  CHECK(after.allocations == before.allocations);
  CHECK(pool.outstanding() == 1);
  // Cached memory is given back before giving up.
  pool.put(a, 2 * kMiB);
  void* b = pool.get(3 * kMiB);
  CHECK(b != nullptr);
  CHECK(ledger.held() == 3 * kMiB);
  pool.put(b, 3 * kMiB);
  void* small = nullptr;
  for (int i = 0; i < 100; ++i) {
    void* p = pool.get(100000);
    if (p == nullptr) break;
    *static_cast<void**>(p) = small;
    small = p;
  }
  CHECK(pool.get(100) == nullptr);
  while (small != nullptr) {
    void* next = *static_cast<void**>(small);
    pool.put(small, 100000);
    small = next;
  }
  void* p = pool.get(100);
  CHECK(p != nullptr);
  pool.put(p, 100);
}

TEST_CASE("trim gives back empty slabs and spares those in use") {
  CountingSource source;
  Ledger ledger;
  MemoryPool pool(ledger, source.source());
  std::vector<void*> blocks;
  for (int i = 0; i < 5000; ++i) blocks.push_back(pool.get(192));
  const uint64_t full = ledger.held();
  const uint64_t slab = 64 * 1024;
  CHECK(full == (5000 + slab / 192 - 1) / (slab / 192) * slab);
  CHECK(pool.trim() == 0 + (full - ledger.held()));
  fill_pattern(blocks[1234], 192, 0x5a);
  for (int i = 0; i < 5000; ++i)
    if (i != 1234) pool.put(blocks[static_cast<size_t>(i)], 192);
  CHECK(pool.trim() == full - slab);
  CHECK(ledger.held() == slab);
  CHECK(ledger.used() == 192);
  CHECK(holds_pattern(blocks[1234], 192, 0x5a));
  // The slab left goes on serving.
  std::vector<void*> again;
  for (uint64_t i = 1; i < slab / 192; ++i) again.push_back(pool.get(192));
  CHECK(ledger.held() == slab);
  for (void* p : again) pool.put(p, 192);
  pool.put(blocks[1234], 192);
  CHECK(pool.trim() == slab);
  CHECK(ledger.held() == 0);
  CHECK(pool.trim() == 0);
}

TEST_CASE("a large block goes to the best fitting request, at most a quarter smaller") {
  CountingSource source;
  Ledger ledger;
  MemoryPool pool(ledger, source.source());
  const uint64_t sizes[] = {8 * kMiB, 4 * kMiB, 5 * kMiB, 4 * kMiB};
  std::vector<void*> blocks;
  for (const uint64_t bytes : sizes) blocks.push_back(pool.get(bytes));
  for (size_t i = 0; i < 4; ++i) pool.put(blocks[i], sizes[i]);
  const uint64_t calls = source.calls;
  CHECK(pool.get(4 * kMiB - 1000) == blocks[3]);  // the warmest of two equal ones
  CHECK(pool.get(4 * kMiB) == blocks[1]);
  CHECK(pool.get(4 * kMiB) == blocks[2]);  // 25 % larger
  CHECK(ledger.used() == 13 * kMiB);
  CHECK(source.calls == calls);
  void* p = pool.get(6 * kMiB);  // 8 MiB would be too much for it
  CHECK(p != blocks[0]);
  CHECK(source.calls == calls + 1);
  // It goes back as the block that it is, whatever was asked for.
  pool.put(blocks[2], 4 * kMiB);
  CHECK(pool.get(5 * kMiB) == blocks[2]);
  // A block that is not out changes nothing.
  const uint64_t out = pool.outstanding();
  pool.put(&source, 2 * kMiB);
  pool.put(nullptr, 2 * kMiB);
  CHECK(pool.outstanding() == out);
  for (void* q : {blocks[3], blocks[1]}) pool.put(q, 4 * kMiB);
  pool.put(blocks[2], 5 * kMiB);
  pool.put(p, 6 * kMiB);
  CHECK(ledger.used() == 0);
  CHECK(pool.outstanding() == 0);
}

namespace {

// A step of work as training does it: everything of it comes and goes in the same order. False when
// some allocation failed; what it had got is put back then.
bool work_step(MemoryPool& pool, bool touch) {
  static constexpr uint64_t kBytes[] = {96,     320,     100,     4096,     5000,    70000, 200000,
                                        900000, 1500000, 2500000, 10000000, 2500000, 64};
  struct Block {
    void* p;
    uint64_t bytes;
  };
  Block out[8 * std::size(kBytes)];
  size_t n = 0;
  bool ok = true;
  for (int round = 0; round < 8 && ok; ++round) {
    for (const uint64_t bytes : kBytes) {
      void* p = pool.get(bytes);
      if (p == nullptr) {
        ok = false;
        break;
      }
      out[n++] = {p, bytes};
      for (uint64_t i = 0; touch && i < bytes; i += 4096) static_cast<char*>(p)[i] = 1;
      if (n % 3 == 0) {
        --n;
        pool.put(out[n].p, out[n].bytes);
      }
    }
  }
  while (n > 0) {
    --n;
    pool.put(out[n].p, out[n].bytes);
  }
  return ok;
}

}  // namespace

TEST_CASE("a steady state asks the source for nothing and faults no page") {
  Ledger ledger;
  MemoryPool pool(ledger, catena::system_memory());
  for (int i = 0; i < 3; ++i) REQUIRE(work_step(pool, true));
  const ctn_memory_stats before = stats_of(ledger);
  rusage first{};
  getrusage(RUSAGE_THREAD, &first);
  bool ok = true;
  for (int i = 0; i < 50; ++i) ok = work_step(pool, true) && ok;
  rusage last{};
  getrusage(RUSAGE_THREAD, &last);
  const ctn_memory_stats after = stats_of(ledger);
  CHECK(ok);
  CHECK(after.raw_allocations == before.raw_allocations);
  CHECK(after.held == before.held);
  CHECK(after.peak_used == before.peak_used);
  CHECK(after.allocations == before.allocations + 50 * 8 * 13);
#if !defined(CATENA_ASAN) && !defined(CATENA_TSAN)
  CHECK(last.ru_minflt - first.ru_minflt == 0);
#endif
  CHECK(pool.trim() == after.held);
}

TEST_CASE("every allocation may fail, once or from there on") {
  CountingSource source;
  {
    Ledger ledger;
    MemoryPool pool(ledger, source.source());
    Fault count{-1, false};
    ledger.set_fault(Fault::fails, &count);
    REQUIRE(work_step(pool, false));
    const auto total = static_cast<int64_t>(count.asked);
    CHECK(total == 8 * 13);
    for (const bool forever : {false, true}) {
      for (int64_t n = 0; n <= total; ++n) {
        Fault fault{n, forever};
        ledger.set_fault(Fault::fails, &fault);
        const bool cold = n % 2 == 0;
        if (cold) pool.trim();
        const bool done = work_step(pool, false);
        if (done != (n == total) || pool.outstanding() != 0 || ledger.used() != 0) {
          CAPTURE(n);
          REQUIRE(done == (n == total));
          REQUIRE(pool.outstanding() == 0);
          REQUIRE(ledger.used() == 0);
        }
      }
    }
    Fault one{0, false};
    ledger.set_fault(Fault::fails, &one);
    CHECK_FALSE(ledger.take(1));
    CHECK(ledger.take(1));
    ledger.give(1);
    ledger.set_fault(nullptr, nullptr);
    CHECK(work_step(pool, false));
  }
  CHECK(source.mistakes == 0);
  CHECK(source.out.empty());
}

TEST_CASE("a closed pool says when its last block comes home, once") {
  Ledger ledger;
  CountingSource source;
  MemoryPool pool(ledger, source.source());
  void* small = pool.get(100);
  CHECK_FALSE(pool.put(small, 100));
  small = pool.get(100);
  void* medium = pool.get(10000);
  void* large = pool.get(2 * kMiB);
  CHECK_FALSE(pool.close());
  CHECK_FALSE(pool.put(large, 2 * kMiB));
  CHECK_FALSE(pool.put(small, 100));
  CHECK_FALSE(pool.put(nullptr, 100));
  CHECK(pool.put(medium, 10000));
  large = pool.get(2 * kMiB);
  CHECK(pool.put(large, 2 * kMiB));
  CHECK(pool.close());
}

TEST_CASE("a closed pool is opened again by who holds a block") {
  Ledger ledger;
  CountingSource source;
  MemoryPool pool(ledger, source.source());
  for (const bool open_first : {false, true}) {
    void* block = pool.get(100);
    if (open_first) pool.open();
    CHECK_FALSE(pool.close());
    if (!open_first) pool.open();
    CHECK_FALSE(pool.put(block, 100));
  }
  CHECK(pool.close());
}

TEST_CASE("the pool's own tables may fail to grow") {
  CountingSource source;
  static constexpr uint64_t kBytes[] = {2 * kMiB, 8000, 192};
  int64_t failures = 0;
  for (bool whole = false; !whole; ++failures) {
    Ledger ledger;
    MemoryPool pool(ledger, source.source());
    std::vector<std::pair<void*, uint64_t>> out;
    heap_fails_in = failures;
    for (int i = 0; i < 120; ++i) {  // enough for every table to grow twice
      const uint64_t bytes = kBytes[i % 3];
      const uint64_t held = ledger.held();
      if (void* p = pool.get(bytes)) {
        out.emplace_back(p, bytes);
      } else {
        CHECK(heap_fails_in < 0);
        CHECK(ledger.held() == held);
      }
    }
    CHECK(pool.outstanding() == out.size());
    CHECK(out.size() == 120 - (heap_fails_in < 0 ? 1 : 0));
    whole = heap_fails_in >= 0;
    heap_fails_in = -1;
    for (auto [p, bytes] : out) pool.put(p, bytes);
    pool.trim();
    CHECK(ledger.held() == 0);
  }
  // Large blocks out and cached, cached blocks of 8000, slabs, cached blocks of 192; the last
  // passed.
  CHECK(failures == 3 + 3 + 3 + 1 + 1 + 1);
  CHECK(source.out.empty());
  CHECK(source.mistakes == 0);
}

TEST_CASE("the pool's own tables do not grow by use, trimming or refusals") {
  CountingSource source;
  Ledger ledger;
  MemoryPool pool(ledger, source.source());
  int64_t after_first = 0;
  for (int cycle = 0; cycle < 200; ++cycle) {
    CHECK(work_step(pool, false));
    pool.trim();
    source.refuse_above = 0;
    for (const uint64_t bytes : {uint64_t{192}, uint64_t{10000}, 2 * kMiB})
      CHECK(pool.get(bytes) == nullptr);
    source.refuse_above = UINT64_MAX;
    if (cycle == 0) after_first = heap_calls;
  }
  CHECK(after_first > 0);
  CHECK(heap_calls == after_first);
}

TEST_CASE("ASan sees what is not out") {
#ifdef CATENA_ASAN
  Ledger ledger;
  MemoryPool pool(ledger, catena::system_memory());
  for (const uint64_t bytes : {uint64_t{100}, uint64_t{5000}, 2 * kMiB - 100}) {
    auto* p = static_cast<char*>(pool.get(bytes));
    CHECK(__asan_region_is_poisoned(p, bytes) == nullptr);
    CHECK(__asan_address_is_poisoned(p + bytes) == 1);
    pool.put(p, bytes);
    CHECK(__asan_address_is_poisoned(p) == 1);
  }
#else
  catena_test::skip("built without AddressSanitizer");
#endif
}

TEST_CASE("system memory: whole huge pages from 1 MiB on") {
  const catena::RawSource system = catena::system_memory();
  for (const uint64_t bytes : {uint64_t{100}, kMiB - 1, kMiB, 5 * kMiB + 4097}) {
    void* p = system.alloc(system.user, bytes, 64);
    REQUIRE(p != nullptr);
    CHECK(reinterpret_cast<uintptr_t>(p) % (bytes >= kMiB ? 2 * kMiB : 64) == 0);
    fill_pattern(p, bytes, 1);
    system.free(system.user, p, bytes, 64);
  }
  CHECK(system.alloc(system.user, uint64_t{1} << 60, 64) == nullptr);
  CHECK(system.alloc(system.user, UINT64_MAX, 64) == nullptr);
}

TEST_CASE("a host's allocator gets every request and every block back") {
  CountingSource source;
  const ctn_allocator table = {sizeof(ctn_allocator), 0, &source, CountingSource::alloc,
                               CountingSource::free};
  {
    Ledger ledger;
    MemoryPool pool(ledger, catena::host_memory(table));
    CHECK(work_step(pool, false));
    CHECK(source.bytes == ledger.held());
  }
  CHECK(source.out.empty());
  CHECK(source.mistakes == 0);
  const bool system_is_default = catena::host_memory({}).alloc == catena::system_memory().alloc;
  CHECK(system_is_default);
}
