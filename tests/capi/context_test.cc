// A context: what its options do, devices, threads, memory, random numbers, the log, and who keeps
// it alive. Its configuration is in config_test.cc.
#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "child.h"
#include "core/memory_io.h"
#include "support.h"

using namespace capi_test;

namespace {

ctn_context const kNowhere = untouched<ctn_context_s>();

void refused(const ctn_context_options& o, ctn_status code, const char* text) {
  ctn_context out = kNowhere;
  CHECK_FAILS(ctn_context_create(&o, &out), code, text);
  CHECK(out == kNowhere);
}

std::vector<double> drawn(ctn_context ctx, int32_t kind, int64_t n) {
  std::vector<double> v(static_cast<size_t>(n));
  REQUIRE_OK(ctn_random_draw(ctx, kind, v.data(), n));
  return v;
}

// A host allocator that counts bytes and calls.
struct Memory {
  std::mutex mutex;
  uint64_t bytes = 0, calls = 0, most = UINT64_MAX;
  bool wrong_free = false;
  std::map<void*, uint64_t> blocks;

  static void* alloc(void* user, uint64_t bytes, uint64_t align) {
    auto& m = *static_cast<Memory*>(user);
    const std::lock_guard lock(m.mutex);
    ++m.calls;
    if (bytes > m.most - m.bytes) return nullptr;
    void* p = std::aligned_alloc(align, (bytes + align - 1) / align * align);
    m.bytes += bytes;
    m.blocks[p] = bytes;
    return p;
  }
  static void free(void* user, void* p, uint64_t bytes, uint64_t) {
    auto& m = *static_cast<Memory*>(user);
    const std::lock_guard lock(m.mutex);
    m.bytes -= bytes;
    const auto block = m.blocks.find(p);
    m.wrong_free = m.wrong_free || block == m.blocks.end() || block->second != bytes;
    if (block != m.blocks.end()) m.blocks.erase(block);
    std::free(p);
  }
  ctn_allocator table{sizeof(ctn_allocator), 0, this, alloc, free};
};

}  // namespace

TEST_CASE("a context without options is a cpu context") {
  Ctx ctx;
  REQUIRE_OK(ctn_context_create(nullptr, ctx.out()));
  ctn_device device{-1, -1};
  ctn_str backend{}, name{};
  REQUIRE_OK(ctn_context_device(ctx, &device, &backend));
  CHECK(device.type == CTN_DEV_CPU);
  CHECK(device.id == 0);
  CHECK(std::string(backend.p, backend.n) == "cpu");
  REQUIRE_OK(ctn_context_device(ctx, nullptr, nullptr));
  REQUIRE_OK(ctn_device_name(ctx, &name));
  CHECK(name.n > 0);
  CHECK(ctn_context_threads(ctx) >= 1);
  REQUIRE_OK(ctn_synchronize(ctx));
}

