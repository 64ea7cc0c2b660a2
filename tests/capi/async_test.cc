// An asynchronous backend: what waits, and where the errors come out that it stored meanwhile.
#include "support.h"

using namespace capi_test;

namespace {

// A context on a device of the backend in tests/plugins/later.c.
Ctx later(const char* device = "later") {
  REQUIRE_OK(ctn_plugin_load(str(LATER_PLUGIN)));
  ctn_context_options o = options();
  o.device = str(device);
  return context(o);
}

using Bytes = std::vector<uint8_t>;

Bytes at(const void* p, size_t n) {
  const auto* bytes = static_cast<const uint8_t*>(p);
  return {bytes, bytes + n};
}

}  // namespace

TEST_CASE("who looks at memory waits for it") {
  const Ctx ctx = later();
  ctn_str backend{};
  REQUIRE_OK(ctn_context_device(ctx, nullptr, &backend));
  CHECK(std::string(backend.p, backend.n) == "later");
  const Arr a = array<uint8_t>(ctx, {1, 2, 3});
  CHECK(at(view(a).data, 3) == Bytes{1, 2, 3});
  const Var v = variable(a, 0);
  const uint8_t next[] = {4, 5, 6};
  REQUIRE_OK(ctn_array_set(a, next, sizeof next));
  ctn_dltensor t{};
  REQUIRE_OK(ctn_variable_view(v, &t));  // does not wait
  CHECK(at(t.data, 3) == Bytes{1, 2, 3});
  REQUIRE_OK(ctn_synchronize(ctx));
  CHECK(at(t.data, 3) == Bytes{4, 5, 6});
  const uint8_t last[] = {7, 8, 9};
  REQUIRE_OK(ctn_array_set(a, last, sizeof last));
  Bytes host(3);
  REQUIRE_OK(ctn_array_to_host(a, host.data(), host.size()));
  CHECK(host == Bytes{7, 8, 9});
}

TEST_CASE("who asks for a shape waits for nothing and is shown no memory") {
  const Ctx ctx = later();
  const Arr a = array<uint8_t>(ctx, {1, 2, 3});
  const Var v = variable(a, 0);
  REQUIRE_OK(ctn_array_set(a, Bytes(3, 1).data(), 3));
  REQUIRE_OK(ctn_synchronize(ctx));
  const Bytes thirteen(13, 5);
  const Arr spoiled = array<uint8_t>(ctx, thirteen);
  for (const bool of_array : {true, false}) {
    ctn_dltensor t{};
    REQUIRE_OK(of_array ? ctn_array_spec(a, &t) : ctn_variable_spec(v, &t));
    CHECK(t.data == nullptr);
    CHECK(t.ndim == 1);
    CHECK(t.shape[0] == 3);
    CHECK(t.strides[0] == 1);
    CHECK(t.dtype.bits == 8);
    CHECK(t.device.type == CTN_DEV_EXTENSION);
  }
  CHECK_FAILS(ctn_synchronize(ctx), CTN_EDEVICE, "13 bytes failed");  // still to be heard
  CHECK_FAILS(ctn_array_spec(nullptr, nullptr), CTN_EINVAL, "NULL");
  CHECK_FAILS(ctn_variable_spec(v, nullptr), CTN_EINVAL, "out is NULL");
}

// What the device still writes to must not be given to somebody else meanwhile.
TEST_CASE("memory that is let go of has been written") {
  const Ctx ctx = later();
  for (int round = 0; round < 100; ++round) {
    Arr gone = array<uint8_t>(ctx, Bytes(100, 0xee));
    gone = Arr();
    const Var v = variable(array<uint8_t>(ctx, {1, 2, 3}), 0);  // headers, where its data may lie
    REQUIRE_OK(ctn_synchronize(ctx));
    ctn_dltensor t{};
    REQUIRE_OK(ctn_variable_view(v, &t));
    CHECK(at(t.data, 3) == Bytes{1, 2, 3});
  }
  uint8_t own[8] = {};
  static bool dropped;
  dropped = false;
  {
    ctn_dltensor t{};
    int64_t shape[] = {8};
    t.data = own;
    t.device = {CTN_DEV_CPU, 0};
    t.ndim = 1;
    t.dtype = dtype_for<uint8_t>();
    t.shape = shape;
    Arr wrapped;
    REQUIRE_OK(ctn_array_wrap(
        ctx, &t, [](void* p) { dropped = static_cast<uint8_t*>(p)[7] == 9; }, own, wrapped.out()));
    REQUIRE_OK(ctn_array_set(wrapped, Bytes(8, 9).data(), 8));
    CHECK(own[7] == 0);
  }
  CHECK(dropped);
}

