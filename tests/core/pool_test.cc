// Thread pool, executor and parallel_for: everything is done exactly once, results do not depend on
// the threads, errors reach the caller.
#include "core/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <atomic>
#include <bit>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "main.h"

using catena::Executor;
using catena::parallel_for;
using catena::ThreadPool;

namespace {

struct Counts {
  explicit Counts(int64_t n) : times(static_cast<size_t>(n)) {}

  std::vector<std::atomic<int>> times;

  static void body(void* self, int64_t k) {
    static_cast<Counts*>(self)->times[static_cast<size_t>(k)].fetch_add(1);
  }
  bool all(int expected) const {
    for (const auto& t : times)
      if (t.load() != expected) return false;
    return true;
  }
};

// Returns only when `parties` threads are in it at once.
struct Meeting {
  int parties;
  std::atomic<int> here{0};

  void attend() {
    here.fetch_add(1);
    while (here.load() < parties) std::this_thread::yield();
  }
};

}  // namespace

TEST_CASE("every item is done exactly once") {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    for (const int64_t n : {0, 1, 2, 3, 7, 8, 9, 64, 1000, 20000}) {
      Counts counts(n);
      const int rounds = n < 100 ? 200 : 3;
      for (int i = 0; i < rounds; ++i) pool.run(n, Counts::body, &counts);
      CAPTURE(threads);
      CAPTURE(n);
      CHECK(counts.all(rounds));
    }
  }
}

TEST_CASE("many short jobs on crowded CPUs") {
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      ThreadPool pool(3);
      for (int i = 0; i < 100000; ++i) {
        std::atomic<int> done{0};
        const auto body = [](void* d, int64_t) { static_cast<std::atomic<int>*>(d)->fetch_add(1); };
        pool.run(3, body, &done);
        if (done.load() != 3) ++wrong;
      }
    });
  for (std::thread& t : callers) t.join();
  CHECK(wrong.load() == 0);
}

TEST_CASE("negative counts do nothing, and 0 threads means what the process may use") {
  ThreadPool pool(0);
  CHECK(pool.threads() >= 1);
  Counts counts(1);
  pool.run(-5, Counts::body, &counts);
  CHECK(counts.all(0));
}