TEST_CASE("a device is found by name; one that is not there is refused with the reason") {
  const Ctx ctx = context();
  ctn_device device{-1, -1};
  for (const char* name : {"cpu", "cpu:0"}) {
    REQUIRE_OK(ctn_device_find(ctx, str(name), &device));
    CHECK(device.type == CTN_DEV_CPU);
    CHECK(device.id == 0);
    ctn_context_options o = options();
    o.device = str(name);
    CHECK(used(context(o)) == 0);
  }
  device = {-1, -1};
  const struct {
    const char* name;
    ctn_status code;
    const char* text;
  } cases[] = {{"cpu:1", CTN_EDEVICE, "'cpu:1' does not exist"},
               {"cpu:", CTN_EINVAL, "'cpu:'"},
               {"cpu:x", CTN_EINVAL, "'cpu:x'"},
               {"cpu:-1", CTN_EINVAL, "'cpu:-1'"},
               {"cpu:+0", CTN_EINVAL, "'cpu:+0'"},
               {"cpu: 0", CTN_EINVAL, "'cpu: 0'"},
               {"cpu:99999999999999999999", CTN_EINVAL, "99999999999999999999"},
               {"warp", CTN_ENOTFOUND, "backend 'warp' cannot be had"},
               {"warp:0", CTN_ENOTFOUND, "searched: "},
               {"../cpu", CTN_EINVAL, "../cpu"},
               {":0", CTN_EINVAL, "''"}};
  for (const auto& c : cases) {
    CHECK_FAILS(ctn_device_find(ctx, str(c.name), &device), c.code, c.text);
    ctn_context_options o = options();
    o.device = str(c.name);
    refused(o, c.code, c.text);
  }
  CHECK_FAILS(ctn_device_find(ctx, str(""), &device), CTN_EINVAL, "''");
  int32_t n = -1;
  REQUIRE_OK(ctn_device_count(ctx, str("cpu"), &n));
  CHECK(n == 1);
  CHECK_FAILS(ctn_device_count(ctx, str("warp"), &n), CTN_ENOTFOUND, "backend 'warp'");
  ctn_str found{}, text{};
  REQUIRE_OK(ctn_device_describe(ctx, {CTN_DEV_CPU, 0}, &found, &text));
  CHECK(std::string(found.p, found.n) == "cpu:0");
  CHECK(text.n > 0);
  REQUIRE_OK(ctn_device_describe(ctx, {CTN_DEV_CPU, 0}, nullptr, nullptr));
  CHECK_FAILS(ctn_device_describe(ctx, {CTN_DEV_CUDA, 3}, &found, nullptr), CTN_EDEVICE,
              "type 2 id 3");
  void* stream = &device;
  CHECK_FAILS(ctn_device_stream(ctx, {CTN_DEV_CPU, 0}, &stream), CTN_EUNSUPPORTED,
              "cpu:0 has no streams");
  CHECK_FAILS(ctn_device_follow(ctx, {CTN_DEV_CPU, 0}, &device), CTN_EUNSUPPORTED,
              "cpu:0 has no streams");
  CHECK_FAILS(ctn_device_lead(ctx, {CTN_DEV_CPU, 0}, &device), CTN_EUNSUPPORTED,
              "cpu:0 has no streams");
  CHECK(device.type == -1);
  CHECK(device.id == -1);
}

TEST_CASE("options of wrong size, counts out of range and tables with holes are refused") {
  ctn_context_options o = options();
  o.size = 4;
  refused(o, CTN_EINVAL, "ctn_context_options: size is 4");
  o.size = 0;
  refused(o, CTN_EINVAL, "size is 0");
  o.size = UINT32_MAX;
  refused(o, CTN_EINVAL, "size is 4294967295");
  o = options();
  o.threads = -1;
  refused(o, CTN_EINVAL, "threads is -1");
  o.threads = 1025;
  refused(o, CTN_EINVAL, "1025");
  Memory memory;
  o = options();
  o.allocator = &memory.table;
  memory.table.free = nullptr;
  refused(o, CTN_EINVAL, "allocator");
  memory.table = {sizeof memory.table, 0, &memory, nullptr, Memory::free};
  refused(o, CTN_EINVAL, "allocator");
  memory.table = {3, 0, &memory, Memory::alloc, Memory::free};
  refused(o, CTN_EINVAL, "ctn_allocator: size is 3");
  o = options();
  ctn_random random{sizeof random, 0, nullptr, nullptr};
  o.random = &random;
  refused(o, CTN_EINVAL, "random");
  random.size = 0;
  refused(o, CTN_EINVAL, "ctn_random: size is 0");
  o = options();
  ctn_executor executor{sizeof executor, 0, nullptr, nullptr};
  o.executor = &executor;
  refused(o, CTN_EINVAL, "executor");
  executor = {sizeof executor, -1, nullptr, [](void*, int64_t, void (*)(void*, int64_t), void*) {}};
  refused(o, CTN_EINVAL, "threads is -1");
  o = options();
  MemoryIo files;
  for (int hole = 0; hole < 9; ++hole) {
    ctn_io io = files.io();
    void(CTN_CALL * nothing)() = nullptr;  // one after the other of the nine functions
    std::memcpy(reinterpret_cast<char*>(&io.open) + static_cast<size_t>(hole) * sizeof nothing,
                &nothing, sizeof nothing);
    o.io = &io;
    refused(o, CTN_EINVAL, "io");
  }
  CHECK_FAILS(ctn_context_create(nullptr, nullptr), CTN_EINVAL, "out is NULL");
}