TEST_CASE("expressions and copies to other devices see what was handed over before") {
  const Ctx ctx = later();
  const Arr a = array<uint8_t>(ctx, {1, 2, 3});
  REQUIRE_OK(ctn_array_set(a, Bytes{4, 5, 6}.data(), 3));
  Arr wide;
  REQUIRE_OK(ctn_array_copy(a, dtype_for<int32_t>(), wide.out()));  // on the plain executor
  int32_t got[3] = {};
  REQUIRE_OK(ctn_array_to_host(wide, got, sizeof got));
  CHECK(got[2] == 6);
  ctn_device cpu{};
  REQUIRE_OK(ctn_device_find(ctx, str("cpu"), &cpu));
  REQUIRE_OK(ctn_array_set(a, Bytes{7, 8, 9}.data(), 3));
  Arr there, back;
  REQUIRE_OK(ctn_array_to_device(a, cpu, there.out()));
  const Var v = variable(there, 0);
  ctn_dltensor t{};
  REQUIRE_OK(ctn_variable_view(v, &t));  // does not wait
  CHECK(at(t.data, 3) == Bytes{7, 8, 9});
}

TEST_CASE("an error that was stored comes out once, where somebody waits") {
  const Ctx ctx = later();
  const Bytes thirteen(13, 5);
  const int64_t shape[] = {13};
  Arr a;
  REQUIRE_OK(ctn_array_new(ctx, dtype_for<uint8_t>(), 1, shape, a.out()));
  const auto spoil = [&] { REQUIRE_OK(ctn_array_set(a, thirteen.data(), thirteen.size())); };
  spoil();
  CHECK_FAILS(ctn_synchronize(ctx), CTN_EDEVICE, "later: a copy of 13 bytes failed");
  CHECK_OK(ctn_synchronize(ctx));
  spoil();
  ctn_dltensor t{};
  t.ndim = -7;
  CHECK_FAILS(ctn_array_view(a, &t), CTN_EDEVICE, "later: a copy of 13 bytes failed");
  CHECK(t.ndim == -7);
  CHECK_OK(ctn_array_view(a, &t));
  spoil();
  Bytes host(13, 1);
  CHECK_FAILS(ctn_array_to_host(a, host.data(), 13), CTN_EDEVICE, "13 bytes failed");
  CHECK(host == Bytes(13, 1));
  CHECK_OK(ctn_synchronize(ctx));
}

TEST_CASE("all devices of a context are waited for, whatever one of them says") {
  const Ctx ctx = later();
  ctn_device second{};
  REQUIRE_OK(ctn_device_find(ctx, str("later:1"), &second));
  const Arr a = array<uint8_t>(ctx, Bytes(13, 5));
  const Arr three = array<uint8_t>(ctx, {1, 2, 3});
  Arr there;
  CHECK_FAILS(ctn_synchronize(ctx), CTN_EDEVICE, "13 bytes failed");
  REQUIRE_OK(ctn_array_to_device(three, second, there.out()));
  const Var v = variable(there, 0);
  REQUIRE_OK(ctn_array_set(a, Bytes(13, 6).data(), 13));
  CHECK_FAILS(ctn_synchronize(ctx), CTN_EDEVICE, "13 bytes failed");
  ctn_dltensor t{};
  REQUIRE_OK(ctn_variable_view(v, &t));
  CHECK(t.device.id == 1);
  CHECK(at(t.data, 3) == Bytes{1, 2, 3});
  CHECK_OK(ctn_synchronize(ctx));
}
