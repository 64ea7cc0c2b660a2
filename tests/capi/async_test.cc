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