TEST_CASE("options of a program built before members were added are understood") {
  ctn_context_options o = options();
  o.threads = 3;
  o.size = offsetof(ctn_context_options, threads) + sizeof o.threads;
  std::memset(reinterpret_cast<char*>(&o) + o.size, 0xff, sizeof o - o.size);
  CHECK(ctn_context_threads(context(o)) == 3);
}

TEST_CASE("threads come from the options, then from the environment") {
  for (const int32_t n : {1, 2, 5}) {
    ctn_context_options o = options();
    o.threads = n;
    CHECK(ctn_context_threads(context(o)) == n);
  }
  CHECK(ctn_context_threads(nullptr) == 0);
  const auto answer = [](int32_t asked) {
    return [asked] {
      ctn_context_options o = options(0);
      o.threads = asked;
      Ctx ctx;
      if (ctn_context_create(&o, ctx.out()) != CTN_OK) return std::string(ctn_error_message());
      return std::to_string(ctn_context_threads(ctx));
    };
  };
  CHECK(in_child({{"CATENA_NUM_THREADS", "3"}}, answer(0)) == "3");
  CHECK(in_child({{"CATENA_NUM_THREADS", "3"}}, answer(2)) == "2");
  CHECK(in_child({{"CATENA_NUM_THREADS", "many"}}, answer(0)) ==
        "CATENA_NUM_THREADS='many' is not a number of 1 to 1024");
  CHECK(in_child({{"CATENA_NUM_THREADS", "0"}}, answer(0)).find("'0'") != std::string::npos);
  CHECK(in_child({{"CATENA_NUM_THREADS", "3x"}}, answer(0)).find("'3x'") != std::string::npos);
}

TEST_CASE("a limit too small for one block says how much is taken at once") {
  const Ctx ctx = context();
  REQUIRE_OK(ctn_memory_trim(ctx));
  REQUIRE_OK(ctn_memory_set_limit(ctx, 1000));
  const int64_t shape[] = {50};
  ctn_array out = nullptr;
  CHECK_FAILS(ctn_array_new(ctx, kF32, 1, shape, &out), CTN_ENOMEM, "(taken in blocks of 65.5 KB)");
}

TEST_CASE("auto takes the backend that is named first and can be had, and says what it passed") {
  const auto answer = [] {
    ctn_context_options o = options(0);
    std::string log;
    o.device = str("auto");
    o.log_user = &log;
    o.log = [](void* user, int32_t level, ctn_str topic, ctn_str text) {
      *static_cast<std::string*>(user) += std::to_string(level) + " " +
                                          std::string(topic.p, topic.n) + " " +
                                          std::string(text.p, text.n);
    };
    Ctx ctx;
    if (ctn_context_create(&o, ctx.out()) != CTN_OK) return std::string(ctn_error_message());
    ctn_str backend{};
    if (ctn_context_device(ctx, nullptr, &backend) != CTN_OK)
      return std::string(ctn_error_message());
    return std::string(backend.p, backend.n) + "; " + log;
  };
  CHECK(in_child({{"CATENA_BACKEND", "cpu"}}, answer) == "cpu; ");
  const std::string told = in_child({{"CATENA_BACKEND", "warp,cpu"}}, answer);
  CHECK(told.starts_with("cpu; 2 loader auto: using cpu; warp: backend 'warp' cannot be had"));
  CHECK(!told.ends_with("; "));
}

TEST_CASE("a context lives as long as its handles, counted, and what was made in it") {
  Memory memory;
  ctn_context_options o = options();
  o.allocator = &memory.table;
  Ctx ctx = context(o);
  ctn_context_retain(ctx);
  Ctx second(static_cast<ctn_context>(ctx));
  Arr a = array<float>(ctx, Floats(3000, 1));
  CHECK(memory.bytes > 0);
  ctx = Ctx();
  CHECK(ctn_context_threads(second) == 1);
  second = Ctx();
  Arr b;
  REQUIRE_OK(ctn_array_copy(a, {}, b.out()));
  Ctx third(ctn_array_context(a));  // borrowed, so counted again
  ctn_context_retain(third);
  a = Arr();
  b = Arr();
  CHECK(used(third) == 0);
  third = Ctx();
  CHECK(memory.bytes == 0);
  CHECK(memory.blocks.empty());
  CHECK(!memory.wrong_free);
  ctn_context_retain(nullptr);
  ctn_context_release(nullptr);
}

