// What no honest host hands over: counts, flags, numbers and strides out of range, arrays of
// another context, memory that overlaps. Each is refused with the value in the text, or right.
#include <catena/plugin.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "guest_plugin.h"

using namespace catena_test;

// ---- counts

namespace {

int64_t address_space() {
  long pages = 0;
  std::FILE* f = std::fopen("/proc/self/statm", "r");
  REQUIRE(f);
  REQUIRE(std::fscanf(f, "%ld", &pages) == 1);
  std::fclose(f);
  return pages * 4096;
}

}  // namespace

TEST_CASE("a row may have as many numbers as the parser lets through") {
  const Ctx ctx = context();
  const Var x = leaf(ctx, kF32, {2}, {0, 1});
  const ctn_variable in = x;
  Var y;
  REQUIRE_OK(ctn_call(ctx, guest_op("guest.many"), &in, 1, nullptr, 0, y.out(), 1));
  CHECK(values(y) == std::vector<double>{528, 529});
}

TEST_CASE("counts that no call can have are refused before anything is read or made for them") {
  const Ctx ctx = context();
  const Var x = leaf(ctx, kF32, {4}, {1, 2, 3, 4});
  ctn_variable in = x, out[2] = {};
  constexpr int32_t kMany = 500'000'000;
  const int32_t op = guest_op("guest.twice"), split = guest_op("guest.split");
  ctn_value two = of_int(2);
  const int64_t before = address_space();

  CHECK_FAILS(ctn_call(ctx, op, &in, 1, nullptr, 0, out, kMany), CTN_EINVAL, "500000000");
  CHECK_FAILS(ctn_call(ctx, op, &in, kMany, nullptr, 0, out, 1), CTN_EINVAL, "500000000");
  CHECK_FAILS(ctn_call(ctx, op, &in, 1, &two, kMany, out, 1), CTN_EINVAL, "500000000");
  CHECK_FAILS(ctn_call(ctx, op, &in, -1, nullptr, 0, out, 1), CTN_EINVAL, "-1");
  CHECK_FAILS(ctn_call(ctx, op, &in, 1, nullptr, 0, out, -1), CTN_EINVAL, "-1");
  CHECK_FAILS(ctn_call(ctx, op, &in, 1, nullptr, -1, out, 1), CTN_EINVAL, "-1");
  CHECK_FAILS(ctn_call(ctx, split, &in, 1, &two, 1, out, kMany), CTN_EINVAL, "500000000");
  const ctn_str name = str("guest.twice");
  CHECK_FAILS(ctn_call_named(ctx, name, &in, 1, nullptr, 0, out, kMany), CTN_EINVAL, "500000000");
  CHECK_FAILS(ctn_call_named(ctx, name, &in, kMany, nullptr, 0, out, 1), CTN_EINVAL, "500000000");
  int32_t n = 0;
  CHECK_FAILS(ctn_call_outputs(ctx, split, &in, kMany, &two, 1, &n), CTN_EINVAL, "500000000");
  CHECK_OK(ctn_call(ctx, split, &in, 1, &two, 1, out, 2));
  ctn_variable_release(out[0]);
  ctn_variable_release(out[1]);

  ctn_kernel_source s{};
  s.size = sizeof s;
  s.in = str("T x");
  s.out = str("T y");
  s.map = str("x");
  s.reduce = str("a + b");
  s.post = str("y = a");
  s.identity = str("0");
  ctn_kernel k = nullptr;
  REQUIRE_OK(ctn_kernel_create(ctx, &s, &k));
  const int64_t axis = 0;
  CHECK_FAILS(ctn_kernel_call(k, &in, kMany, nullptr, 0, 0, out, 1), CTN_EINVAL, "500000000");
  CHECK_FAILS(ctn_kernel_call(k, &in, 1, nullptr, 0, 0, out, kMany), CTN_EINVAL, "500000000");
  CHECK_FAILS(ctn_kernel_call(k, &in, 1, &axis, kMany, 0, out, 1), CTN_EINVAL, "500000000");
  CHECK_FAILS(ctn_kernel_call(k, &in, 1, &axis, -1, 0, out, 1), CTN_EINVAL, "-1");
  CHECK_OK(ctn_kernel_call(k, &in, 1, &axis, 1, 0, out, 1));
  CHECK(values(out[0]) == std::vector<double>{10});
  ctn_variable_release(out[0]);
  ctn_kernel_release(k);

  const Net dense = link(ctx, "Dense", {of_int(2), of_int(2)});
  CHECK_FAILS(ctn_link_call(dense, &in, 1, out, kMany), CTN_EINVAL, "500000000");
  CHECK_FAILS(ctn_link_call(dense, &in, kMany, out, 1), CTN_EINVAL, "500000000");
  CHECK(address_space() - before < (int64_t{64} << 20));
}

