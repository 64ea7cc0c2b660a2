// Exceptions from the callbacks of a plugin: each becomes CTN_EINTERNAL at the C interface, and
// what was going on can go on.
#include <catena/catena.h>
#include <main.h>

#include <string>

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

namespace {

// A context on a backend of plugin throws, and what it logged at CTN_LOG_ERROR.
class Late {
 public:
  explicit Late(const char* device) {
    load_plugin_file(plugin_file("testdev"));
    load_plugin_file(plugin_file("throws"));
    ctn_context_options o{};
    o.size = sizeof o;
    o.flags = CTN_CONTEXT_NO_ENV;
    o.device = lit(device);
    o.threads = 1;
    o.log = [](void* user, int32_t level, ctn_str, ctn_str line) {
      if (level == CTN_LOG_ERROR)
        static_cast<std::string*>(user)->append(line.p, line.n).append("\n");
    };
    o.log_user = &log;
    check_status(ctn_context_create(&o, &ctx), "context");
  }
  ~Late() { ctn_context_release(ctx); }
  Late(const Late&) = delete;
  Late& operator=(const Late&) = delete;

  ctn_status array(int64_t bytes, ctn_array* out) const {
    return ctn_array_new(ctx, dtype_of(CTN_UINT8), 1, &bytes, out);
  }
  bool logged(const char* text) const { return log.find(text) != std::string::npos; }

  ctn_context ctx = nullptr;
  std::string log;
};

constexpr int64_t kMiB = 1 << 20;

}  // namespace

TEST_CASE("throws: a backend's alloc, and errors of its own that are not for lack of memory") {
  const Late late("throws_late");
  ctn_array a = nullptr;
  ctn_memory_stats before{}, after{};
  before.size = after.size = sizeof before;
  REQUIRE(ctn_memory_get_stats(late.ctx, &before) == CTN_OK);
  for (int again = 0; again < 2; ++again) {
    CHECK(late.array(2 * kMiB, &a) == CTN_EINTERNAL);
    CHECK(std::string(ctn_error_message()).find("unknown type") != std::string::npos);
    CHECK(late.array(4 * kMiB, &a) == CTN_EDEVICE);
    CHECK(std::string(ctn_error_message()) == "the card fell out");
    for (const int64_t mib : {8, 16}) {
      CHECK(late.array(mib * kMiB, &a) == CTN_ENOMEM);
      CHECK(std::string(ctn_error_message()).find("out of memory: ") == 0);
    }
  }
  CHECK(!a);
  REQUIRE(ctn_memory_get_stats(late.ctx, &after) == CTN_OK);
  CHECK(after.used == before.used);
  CHECK(late.logged("throws_late:0 threw"));
  REQUIRE(late.array(kMiB, &a) == CTN_OK);
  ctn_array_release(a);
}

TEST_CASE("throws: a backend's free, which nobody hears of but the log") {
  const Late late("throws_late");
  ctn_array a = nullptr;
  REQUIRE(late.array(3 * kMiB, &a) == CTN_OK);
  ctn_array_release(a);
  CHECK(!late.logged("threw"));  // cached
  REQUIRE(ctn_memory_trim(late.ctx) == CTN_OK);
  CHECK(late.logged("throws_late:0 threw: an exception of unknown type"));
  ctn_memory_stats stats{};
  stats.size = sizeof stats;
  REQUIRE(ctn_memory_get_stats(late.ctx, &stats) == CTN_OK);
  CHECK(stats.cached == 0);
}

TEST_CASE("throws: a backend's copy, compile, launch and sync") {
  const Late late("throws_late");
  const int64_t three = 3, four = 4;
  const float values[4] = {1, 2, 3, 4};
  ctn_array a = nullptr, b = nullptr;
  const ctn_dtype f32 = dtype_of(CTN_FLOAT32), f64 = dtype_of(CTN_FLOAT64);
  CHECK(ctn_array_from_host(late.ctx, f32, 1, &three, values, &a) == CTN_EINTERNAL);
  CHECK(!a);
  REQUIRE(ctn_array_from_host(late.ctx, f32, 1, &four, values, &a) == CTN_OK);
  const ctn_value one = float_value(1);
  for (int again = 0; again < 2; ++again) {
    CHECK(ctn_array_fill(a, &one) == CTN_EINTERNAL);     // compile
    CHECK(ctn_array_copy(a, f64, &b) == CTN_EINTERNAL);  // launch
  }
  CHECK(!b);
  ctn_array_release(a);

  const Late sync("throws_sync");
  REQUIRE(ctn_array_from_host(sync.ctx, f32, 1, &four, values, &a) == CTN_OK);
  CHECK(ctn_synchronize(sync.ctx) == CTN_EINTERNAL);
  float back[4];
  CHECK(ctn_array_to_host(a, back, sizeof back) == CTN_EINTERNAL);
  ctn_str name{};
  CHECK(ctn_device_name(sync.ctx, &name) == CTN_EINTERNAL);
  ctn_array_release(a);
}

TEST_CASE("throws: layouts and plans") {
  {
    const Late late("throws_late");
    const int64_t four = 4;
    const float values[4] = {1, 2, 3, 4};
    ctn_array a = nullptr;
    ctn_variable x = nullptr, y = nullptr;
    REQUIRE(ctn_array_from_host(late.ctx, dtype_of(CTN_FLOAT32), 1, &four, values, &a) == CTN_OK);
    REQUIRE(ctn_variable_new(a, 0, &x) == CTN_OK);
    for (const char* op : {"throws.layout_bytes", "throws.reorder"})
      for (int again = 0; again < 2; ++again)
        CHECK(ctn_call_named(late.ctx, lit(op), &x, 1, nullptr, 0, &y, 1) == CTN_EINTERNAL);
    CHECK(!y);
    REQUIRE(ctn_call_named(late.ctx, lit("throws.drop"), &x, 1, nullptr, 0, &y, 1) == CTN_OK);
    float back[4];
    CHECK(ctn_array_to_host(a, back, sizeof back) == CTN_OK);
    CHECK(back[3] == 4);
    ctn_variable_release(y);
    ctn_variable_release(x);
    ctn_array_release(a);
  }  // the plan is dropped with the context
}

TEST_CASE("throws: links that are copied, moved, saved and dropped") {
  load_plugin_file(plugin_file("testdev"));
  const Late late("throws_late");
  ctn_link link = nullptr, copy = nullptr;
  REQUIRE(ctn_link_create(late.ctx, lit("ThrowsLater"), nullptr, 0, &link) == CTN_OK);
  CHECK(ctn_link_copy(link, CTN_COPY_COPY, &copy) == CTN_EINTERNAL);
  CHECK(!copy);
  ctn_device device{};
  REQUIRE(ctn_context_device(late.ctx, &device, nullptr) == CTN_OK);
  CHECK(ctn_link_to_device(link, device) == CTN_EINTERNAL);
  CHECK(ctn_save_npz_link(link, lit("/nonexistent/x.npz"), 0) != CTN_OK);
  ctn_link_release(link);
  CHECK(late.logged("ThrowsLater threw"));
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