TEST_CASE("an allocator that has nothing is no crash") {
  Memory memory;
  ctn_context_options o = options();
  o.allocator = &memory.table;
  const Ctx ctx = context(o);
  memory.most = memory.bytes;
  const int64_t shape[] = {1 << 20};
  ctn_array out = untouched<ctn_array_s>();
  CHECK_FAILS(ctn_array_new(ctx, kF32, 1, shape, &out), CTN_ENOMEM, "out of memory");
  CHECK(out == untouched<ctn_array_s>());
  memory.most = UINT64_MAX;
  Arr a;
  REQUIRE_OK(ctn_array_new(ctx, kF32, 1, shape, a.out()));
}

TEST_CASE("memory is counted: held is used and cached, the peaks stay, trim gives back") {
  const Ctx ctx = context();
  const auto stats = [&] {
    ctn_memory_stats s{};
    s.size = sizeof s;
    REQUIRE_OK(ctn_memory_get_stats(ctx, &s));
    CHECK(s.size == sizeof s);
    CHECK(s.held == s.used + s.cached);
    CHECK(s.peak_held >= s.held);
    CHECK(s.peak_used >= s.used);
    return s;
  };
  constexpr uint64_t kBytes = 4 * 1000000;
  const ctn_memory_stats start = stats();
  CHECK(start.used == 0);
  CHECK(start.limit == 0);
  Arr a = array<float>(ctx, Floats(1000000, 1));
  const ctn_memory_stats with = stats();
  CHECK(with.used >= kBytes);
  CHECK(with.used < kBytes + kBytes / 4);
  CHECK(with.allocations > start.allocations);
  CHECK(with.raw_allocations > start.raw_allocations);
  a = Arr();
  const ctn_memory_stats without = stats();
  CHECK(without.used == 0);
  CHECK(without.cached >= kBytes);
  CHECK(without.peak_used == with.used);
  a = array<float>(ctx, Floats(1000000, 1));
  CHECK(stats().raw_allocations == with.raw_allocations);  // from the cache
  a = Arr();
  REQUIRE_OK(ctn_memory_trim(ctx));
  CHECK(stats().held == 0);
  CHECK(stats().peak_held == with.held);
}

TEST_CASE("statistics fill as much as the caller knows of") {
  const Ctx ctx = context();
  const Arr a = array<float>(ctx, Floats(1000, 1));
  ctn_memory_stats s{};
  std::memset(&s, 0xee, sizeof s);
  s.size = offsetof(ctn_memory_stats, cached);
  REQUIRE_OK(ctn_memory_get_stats(ctx, &s));
  CHECK(s.size == offsetof(ctn_memory_stats, cached));
  CHECK(s.used >= 4000);
  CHECK(s.used < 10000);
  CHECK(s.cached == 0xeeeeeeeeeeeeeeee);
  struct {
    ctn_memory_stats known;
    uint64_t later;
  } grown{};
  grown.known.size = sizeof grown;
  grown.later = 5;
  REQUIRE_OK(ctn_memory_get_stats(ctx, &grown.known));
  CHECK(grown.known.size == sizeof grown);
  CHECK(grown.known.used == s.used);
  CHECK(grown.later == 0);
  s.size = 0;
  CHECK_FAILS(ctn_memory_get_stats(ctx, &s), CTN_EINVAL, "memory stats: size is 0");
  s.size = UINT32_MAX;
  CHECK_FAILS(ctn_memory_get_stats(ctx, &s), CTN_EINVAL, "4294967295");
  CHECK_FAILS(ctn_memory_get_stats(ctx, nullptr), CTN_EINVAL, "out is NULL");
  CHECK(s.cached == 0xeeeeeeeeeeeeeeee);
}

