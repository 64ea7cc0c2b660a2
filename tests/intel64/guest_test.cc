// The intel64 backend as a guest in its process: memory that is refused at any moment, forks at any
// moment.
#include <catena/catena.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <initializer_list>
#include <thread>

#include "handles.h"
#include "support.h"

using namespace catena_test;

namespace {

struct Memory {
  long left = -1;  // blocks until one is refused; -1: none is
  bool refused = false;

  static void* allocate(void* self, uint64_t bytes, uint64_t align) {
    auto& m = *static_cast<Memory*>(self);
    if (m.left == 0) m.refused = true;
    if (m.left == 0) return nullptr;
    if (m.left > 0) --m.left;
    const uint64_t unit = align < 64 ? 64 : align;
    return std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
  }
  static void free(void*, void* p, uint64_t, uint64_t) { std::free(p); }
};

ctn_value whole(int64_t n) { return {CTN_INT, 0, {.i = n}}; }

// relu(conv(x, w) + a) with a step of 2, whose kernel wants scratch memory.
struct Chained {
  Ctx ctx;
  Var x, w, a, sum, y;

  explicit Chained(Memory& memory) {
    const ctn_allocator table{sizeof table, 0, &memory, Memory::allocate, Memory::free};
    ctn_context_options o{};
    o.size = sizeof o;
    o.device = str("intel64");
    o.threads = 1;
    o.allocator = &table;
    REQUIRE_OK(ctn_context_create(&o, ctx.out()));
    const ctn_value off = {CTN_BOOL, 0, {.i = 0}};
    REQUIRE_OK(ctn_config_set(ctx, str("enable_backprop"), &off));
    x = filled({1, 64, 32, 32}, 1);
    w = filled({64, 64, 1, 1}, 0.25);
    a = filled({1, 64, 16, 16}, 2);
    const Var h = call("convolution_2d", {x, w}, {whole(2), whole(0)});
    sum = call("add2", {h, a}, {});
    y = call("relu", {sum}, {});
  }
  Var filled(std::initializer_list<int64_t> shape, double value) {
    ctn_device device{};
    Arr array;
    Var v;
    const ctn_value number = {CTN_FLOAT, 0, {.f = value}};
    REQUIRE_OK(ctn_context_device(ctx, &device, nullptr));
    REQUIRE_OK(ctn_array_new_on(ctx, device, kF32, static_cast<int32_t>(shape.size()),
                                shape.begin(), array.out()));
    REQUIRE_OK(ctn_array_fill(array, &number));
    REQUIRE_OK(ctn_variable_new(array, 0, v.out()));
    return v;
  }
  Var call(const char* name, std::initializer_list<ctn_variable> in,
           std::initializer_list<ctn_value> attrs) {
    int32_t op = -1;
    Var out;
    REQUIRE_OK(ctn_op_find(str(name), &op));
    REQUIRE_OK(ctn_call(ctx, op, in.begin(), static_cast<int32_t>(in.size()), attrs.begin(),
                        static_cast<int32_t>(attrs.size()), out.out(), 1));
    return out;
  }
};

}  // namespace

TEST_CASE("memory refused to a chain of calls: an error, and the result later") {
  for (const bool taken : {false, true}) {  // the addend's memory, if nobody else has it
    for (const bool sum : {false, true}) {  // who is looked at first
      for (long left = 0;; ++left) {
        CAPTURE(taken);
        CAPTURE(sum);
        CAPTURE(left);
        REQUIRE(left < 50);
        Memory memory;
        Chained c(memory);
        if (taken) c.a = Var();
        if (!sum) c.sum = Var();
        memory.left = left;
        ctn_dltensor t;
        const ctn_status status = ctn_variable_view(sum ? c.sum : c.y, &t);
        memory.left = -1;
        CHECK(status == (memory.refused ? CTN_ENOMEM : CTN_OK));
        c.sum = Var();
        REQUIRE_OK(ctn_variable_view(c.y, &t));
        CHECK(*static_cast<const float*>(t.data) == 18);
        if (!memory.refused) break;
      }
    }
  }
}

TEST_CASE("a child of fork computes, whatever other threads were doing") {
#ifdef CATENA_TSAN
  catena_test::skip("TSan lets no child of a threaded process start threads");
#elif defined(CATENA_ASAN)
  catena_test::skip("the locks of ASan's own allocator are not held over forks");
#else
  using namespace catena;
  const Context mine(ContextOptions{.device = "intel64", .threads = 1});
  const Variable x = intel64_test::filled({2, 16, 8, 8}, 1);
  const Variable w = intel64_test::filled({16, 16, 3, 3}, 2);
  const auto convolve = [&] {
    return F::convolution_2d(x, w, {.pad = 1}).array().to_vector<float>();
  };
  const std::vector<float> expected = convolve();
  std::atomic<bool> stop{false};
  std::thread other([&] {
    const Context ctx(ContextOptions{.device = "intel64", .threads = 1});
    const Variable v = intel64_test::filled({2, 16, 8, 8}, 1),
                   f = intel64_test::filled(w.shape(), 2);
    while (!stop) F::convolution_2d(v, f, {.pad = 1});
  });
  int failed = 0;
  for (int k = 0; k < 400 && failed == 0; ++k) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(10);
      _exit(convolve() == expected ? 0 : 1);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) ++failed;
    usleep(static_cast<useconds_t>(k % 7 * 100));
  }
  stop = true;
  other.join();
  CHECK(failed == 0);
#endif
}