TEST_CASE("all threads work at once, and helpers sleep and come back") {
  ThreadPool pool(4);
  for (int i = 0; i < 20; ++i) {
    Meeting meeting{.parties = 4};
    pool.run(
        4, [](void* m, int64_t) { static_cast<Meeting*>(m)->attend(); }, &meeting);
    CHECK(meeting.here.load() == 4);
    if (i % 4 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST_CASE("helpers leave the host's signals alone") {
  struct Seen {
    Meeting meeting{.parties = 3};
    pthread_t caller = pthread_self();
    std::atomic<int> blocked{0}, helpers{0};
  } seen;
  ThreadPool pool(3);
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  pool.run(
      3,
      [](void* arg, int64_t) {
        auto& s = *static_cast<Seen*>(arg);
        s.meeting.attend();
        if (pthread_equal(pthread_self(), s.caller)) return;
        sigset_t mask;
        pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        ++s.helpers;
        if (sigismember(&mask, SIGINT) == 1 && sigismember(&mask, SIGUSR1) == 1) ++s.blocked;
      },
      &seen);
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  CHECK(seen.helpers.load() == 2);
  CHECK(seen.blocked.load() == 2);
  CHECK(sigismember(&after, SIGINT) == sigismember(&before, SIGINT));
}

TEST_CASE("nested and concurrent runs are done by their callers") {
  struct Outer {
    ThreadPool pool{4};
    std::atomic<int> done{0};
    std::atomic<int> strays{0};
  } outer;
  outer.pool.run(
      50,
      [](void* arg, int64_t) {
        struct Inner {
          Outer* outer;
          pthread_t caller;
        } inner{static_cast<Outer*>(arg), pthread_self()};
        inner.outer->pool.run(
            10,
            [](void* p, int64_t) {
              auto& in = *static_cast<Inner*>(p);
              if (!pthread_equal(pthread_self(), in.caller)) ++in.outer->strays;
              ++in.outer->done;
            },
            &inner);
      },
      &outer);
  CHECK(outer.done.load() == 500);
  CHECK(outer.strays.load() == 0);

  std::vector<std::thread> callers;
  Counts counts(64);
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([&] {
      for (int i = 0; i < 300; ++i) outer.pool.run(64, Counts::body, &counts);
    });
  for (std::thread& t : callers) t.join();
  CHECK(counts.all(4 * 300));
}

TEST_CASE("pools come and go") {
  for (int i = 0; i < 100; ++i) {
    ThreadPool a(3);
    ThreadPool b(2);
    ThreadPool idle(8);
    Counts counts(5);
    a.run(5, Counts::body, &counts);
    b.run(5, Counts::body, &counts);
    CHECK(counts.all(2));
  }
}

namespace {

// Adds in an order that shows in the bits.
struct Sum {
  const std::vector<float>& values;
  std::vector<float> parts;
  int64_t grain;

  static ctn_status range(void* self, int64_t begin, int64_t end) {
    auto& s = *static_cast<Sum*>(self);
    float sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += s.values[static_cast<size_t>(i)];
    s.parts[static_cast<size_t>(begin / s.grain)] = sum;
    return CTN_OK;
  }
};

struct Fails {
  std::vector<int64_t> at;  // begins of failing ranges
  std::atomic<int> calls{0};
  bool text = true;

  static ctn_status range(void* self, int64_t begin, int64_t end) {
    auto& f = *static_cast<Fails*>(self);
    ++f.calls;
    for (const int64_t b : f.at) {
      if (b != begin) continue;
      const ctn_status code = begin % 20 == 0 ? CTN_ESHAPE : CTN_ENAN;
      if (!f.text) return code;
      return catena::store_error(
          code, "range " + std::to_string(begin) + " to " + std::to_string(end) + " is bad");
    }
    return CTN_OK;
  }
};

}  // namespace

TEST_CASE("bits do not depend on the number of threads") {
  std::vector<float> values(100003);
  uint32_t x = 1;
  for (float& v : values) {
    x = x * 1664525 + 1013904223;
    v = static_cast<float>(x >> 8) * 1e-3f - 5000.0f;
  }
  for (const int64_t grain : {1000, 4096}) {
    uint32_t expected = 0;
    for (const int threads : {1, 2, 3, 8}) {
      Executor executor(threads);
      for (int round = 0; round < 20; ++round) {
        Sum sum{values, std::vector<float>(101), grain};
        REQUIRE(parallel_for(executor, 100003, grain, Sum::range, &sum) == CTN_OK);
        float total = 0;
        for (const float part : sum.parts) total += part;
        const auto bits = std::bit_cast<uint32_t>(total);
        if (threads == 1 && round == 0) expected = bits;
        CHECK(bits == expected);
      }
    }
  }
}

TEST_CASE("parallel_for cuts into ranges of the grain") {
  struct Seen {
    std::atomic<int64_t> sum{0}, ranges{0}, wrong{0};
    int64_t n, grain;
  };
  struct Shape {
    int64_t n, grain, ranges;
  };
  static constexpr Shape kShapes[] = {{0, 10, 0},
                                      {-3, 10, 0},
                                      {1, 10, 1},
                                      {10, 10, 1},
                                      {11, 10, 2},
                                      {25, 10, 3},
                                      {7, 0, 7},
                                      {7, -1, 7},
                                      {INT64_MAX, int64_t{1} << 60, 8},
                                      {INT64_MAX, INT64_MAX, 1},
                                      {INT64_MAX, INT64_MAX - 1, 2}};
  for (const int threads : {1, 3}) {
    Executor executor(threads);
    for (const Shape& shape : kShapes) {
      Seen seen{.n = shape.n, .grain = std::max<int64_t>(1, shape.grain)};
      const ctn_status status = parallel_for(
          executor, shape.n, shape.grain,
          [](void* arg, int64_t begin, int64_t end) -> ctn_status {
            auto& s = *static_cast<Seen*>(arg);
            if (begin % s.grain != 0 || end <= begin || (end != s.n && end - begin != s.grain))
              ++s.wrong;
            s.sum += end - begin;
            ++s.ranges;
            return CTN_OK;
          },
          &seen);
      CAPTURE(shape.n);
      CAPTURE(shape.grain);
      CHECK(status == CTN_OK);
      CHECK(seen.wrong.load() == 0);
      CHECK(seen.ranges.load() == shape.ranges);
      CHECK(seen.sum.load() == std::max<int64_t>(0, shape.n));
    }
  }
}

TEST_CASE("the lowest failing range tells the caller what happened") {
  for (const int threads : {1, 2, 8}) {
    Executor executor(threads);
    for (int round = 0; round < 100; ++round) {
      Fails fails;
      fails.at = {990, 30, 500, 40, 35};  // 35 begins no range
      CHECK(parallel_for(executor, 1000, 10, Fails::range, &fails) == CTN_ENAN);
      CHECK(std::string(catena::last_error_text()) == "range 30 to 40 is bad");
      CHECK(catena::last_error_code() == CTN_ENAN);
      CHECK(fails.calls.load() <= 100);
      CHECK(fails.calls.load() >= 4);
    }
  }
}

TEST_CASE("a range may fail without a text, and a long one is cut") {
  Executor executor(3);
  catena::store_error(CTN_EIO, "of long ago");
  Fails fails;
  fails.at = {980};
  fails.text = false;
  CHECK(parallel_for(executor, 1000, 10, Fails::range, &fails) == CTN_ESHAPE);
  CHECK(std::string(catena::last_error_text()).find("of long ago") == std::string::npos);
  CHECK(catena::last_error_code() == CTN_ESHAPE);
  const ctn_status status = parallel_for(
      executor, 2, 1,
      [](void*, int64_t, int64_t) -> ctn_status {
        return catena::store_error(CTN_EINVAL, std::string(5000, 'x'));
      },
      nullptr);
  CHECK(status == CTN_EINVAL);
  CHECK(std::strlen(catena::last_error_text()) > 100);
}

TEST_CASE("parallel_for within a range stays in its thread") {
  struct Outer {
    Executor executor{4};
    std::atomic<int> strays{0}, done{0};
  } outer;
  const auto inner = [](void* arg, int64_t, int64_t) -> ctn_status {
    struct Inner {
      Outer* outer;
      pthread_t caller;
    } in{static_cast<Outer*>(arg), pthread_self()};
    return parallel_for(
        in.outer->executor, 5, 1,
        [](void* p, int64_t begin, int64_t) -> ctn_status {
          auto& i = *static_cast<Inner*>(p);
          if (!pthread_equal(pthread_self(), i.caller)) ++i.outer->strays;
          ++i.outer->done;
          return begin == 3 ? catena::store_error(CTN_EINVAL, "inner 3") : CTN_OK;
        },
        &in);
  };
  CHECK(parallel_for(outer.executor, 40, 1, inner, &outer) == CTN_EINVAL);
  CHECK(std::string(catena::last_error_text()) == "inner 3");
  CHECK(outer.strays.load() == 0);
  CHECK(outer.done.load() >= 4);
}

TEST_CASE("a host's executor runs the ranges") {
  struct Host {
    int calls = 0;
    int64_t items = 0;
  } host;
  ctn_executor table{};
  table.size = sizeof table;
  table.threads = 3;
  table.user = &host;
  table.run = [](void* user, int64_t n, void (*body)(void*, int64_t), void* arg) {
    auto& h = *static_cast<Host*>(user);
    ++h.calls;
    h.items += n;
    for (int64_t k = n; k-- > 0;) body(arg, k);
  };
  Executor executor(table);
  CHECK(executor.threads() == 3);
  Fails fails;
  CHECK(parallel_for(executor, 95, 10, Fails::range, &fails) == CTN_OK);
  CHECK(fails.calls.load() == 10);
  CHECK(host.calls == 1);
  CHECK(host.items == 10);
  fails.at = {20, 70};
  CHECK(parallel_for(executor, 95, 10, Fails::range, &fails) == CTN_ESHAPE);
  CHECK(std::string(catena::last_error_text()) == "range 20 to 30 is bad");
  // A range that calls again does not ask the host again.
  const auto nested = [](void* arg, int64_t, int64_t) -> ctn_status {
    Fails inner;
    const ctn_status status =
        parallel_for(*static_cast<Executor*>(arg), 30, 10, Fails::range, &inner);
    return inner.calls.load() == 3 ? status : CTN_EINTERNAL;
  };
  CHECK(parallel_for(executor, 20, 10, nested, &executor) == CTN_OK);
  CHECK(host.calls == 3);
  // One range, or one thread, needs no host.
  CHECK(parallel_for(executor, 10, 10, Fails::range, &fails) == CTN_OK);
  CHECK(host.calls == 3);
  table.threads = 0;
  Executor single(table);
  CHECK(single.threads() == 1);
  CHECK(parallel_for(single, 15, 10, Fails::range, &fails) == CTN_OK);
  CHECK(host.calls == 3);
}