TEST_CASE("the limit holds, names the holders, and can be moved") {
  ctn_context_options o = options();
  o.memory_limit = 8'000'000;
  const Ctx ctx = context(o);
  const Arr a = array<float>(ctx, Floats(1000000, 1));
  const int64_t shape[] = {1200000};
  ctn_array out = untouched<ctn_array_s>();
  CHECK_FAILS(ctn_array_new(ctx, kF32, 1, shape, &out), CTN_ENOMEM,
              "out of memory: 4.8 MB asked for");
  const std::string text = ctn_error_message();
  CHECK(text.find("limit 8.0 MB") != std::string::npos);
  CHECK(text.find("largest holders: array 4.0 MB") != std::string::npos);
  CHECK(out == untouched<ctn_array_s>());
  REQUIRE_OK(ctn_memory_set_limit(ctx, 20'000'000));
  Arr b;
  REQUIRE_OK(ctn_array_new(ctx, kF32, 1, shape, b.out()));
  REQUIRE_OK(ctn_memory_set_limit(ctx, 1000));  // below what is held
  const int64_t few[] = {10000000000000};
  CHECK_FAILS(ctn_array_new(ctx, kF32, 1, few, &out), CTN_ENOMEM,
              "out of memory: 40.0 TB asked for");
  CHECK_FAILS(ctn_array_new(ctx, kF32, 1, shape, &out), CTN_ENOMEM, "limit 1000 bytes");
  b = Arr();
  REQUIRE_OK(ctn_memory_set_limit(ctx, 0));
  REQUIRE_OK(ctn_array_new(ctx, kF32, 1, shape, b.out()));
  o.memory_limit = 1;
  const Ctx tiny = context(o);
  CHECK_FAILS(ctn_array_new(tiny, kF32, 0, nullptr, &out), CTN_ENOMEM, "limit 1 bytes");
}

TEST_CASE("a seed gives the same random numbers again") {
  ctn_context_options o = options();
  o.seed = 42;
  const Ctx first = context(o), second = context(o);
  for (const int32_t kind : {CTN_RANDOM_UNIFORM, CTN_RANDOM_NORMAL, CTN_RANDOM_GUMBEL})
    CHECK(drawn(first, kind, 300) == drawn(second, kind, 300));
  REQUIRE_OK(ctn_random_seed(first, 42));
  REQUIRE_OK(ctn_random_seed(second, 43));
  const std::vector<double> a = drawn(first, CTN_RANDOM_UNIFORM, 100);
  CHECK(a != drawn(second, CTN_RANDOM_UNIFORM, 100));
  CHECK(a != drawn(first, CTN_RANDOM_UNIFORM, 100));
  REQUIRE_OK(ctn_random_seed(first, 42));
  std::vector<double> parts = drawn(first, CTN_RANDOM_UNIFORM, 33);
  for (const double v : drawn(first, CTN_RANDOM_UNIFORM, 67)) parts.push_back(v);
  CHECK(parts == a);
  for (const double v : a) CHECK((v >= 0 && v < 1));
  o.seed = 0;  // drawn from the system
  const Ctx third = context(o), fourth = context(o);
  CHECK(drawn(third, CTN_RANDOM_UNIFORM, 8) != drawn(fourth, CTN_RANDOM_UNIFORM, 8));
}

TEST_CASE("normal, Gumbel and raw random numbers look like it") {
  ctn_context_options o = options();
  o.seed = 7;
  const Ctx ctx = context(o);
  const auto mean = [](const std::vector<double>& v) {
    double sum = 0;
    for (const double x : v) sum += x;
    return sum / static_cast<double>(v.size());
  };
  std::vector<double> normal = drawn(ctx, CTN_RANDOM_NORMAL, 20000);
  CHECK(std::abs(mean(normal)) < 0.03);
  for (double& x : normal) x *= x;
  CHECK(std::abs(mean(normal) - 1) < 0.05);
  CHECK(std::abs(mean(drawn(ctx, CTN_RANDOM_GUMBEL, 20000)) - 0.5772) < 0.05);
  uint64_t any = 0, all = ~uint64_t{0}, bits[64];
  REQUIRE_OK(ctn_random_draw(ctx, CTN_RANDOM_BITS, bits, 64));
  for (const uint64_t b : bits) {
    any |= b;
    all &= b;
  }
  CHECK(any == ~uint64_t{0});
  CHECK(all == 0);
}

