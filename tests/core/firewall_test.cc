// Exceptions from what a host brings: allocator, executor, files, random numbers, log, drops of its
// objects. Where a call can report them it fails, elsewhere they end in the log, and nothing ends.
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "guest_plugin.h"

using namespace catena_test;

namespace {

struct Log {
  std::string text;

  void put_in(ctn_context_options& o) {
    o.log = [](void* user, int32_t level, ctn_str, ctn_str line) {
      if (level == CTN_LOG_ERROR) static_cast<Log*>(user)->text.append(line.p, line.n).append("\n");
    };
    o.log_user = this;
  }
  bool has(const char* part) const { return text.find(part) != std::string::npos; }
};

void throwing_drop(void*) { throw std::runtime_error("the host's drop"); }

}  // namespace

TEST_CASE("an allocator that throws has no memory") {
  static bool on;
  on = false;
  ctn_context_options o{};
  ctn_allocator allocator{};
  allocator.size = sizeof allocator;
  o.allocator = &allocator;
  allocator.alloc = [](void*, uint64_t bytes, uint64_t align) -> void* {
    if (on) throw 1;
    return std::aligned_alloc(align, (bytes + align - 1) / align * align);
  };
  allocator.free = [](void*, void* p, uint64_t, uint64_t) {
    std::free(p);
    throw 1;
  };
  const Ctx ctx = context(o);
  const int64_t many = 1 << 22;
  Arr a;
  on = true;
  CHECK_FAILS(ctn_array_new(ctx, kF32, 1, &many, a.out()), CTN_ENOMEM, "out of memory");
  on = false;
  REQUIRE_OK(ctn_array_new(ctx, kF32, 1, &many, a.out()));
  a = Arr();
  CHECK_OK(ctn_memory_trim(ctx));
  // The same allocator serves the buffers of files.
  const Var x = leaf(ctx, kF32, {2}, {1, 2});
  Arr x_array;
  REQUIRE_OK(ctn_variable_array(x, x_array.out()));
  const ctn_str name = str("a");
  const ctn_array arrays[] = {x_array};
  on = true;
  CHECK_FAILS(ctn_save_npz_arrays(ctx, str("/nonexistent/x.npz"), &name, arrays, 1, 1), CTN_ENOMEM,
              "memory");
  on = false;
}

TEST_CASE("drops that throw go to the log") {
  ctn_context_options o{};
  Log log;
  log.put_in(o);
  const Ctx ctx = context(o);
  float data[2] = {1, 2};
  int64_t shape[] = {2};
  ctn_dltensor t{};
  t.data = data;
  t.device = {CTN_DEV_CPU, 0};
  t.ndim = 1;
  t.dtype = kF32;
  t.shape = shape;

  SUBCASE("of a wrapped array") {
    Arr a;
    REQUIRE_OK(ctn_array_wrap(ctx, &t, throwing_drop, nullptr, a.out()));
    a = Arr();
    CHECK(log.has("wrapped array threw: the host's drop"));
  }
  SUBCASE("of a DLPack tensor, on release, after a copy and after a failure") {
    static int deleted;
    deleted = 0;
    const auto make = [&](uint64_t flags) {
      auto* p = new ctn_dlpack{};
      p->version = {CTN_DLPACK_MAJOR, 0};
      p->flags = flags;
      p->dl_tensor = t;
      p->deleter = [](ctn_dlpack* self) {
        ++deleted;
        delete self;
        throw 1;
      };
      return p;
    };
    Arr a;
    REQUIRE_OK(ctn_array_from_dlpack(ctx, make(0), a.out()));
    a = Arr();
    CHECK(deleted == 1);
    CHECK(log.has("threw"));
    REQUIRE_OK(ctn_array_from_dlpack(ctx, make(CTN_DLPACK_READ_ONLY), a.out()));
    CHECK(deleted == 2);
    CHECK(values(a) == std::vector<double>{1, 2});
    ctn_dlpack* wrong = make(0);
    wrong->version.major = 9;
    CHECK(ctn_array_from_dlpack(ctx, wrong, a.out()) == CTN_EVERSION);
    CHECK(deleted == 3);
  }
  SUBCASE("of a variable's user slot, set again and released") {
    Var v = leaf(ctx, kF32, {2}, {1, 2});
    int object = 0;
    REQUIRE_OK(ctn_variable_set_user(v, &object, throwing_drop));
    CHECK_OK(ctn_variable_set_user(v, &object, throwing_drop));
    CHECK(ctn_variable_user(v) == &object);
    CHECK(log.has("user slot threw: the host's drop"));
    log.text.clear();
    v = Var();
    CHECK(log.has("user slot threw"));
  }
  SUBCASE("of a callback") {
    const ctn_callback c{nullptr,
                         [](void*, const ctn_variable*, int32_t, ctn_variable*, int32_t) {
                           return ctn_status{CTN_OK};
                         },
                         throwing_drop};
    Net chain;
    REQUIRE_OK(ctn_chain_create(ctx, &c, 1, chain.out()));
    chain = Net();
    CHECK(ctn_chain_create(ctx, &c, -1, chain.out()) == CTN_EINVAL);
  }
  CHECK(used(ctx) == used(context()));
}

