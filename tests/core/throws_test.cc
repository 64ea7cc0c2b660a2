// Exceptions from the callbacks of a plugin: each becomes CTN_EINTERNAL at the C interface, and
// what was going on can go on.
#include <catena/catena.h>
#include <main.h>

#include "core/error.h"
#include "core/loader.h"
#include "op_text.h"
#include "plugin_files.h"

using namespace catena;
using namespace catena_test;

namespace {

// A context on the test backend, with one variable that wants a gradient.
class Setting {
 public:
  Setting() {
    load_plugin_file(plugin_file("testdev"));
    load_plugin_file(plugin_file("throws"));
    ctn_context_options o{};
    o.size = sizeof o;
    o.flags = CTN_CONTEXT_NO_ENV;
    o.device = lit("testdev");
    check_status(ctn_context_create(&o, &ctx), "context");
    const float values[] = {1, 2};
    const int64_t shape[] = {2};
    check_status(ctn_array_from_host(ctx, dtype_of(CTN_FLOAT32), 1, shape, values, &a), "array");
    check_status(ctn_variable_new(a, 1, &x), "variable");
  }
  ~Setting() {
    ctn_variable_release(x);
    ctn_array_release(a);
    ctn_context_release(ctx);
  }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

  ctn_status call(const char* op, ctn_variable* y) const {
    return ctn_call_named(ctx, lit(op), &x, 1, nullptr, 0, y, 1);
  }

  ctn_context ctx = nullptr;
  ctn_array a = nullptr;
  ctn_variable x = nullptr;
};

}  // namespace

TEST_CASE("throws: ops and kernels") {
  const Setting s;
  for (const char* op : {"throws.infer", "throws.compose", "throws.count", "throws.supports",
                         "throws.plan", "throws.run"}) {
    for (int again = 0; again < 2; ++again) {
      ctn_variable y = nullptr;
      const ctn_status status = s.call(op, &y);
      CHECK_MESSAGE(status == CTN_EINTERNAL, op << ": " << ctn_error_message());
      CHECK(!y);
      ctn_variable_release(y);
    }
  }
  ctn_variable y = nullptr;
  REQUIRE(s.call("throws.backward", &y) == CTN_OK);
  ctn_variable gy = nullptr;
  REQUIRE(ctn_variable_new(s.a, 0, &gy) == CTN_OK);
  REQUIRE(ctn_variable_set_grad(y, gy) == CTN_OK);
  CHECK(ctn_variable_backward(y, nullptr) == CTN_EINTERNAL);
  ctn_variable gx = nullptr;
  CHECK(ctn_variable_grad(s.x, &gx) == CTN_OK);
  CHECK(!gx);
  ctn_variable_release(gy);
  ctn_variable_release(y);
}

TEST_CASE("throws: backends") {
  const Setting s;
  ctn_context_options o{};
  o.size = sizeof o;
  o.flags = CTN_CONTEXT_NO_ENV;
  o.device = lit("throws");
  ctn_context ctx = nullptr;
  CHECK(ctn_context_create(&o, &ctx) == CTN_EINTERNAL);
  CHECK(!ctx);
  ctn_device device{};
  CHECK(ctn_device_find(s.ctx, lit("throws:0"), &device) == CTN_EINTERNAL);
}

TEST_CASE("throws: links, initializers and hooks") {
  const Setting s;
  ctn_link link = nullptr;
  CHECK(ctn_link_create(s.ctx, lit("ThrowsInit"), nullptr, 0, &link) == CTN_EINTERNAL);
  CHECK(!link);
  REQUIRE(ctn_link_create(s.ctx, lit("ThrowsCall"), nullptr, 0, &link) == CTN_OK);
  ctn_variable y = nullptr;
  CHECK(ctn_link_call(link, &s.x, 1, &y, 1) == CTN_EINTERNAL);
  CHECK(!y);
  CHECK(ctn_initialize(s.a, lit("Throws"), nullptr, 0) == CTN_EINTERNAL);

  ctn_optimizer opt = nullptr;
  REQUIRE(ctn_link_add_param(link, lit("p"), s.x) == CTN_OK);
  ctn_variable g = nullptr;
  REQUIRE(ctn_variable_new(s.a, 0, &g) == CTN_OK);
  REQUIRE(ctn_variable_set_grad(s.x, g) == CTN_OK);
  REQUIRE(ctn_optimizer_create(s.ctx, lit("Plain"), nullptr, 0, &opt) == CTN_OK);
  REQUIRE(ctn_optimizer_setup(opt, link) == CTN_OK);
  CHECK(ctn_optimizer_update(opt) == CTN_OK);
  REQUIRE(ctn_optimizer_add_hook(opt, lit(""), lit("Throws"), lit(""), CTN_TIMING_AUTO, nullptr,
                                 0) == CTN_OK);
  CHECK(ctn_optimizer_update(opt) == CTN_EINTERNAL);
  ctn_variable_release(g);
  ctn_optimizer_release(opt);
  ctn_link_release(link);
}