TEST_CASE("random numbers may come from the host") {
  struct Source {
    int32_t kind = -1;
    int64_t n = 0;
    ctn_status answer = CTN_OK;
  } source;
  ctn_context_options o = options();
  const ctn_random table{sizeof table, 0, &source,
                         [](void* user, int32_t kind, void* dst, int64_t n) -> ctn_status {
                           auto& s = *static_cast<Source*>(user);
                           s.kind = kind;
                           s.n = n;
                           if (s.answer != CTN_OK) return s.answer;
                           for (int64_t i = 0; i < n; ++i) static_cast<double*>(dst)[i] = 0.75;
                           return CTN_OK;
                         }};
  o.random = &table;
  const Ctx ctx = context(o);
  CHECK(drawn(ctx, CTN_RANDOM_UNIFORM, 3) == std::vector<double>(3, 0.75));
  CHECK(source.kind == CTN_RANDOM_UNIFORM);
  CHECK(source.n == 3);
  const Var x = variable(ctx, Floats(10, 1));
  CHECK(values(call(ctx, "dropout", {x}, {of(0.5)})) == Floats(10, 2));  // 0.75 >= 0.5: all stay
  REQUIRE_OK(ctn_random_seed(ctx, 1));                                   // the host's are its own
  source.answer = CTN_ECANCELLED;
  double v = 0;
  CHECK_FAILS(ctn_random_draw(ctx, CTN_RANDOM_NORMAL, &v, 1), CTN_ECANCELLED, "random");
  source = {};
  CHECK_FAILS(ctn_random_draw(ctx, 4, &v, 1), CTN_EINVAL, "kind 4");
  CHECK_FAILS(ctn_random_draw(ctx, -1, &v, 1), CTN_EINVAL, "kind -1");
  CHECK(source.kind == -1);
  source.answer = 99;  // no status of ours
  CHECK_FAILS(ctn_random_draw(ctx, CTN_RANDOM_UNIFORM, &v, 1), CTN_EINTERNAL, "99");
}

TEST_CASE("drawing to nowhere or a negative number of times is refused") {
  const Ctx ctx = context();
  double v = 5;
  CHECK_FAILS(ctn_random_draw(ctx, CTN_RANDOM_UNIFORM, &v, -1), CTN_EINVAL, "-1");
  CHECK_FAILS(ctn_random_draw(ctx, CTN_RANDOM_UNIFORM, nullptr, 1), CTN_EINVAL, "dst is NULL");
  CHECK_FAILS(ctn_random_draw(ctx, 4, &v, 1), CTN_EINVAL, "kind 4");
  CHECK_FAILS(ctn_random_draw(nullptr, CTN_RANDOM_UNIFORM, &v, 1), CTN_EINVAL, "context");
  REQUIRE_OK(ctn_random_draw(ctx, CTN_RANDOM_UNIFORM, nullptr, 0));
  CHECK(v == 5);
}

TEST_CASE("work runs on the host's threads where it brings them") {
  struct Team {
    int runs = 0;
    int64_t items = 0;
  } team;
  ctn_context_options o = options();
  const ctn_executor table{sizeof table, 4, &team,
                           [](void* user, int64_t n, void (*body)(void*, int64_t), void* arg) {
                             auto& t = *static_cast<Team*>(user);
                             ++t.runs;
                             t.items += n;
                             for (int64_t k = n; k-- > 0;) body(arg, k);  // any order
                           }};
  o.executor = &table;
  const Ctx ctx = context(o), plain = context();
  CHECK(ctn_context_threads(ctx) == 4);
  Floats numbers(1 << 18);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i % 1000);
  const Floats theirs = values(call(ctx, "tanh", {variable(ctx, numbers)}));
  CHECK(team.runs > 0);
  CHECK(team.items > 1);
  CHECK(theirs == values(call(plain, "tanh", {variable(plain, numbers)})));
}