TEST_CASE("an executor that throws fails what it ran, a log that throws nothing") {
  static bool on;
  on = false;
  ctn_context_options o{};
  ctn_executor executor{};
  executor.size = sizeof executor;
  o.executor = &executor;
  executor.threads = 4;
  executor.run = [](void*, int64_t n, void (*body)(void*, int64_t), void* arg) {
    for (int64_t k = 0; k < n; ++k) {
      if (on && k == 1) throw std::runtime_error("no threads today");
      body(arg, k);
    }
  };
  o.log = [](void*, int32_t, ctn_str, ctn_str) { throw 1; };
  o.log_level = CTN_LOG_DEBUG;
  const Ctx ctx = context(o);
  const auto body = [](void*, int64_t, int64_t) { return ctn_status{CTN_OK}; };
  // parallel_for is what kernels get; here without one.
  CHECK(run_parallel(ctx, 100, 10, body) == CTN_OK);
  on = true;
  CHECK_FAILS(run_parallel(ctx, 100, 10, body), CTN_EINTERNAL, "no threads today");
  on = false;
  // A body that throws is stopped before it reaches the host's threads.
  const auto thrower = [](void*, int64_t begin, int64_t) -> ctn_status {
    if (begin == 50) throw std::runtime_error("range 5");
    return CTN_OK;
  };
  CHECK_FAILS(run_parallel(ctx, 100, 10, thrower), CTN_EINTERNAL, "range 5");
  CHECK_FAILS(run_parallel(ctx, 51, 100, thrower), CTN_OK, "");
  float data[1] = {1};
  int64_t shape[] = {1};
  ctn_dltensor t{data, {CTN_DEV_CPU, 0}, 1, kF32, shape, nullptr, 0};
  Arr a;
  REQUIRE_OK(ctn_array_wrap(ctx, &t, throwing_drop, nullptr, a.out()));
  a = Arr();  // the drop throws, the log that hears of it too
}

TEST_CASE("random numbers that throw") {
  ctn_context_options o{};
  ctn_random random{};
  random.size = sizeof random;
  o.random = &random;
  random.draw = [](void*, int32_t, void*, int64_t) -> ctn_status {
    throw std::runtime_error("no entropy");
  };
  const Ctx ctx = context(o);
  double x = 0;
  for (int again = 0; again < 2; ++again)
    CHECK_FAILS(ctn_random_draw(ctx, CTN_RANDOM_UNIFORM, &x, 1), CTN_EINTERNAL, "no entropy");
}

namespace {

// Files of which one call throws (or fails with a text of its own).
struct Files {
  std::string throws, fails;
  int open = 0;
  std::string content;

  ctn_status answer(const char* call) const {
    if (throws == call) throw std::runtime_error("file system gone");
    if (fails == call) return ctn_error_set(CTN_ECANCELLED, str("the user pulled the plug"));
    return CTN_OK;
  }
  static Files& of(void* user) { return *static_cast<Files*>(user); }

  ctn_io io() {
    ctn_io t{};
    t.size = sizeof t;
    t.user = this;
    t.open = [](void* u, ctn_str, int32_t, void** handle) {
      const ctn_status s = of(u).answer("open");
      if (s == CTN_OK) ++of(u).open;
      *handle = u;
      return s;
    };
    t.length = [](void* u, void*, uint64_t* n) {
      *n = of(u).content.size();
      return of(u).answer("length");
    };
    t.read = [](void* u, void*, uint64_t at, void* dst, uint64_t n, uint64_t* got) {
      const std::string& all = of(u).content;
      *got = std::min<uint64_t>(n, all.size() - std::min<uint64_t>(at, all.size()));
      if (*got) std::memcpy(dst, all.data() + at, *got);
      return of(u).answer("read");
    };
    t.write = [](void* u, void*, const void* src, uint64_t n) {
      of(u).content.append(static_cast<const char*>(src), n);
      return of(u).answer("write");
    };
    t.sync = [](void* u, void*) { return of(u).answer("sync"); };
    t.close = [](void* u, void*) {
      --of(u).open;
      return of(u).answer("close");
    };
    t.rename = [](void* u, ctn_str, ctn_str) { return of(u).answer("rename"); };
    t.remove = [](void* u, ctn_str) { return of(u).answer("remove"); };
    t.sync_dir = [](void* u, ctn_str) { return of(u).answer("sync_dir"); };
    return t;
  }
};

}  // namespace

TEST_CASE("files whose calls throw, or fail with a text") {
  Files files;
  ctn_context_options o{};
  const ctn_io io = files.io();
  o.io = &io;
  const Ctx ctx = context(o);
  const Arr a = array(ctx, kF32, {2}, {1, 2});
  const ctn_str name = str("a");
  const ctn_array arrays[] = {a};
  const auto save = [&] {
    files.content.clear();
    return ctn_save_npz_arrays(ctx, str("x"), &name, arrays, 1, 0);
  };
  const auto load = [&] {
    return ctn_load_npz_arrays(
        ctx, str("x"),
        [](void*, ctn_str, ctn_variable, ctn_array, ctn_link) { return ctn_status{CTN_OK}; },
        nullptr);
  };
  ctn_op_find(str("nosuch"), nullptr);  // a text that is nobody's here
  for (const char* call : {"open", "write", "sync", "close", "rename", "sync_dir"}) {
    CAPTURE(std::string(call));
    files.throws = call;
    CHECK_FAILS(save(), CTN_EINTERNAL, "file system gone");
    files.throws.clear();
    files.fails = call;
    CHECK_FAILS(save(), CTN_ECANCELLED, "the user pulled the plug");
    files.fails.clear();
    CHECK(files.open == 0);
  }
  // Both the write and the clean-up.
  files.fails = "write";
  for (const char* call : {"close", "remove"}) {
    files.throws = call;
    CHECK_FAILS(save(), CTN_ECANCELLED, "the user pulled the plug");
  }
  files.throws.clear();
  files.fails.clear();
  REQUIRE_OK(save());
  for (const char* call : {"open", "length", "read"}) {
    CAPTURE(std::string(call));
    files.throws = call;
    CHECK_FAILS(load(), CTN_EINTERNAL, "file system gone");
    files.throws.clear();
    CHECK(files.open == 0);
  }
  files.throws = "close";
  CHECK_OK(load());  // nothing was written: nothing is lost
}