// ---- flags and numbers

TEST_CASE("options with flags or numbers nobody knows are refused by their value") {
  context();  // the backend is there
  const auto refused = [](auto change, const char* part) {
    ctn_context_options o{};
    o.size = sizeof o;
    o.flags = CTN_CONTEXT_NO_ENV;
    change(o);
    Ctx ctx;
    CHECK_FAILS(ctn_context_create(&o, ctx.out()), CTN_EINVAL, part);
    CHECK(!ctx);
  };
  refused([](auto& o) { o.flags = ~0u; }, "4294967295");
  refused([](auto& o) { o.flags = 2; }, "flags are 2");
  refused([](auto& o) { o.log_level = 99; }, "log_level is 99");
  refused([](auto& o) { o.log_level = -1; }, "log_level is -1");
  refused([](auto& o) { o.threads = -2; }, "threads is -2");
  for (const int32_t threads : {-3, 1025, 2'000'000'000}) {
    const std::string part = "executor.threads is " + std::to_string(threads);
    ctn_executor e{};
    e.size = sizeof e;
    e.threads = threads;
    e.run = [](void*, int64_t n, void (*body)(void*, int64_t), void* arg) {
      for (int64_t k = 0; k < n; ++k) body(arg, k);
    };
    refused([&](auto& o) { o.executor = &e; }, part.c_str());
  }
  for (const char* device :
       {"cpu: 0", "cpu:", "cpu:+1", "cpu:0x", "cpu:-1", "cpu:5000", "cpu:99999999999999999999"}) {
    refused([&](auto& o) { o.device = str(device); }, device);
  }
  const Ctx ctx = context();
  ctn_device found{};
  CHECK_FAILS(ctn_device_find(ctx, str("cpu: 1"), &found), CTN_EINVAL, "'cpu: 1'");
  CHECK_OK(ctn_device_find(ctx, str("cpu:1"), &found));
  CHECK(found.id == 1);
}

TEST_CASE("definitions and sources with unknown flags are refused") {
  const Ctx ctx = context();
  ctn_kernel_source source{};
  source.size = sizeof source;
  source.in = str("T x");
  source.out = str("T y");
  source.map = str("y = x");
  source.flags = 4;
  ctn_kernel k = nullptr;
  CHECK_FAILS(ctn_kernel_create(ctx, &source, &k), CTN_EINVAL, "flags are 4");

  ctn_op_def op{};
  ctn_kernel_def kernel{};
  ctn_backend_def backend{};
  ctn_link_def link_def{};
  ctn_optimizer_def optimizer_def{};
  ctn_hook_def hook{};
  ctn_initializer_def initializer{};
  ctn_input_def in{str("x"), str("f"), 0, 0};
  ctn_output_def out{str("y"), str("=x"), 0, 0};
  op.name = str("guest.flags");
  op.map = str("y = x");
  op.in = &in;
  op.out = &out;
  op.n_in = op.n_out = 1;
  kernel.op = op.name;
  kernel.backend = str("cpu");
  backend.name = str("flagged");
  link_def.name = optimizer_def.name = hook.name = initializer.name = str("Flagged");
  const auto refuse = [](auto& def, uint32_t known) {
    def.size = sizeof def;
    def.flags = known | 0x8000'0000u;
    CHECK_FAILS(define_in_plugin(def), CTN_EINVAL, "of which 2147483648 are unknown");
  };
  refuse(op, CTN_OP_NODIFF | CTN_OP_INTERNAL);
  refuse(kernel, CTN_KERNEL_STRIDED);
  refuse(backend, CTN_BACKEND_HOST_MEMORY | CTN_BACKEND_FORK_SAFE);
  refuse(link_def, 0);
  refuse(optimizer_def, 0);
  refuse(hook, CTN_HOOK_POST);
  refuse(initializer, 0);
  op.flags = 0;
  in.flags = 8;
  CHECK_FAILS(define_in_plugin(op), CTN_EINVAL, "input x: flags are 8");
  in.flags = 0;
  out.flags = 2;
  CHECK_FAILS(define_in_plugin(op), CTN_EINVAL, "output y: flags are 2");
  const ctn_state_def state{str("m"), 0, 2, 0};
  optimizer_def.flags = 0;
  optimizer_def.n_state = 1;
  optimizer_def.state = &state;
  CHECK_FAILS(define_in_plugin(optimizer_def), CTN_EINVAL, "state m: flags are 2");
}

TEST_CASE("a loss scale is 0 or positive") {
  const Ctx ctx = context();
  const Var x = wanting(ctx, {}, {3});
  const Var y = twice(ctx, x);
  const ctn_variable out = y, in = x;
  for (const double scale : {std::nan(""), -1.0, std::numeric_limits<double>::infinity()}) {
    ctn_backward_options o{};
    o.size = sizeof o;
    o.loss_scale = scale;
    const std::string text = "loss_scale is " + std::to_string(scale);
    CHECK_FAILS(ctn_variable_backward(y, &o), CTN_EINVAL, text);
    ctn_grad_options g{};
    g.size = sizeof g;
    g.loss_scale = scale;
    ctn_variable gx = nullptr;
    CHECK_FAILS(ctn_grad_of(&out, 1, &in, 1, &g, &gx), CTN_EINVAL, text);
    CHECK(!gx);
  }
  CHECK(grad(x).empty());
  ctn_backward_options o{};
  o.size = sizeof o;
  o.loss_scale = 4;
  CHECK_OK(ctn_variable_backward(y, &o));
  CHECK(grad(x) == std::vector<double>{8});
}

TEST_CASE("statistics: what we do not know is 0, what the caller does not is left alone") {
  const Ctx ctx = context();
  const Arr a = array(ctx, kF32, {2}, {1, 2});
  struct {
    ctn_memory_stats known;
    uint64_t more[8];
    uint64_t beyond;
  } s;
  std::memset(static_cast<void*>(&s), 0xaa, sizeof s);
  s.known.size = offsetof(decltype(s), beyond);
  REQUIRE_OK(ctn_memory_get_stats(ctx, &s.known));
  CHECK(s.known.size == offsetof(decltype(s), beyond));
  CHECK(s.known.held > 0);
  for (const uint64_t word : s.more) CHECK(word == 0);
  CHECK(s.beyond == 0xaaaaaaaaaaaaaaaau);
  std::memset(static_cast<void*>(&s), 0xaa, sizeof s);
  s.known.size = offsetof(ctn_memory_stats, used);
  REQUIRE_OK(ctn_memory_get_stats(ctx, &s.known));
  CHECK(s.known.held > 0);
  CHECK(s.known.used == 0xaaaaaaaaaaaaaaaau);
}

// ---- arrays

TEST_CASE("memory that cannot be is refused, and nothing stays of it") {
  const Ctx ctx = context();
  const uint64_t before = used(ctx);
  float data[4] = {};
  int64_t shape[] = {2, 2}, strides[] = {int64_t{1} << 62, 1};
  ctn_dltensor t{data, {CTN_DEV_CPU, 0}, 2, kF32, shape, strides, 0};
  static int dropped;
  dropped = 0;
  const auto wrap = [&](const char* part) {
    Arr a;
    CHECK_FAILS(ctn_array_wrap(
                    ctx, &t, [](void*) { ++dropped; }, nullptr, a.out()),
                CTN_EINVAL, part);
    CHECK(!a);
    auto* p = new ctn_dlpack{};
    p->version = {CTN_DLPACK_MAJOR, 0};
    p->dl_tensor = t;
    p->deleter = [](ctn_dlpack* self) {
      ++dropped;
      delete self;
    };
    const int until = dropped;
    CHECK(ctn_array_from_dlpack(ctx, p, a.out()) == CTN_EINVAL);
    CHECK(dropped == until + 1);
  };
  wrap("does not fit 64 bits");  // bytes
  strides[0] = strides[1] = INT64_MAX;
  wrap("does not fit 64 bits");  // elements
  strides[1] = INT64_MIN;
  wrap("does not fit 64 bits");  // from the lowest to the highest
  strides[1] = -INT64_MAX;
  wrap("does not fit 64 bits");
  strides[0] = 2;
  strides[1] = 1;
  t.byte_offset = UINT64_MAX - 3;
  wrap("byte_offset is 18446744073709551612");
  CHECK(dropped == 5);  // the DLPack ones only
  CHECK(used(ctx) == before);
}

namespace {

Arr part(ctn_array a, std::vector<int64_t> shape, std::vector<int64_t> strides, int64_t offset) {
  Arr out;
  REQUIRE_OK(ctn_array_strided(a, static_cast<int32_t>(shape.size()), shape.data(), strides.data(),
                               offset, out.out()));
  return out;
}

}  // namespace

TEST_CASE("assigning one part of an array to another that overlaps it") {
  const Ctx ctx = context();
  const std::vector<double> eight = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto check = [&](auto pick, const std::vector<double>& expected) {
    const Arr a = array(ctx, kF32, {8}, eight);
    pick(a);
    CHECK(values(a) == expected);
  };
  check([](ctn_array a) { CHECK_OK(ctn_array_assign(part(a, {7}, {1}, 1), part(a, {7}, {1}, 0))); },
        {1, 1, 2, 3, 4, 5, 6, 7});
  check([](ctn_array a) { CHECK_OK(ctn_array_assign(part(a, {7}, {1}, 0), part(a, {7}, {1}, 1))); },
        {2, 3, 4, 5, 6, 7, 8, 8});
  check(
      [](ctn_array a) { CHECK_OK(ctn_array_assign(part(a, {8}, {1}, 0), part(a, {8}, {-1}, 7))); },
      {8, 7, 6, 5, 4, 3, 2, 1});
  check(
      [](ctn_array a) {
        CHECK_OK(ctn_array_assign(part(a, {2, 2}, {2, 1}, 0), part(a, {2, 2}, {1, 2}, 0)));
      },
      {1, 3, 2, 4, 5, 6, 7, 8});
  check([](ctn_array a) { CHECK_OK(ctn_array_assign(part(a, {8}, {1}, 0), part(a, {1}, {1}, 3))); },
        std::vector<double>(8, 4));
  check([](ctn_array a) { CHECK_OK(ctn_array_assign(a, a)); }, eight);
  check([](ctn_array a) { CHECK_OK(ctn_array_assign(part(a, {4}, {2}, 0), part(a, {4}, {2}, 1))); },
        {2, 2, 4, 4, 6, 6, 8, 8});
  check([](ctn_array a) { CHECK_OK(ctn_array_assign(part(a, {0}, {1}, 0), part(a, {0}, {1}, 3))); },
        eight);
}

TEST_CASE("the same where two wrappers share the host's memory") {
  const Ctx ctx = context();
  float data[5] = {1, 2, 3, 4, 5};
  int64_t four = 4;
  ctn_dltensor t{data, {CTN_DEV_CPU, 0}, 1, kF32, &four, nullptr, 0};
  Arr low, high;
  REQUIRE_OK(ctn_array_wrap(ctx, &t, nullptr, nullptr, low.out()));
  t.byte_offset = sizeof(float);
  REQUIRE_OK(ctn_array_wrap(ctx, &t, nullptr, nullptr, high.out()));
  REQUIRE_OK(ctn_array_assign(high, low));
  CHECK(std::vector<float>(data, data + 5) == std::vector<float>{1, 1, 2, 3, 4});
}

TEST_CASE("arrays of another context are refused") {
  const Ctx ctx = context(), other = context();
  const Arr a = array(ctx, kF32, {2}, {1, 2}), b = array(other, kF32, {2}, {3, 4});
  CHECK_FAILS(ctn_array_assign(a, b), CTN_EINVAL, "float32[2] of another context");
  CHECK(values(a) == std::vector<double>{1, 2});
  const ctn_str names[] = {str("ours"), str("theirs")};
  const ctn_array arrays[] = {a, b};
  CHECK_FAILS(ctn_save_npz_arrays(ctx, str("/nonexistent/x.npz"), names, arrays, 2, 0), CTN_EINVAL,
              "'theirs' belongs to another context");
}