TEST_CASE("the log hook hears what its level lets through, and nothing else does") {
  struct Heard {
    std::string all;
    int32_t worst = 0;
  } heard;
  ctn_context_options o = options();
  o.log = [](void* user, int32_t level, ctn_str topic, ctn_str text) {
    auto& h = *static_cast<Heard*>(user);
    h.all += std::string(topic.p, topic.n) + ": " + std::string(text.p, text.n) + "\n";
    h.worst = std::max(h.worst, level);
  };
  o.log_user = &heard;
  o.log_level = CTN_LOG_DEBUG;
  {
    const Ctx ctx = context(o);
    const Var x = variable(array<float>(ctx, Floats(4, 1), {2, 2}));
    REQUIRE(values(call(ctx, "linear", {x, x})) == Floats(4, 2));
  }
  CHECK(heard.all.find("kernel: linear: cpu") != std::string::npos);
  CHECK(heard.all.find("loader: cpu:0: opened, backend 'cpu' of plugin 'cpu'") !=
        std::string::npos);
  CHECK(heard.all.find("functions.ctnplugin: loaded: ops functions") != std::string::npos);
  heard = {};
  {
    const Ctx ctx = context(o);
    call(ctx, "tanh", {variable(ctx, {1, 2})});
  }
  CHECK(heard.all.find("kernel: tanh: expression, cpu runs\n") != std::string::npos);
  CHECK(heard.worst == CTN_LOG_DEBUG);
  heard = {};
  o.log_level = 0;  // warnings
  {
    const Ctx ctx = context(o);
    const Var x = variable(array<float>(ctx, Floats(4, 1), {2, 2}));
    REQUIRE(values(call(ctx, "linear", {x, x})) == Floats(4, 2));
  }
  CHECK(heard.all.empty());
}

TEST_CASE("files go through the context's table") {
  MemoryIo io;
  ctn_context_options o = options();
  o.io = &io.io();
  const Ctx ctx = context(o);
  const Arr a = array<float>(ctx, {1, 2, 3});
  const ctn_str name = str("a");
  const ctn_array given[] = {a};
  REQUIRE_OK(ctn_save_npz_arrays(ctx, str("in memory.npz"), &name, given, 1, 0));
  CHECK(io.has("in memory.npz"));
  int seen = 0;
  const auto visit = [](void* user, ctn_str path, ctn_variable, ctn_array b,
                        ctn_link) -> ctn_status {
    CHECK(std::string(path.p, path.n) == "a");
    CHECK(values<float>(b) == Floats{1, 2, 3});
    ++*static_cast<int*>(user);
    return CTN_OK;
  };
  REQUIRE_OK(ctn_load_npz_arrays(ctx, str("in memory.npz"), visit, &seen));
  CHECK(seen == 1);
  CHECK_FAILS(ctn_load_npz_arrays(ctx, str("else.npz"), visit, &seen), CTN_ENOTFOUND, "else.npz");
  REQUIRE_OK(ctn_tuning_save(ctx, str("decisions")));
  CHECK(io.get("decisions").starts_with("catena tuning 1.0\nend 0 "));
  REQUIRE_OK(ctn_tuning_load(ctx, str("decisions")));
  CHECK_FAILS(ctn_tuning_load(ctx, str("in memory.npz")), CTN_EFORMAT, "it is no tuning file");
  CHECK_FAILS(ctn_tuning_load(ctx, str("else")), CTN_ENOTFOUND, "else");
  io.fail_at(1);
  CHECK_FAILS(ctn_save_npz_arrays(ctx, str("other.npz"), &name, given, 1, 0), CTN_EIO, "other.npz");
  CHECK(!io.has("other.npz"));
  io.fail_at(1);
  CHECK_FAILS(ctn_tuning_save(ctx, str("other")), CTN_EIO, "other");
  CHECK(!io.has("other"));
  CHECK(io.open_handles() == 0);
}

TEST_CASE("contexts on several threads do not disturb one another") {
  std::vector<std::thread> threads;
  std::vector<Floats> results(4);
  for (size_t k = 0; k < results.size(); ++k) {
    threads.emplace_back([&, k] {
      ctn_context_options o = options();
      o.seed = 5;
      Ctx ctx;
      if (ctn_context_create(&o, ctx.out()) != CTN_OK) return;
      const Var x = variable(ctx, Floats(100, 1));
      for (int i = 0; i < 20; ++i) results[k] = values(call(ctx, "dropout", {x}, {of(0.5)}));
    });
  }
  for (std::thread& t : threads) t.join();
  CHECK(results[0].size() == 100);
  for (const Floats& r : results) CHECK(r == results[0]);
}

TEST_CASE("one context serves several threads at once") {
  const Ctx ctx = context();
  std::vector<std::thread> threads;
  std::vector<Floats> results(4);
  const Var shared = variable(ctx, Floats(50, 2));
  for (Floats& result : results) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const Var y = call(ctx, "square", {call(ctx, "square", {shared})});
        result = values(y);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  for (const Floats& r : results) CHECK(r == Floats(50, 16));
}
