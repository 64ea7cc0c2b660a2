// Backends on backends, as a plugin makes them: what is inherited, which kernel runs and what the
// log says of it, and that a backend that is named is had or refused, never replaced.
#include <dlfcn.h>
#include <unistd.h>

#include "support.h"

using namespace capi_test;

namespace {

using Lines = std::vector<std::string>;

void note(void* user, int32_t level, ctn_str topic, ctn_str text) {
  static constexpr const char* kLevels[] = {"", "error", "warn", "info", "debug"};
  static_cast<Lines*>(user)->push_back(std::string(kLevels[level]) + " " +
                                       std::string(topic.p, topic.n) + ": " +
                                       std::string(text.p, text.n));
}

// A parent must be there before its child.
void load() {
  static const Ctx cpu = context();
  REQUIRE_OK(ctn_plugin_load(str(STACKED_PLUGIN)));
}

// A variable of the loaded module.
template <class T>
T& of_module(const char* name) {
  void* const module = dlopen(STACKED_PLUGIN, RTLD_NOW | RTLD_NOLOAD);
  REQUIRE(module);
  void* const at = dlsym(module, name);
  dlclose(module);
  REQUIRE(at);
  return *static_cast<T*>(at);
}

struct Listening {
  Lines lines;
  Ctx ctx;
  explicit Listening(const char* device) {
    load();
    ctn_context_options o = options();
    o.device = str(device);
    o.log = note;
    o.log_user = &lines;
    o.log_level = CTN_LOG_DEBUG;
    ctx = context(o);
    lines.clear();
  }
  ~Listening() { ctx = Ctx(); }
};

std::string backend_of(ctn_context ctx) {
  ctn_str name{};
  REQUIRE_OK(ctn_context_device(ctx, nullptr, &name));
  return {name.p, name.n};
}
std::string name_of(ctn_context ctx) {
  ctn_str name{};
  REQUIRE_OK(ctn_device_name(ctx, &name));
  return {name.p, name.n};
}

// The error of a context on a device.
std::string refused(const char* device, ctn_status status) {
  ctn_context_options o = options();
  o.device = str(device);
  ctn_context ctx = untouched<ctn_context_s>();
  CHECK(ctn_context_create(&o, &ctx) == status);
  CHECK(ctx == untouched<ctn_context_s>());
  return ctn_error_message();
}

bool has(const std::string& text, const char* part) { return text.find(part) != text.npos; }

const Floats kRow = {1, 2, 3}, kMarked(3, 101), kMarkedTwice(3, 102);

}  // namespace

TEST_CASE("a backend of a name alone is its parent in all but its kernels") {
  const Ctx cpu = context();
  const Listening on("stacked");
  CHECK(backend_of(on.ctx) == "stacked");
  CHECK(name_of(on.ctx) == name_of(cpu));
  for (const char* op : {"exp", "log_softmax"}) {
    const Var x = variable(array(on.ctx, kRow, {1, 3})), same = variable(array(cpu, kRow, {1, 3}));
    CHECK(values(call(on.ctx, op, {x})) == values(call(cpu, op, {same})));
  }
  const Arr a = array(on.ctx, kRow);
  CHECK(view(a).device.type == CTN_DEV_CPU);
  Floats own = {4, 5};
  ctn_dltensor t = view(a);
  int64_t two = 2, one = 1;
  t.data = own.data();
  t.shape = &two;
  t.strides = &one;
  Arr wrapped;
  CHECK_OK(ctn_array_wrap(on.ctx, &t, nullptr, nullptr, wrapped.out()));  // host memory, as there
  CHECK(refused("stacked:1", CTN_EDEVICE) ==
        "device 'stacked:1' does not exist: backend 'stacked' has 1 device");
}

TEST_CASE("one group of members of its own, the others from up the line") {
  const Listening on("twice:2");
  const int64_t before = of_module<int64_t>("stacked_blocks");
  Arr a = array(on.ctx, Floats(5000, 2));
  CHECK(of_module<int64_t>("stacked_blocks") == before + 1);
  CHECK(view(a).device.type == CTN_DEV_EXTENSION);
  CHECK(view(a).device.id % CTN_DEV_NEXT == 2);
  const Var x = variable(a);
  CHECK(values(call(on.ctx, "square", {x})) == Floats(5000, 4));  // the cpu's compile and launch
  ctn_device cpu{};
  REQUIRE_OK(ctn_device_find(on.ctx, str("cpu"), &cpu));
  Arr there;
  REQUIRE_OK(ctn_array_to_device(a, cpu, there.out()));
  CHECK(values<float>(there) == Floats(5000, 2));
}

TEST_CASE("own kernels by priority, then the parent's: each that declines says why") {
  Listening on("stacked");
  const Var one = variable(array(on.ctx, kRow, {1, 3}));
  const Var two = variable(array(on.ctx, Floats{0, 0, 0, 0}, {2, 2}));
  on.lines.clear();
  CHECK(values(call(on.ctx, "softmax", {one})) == kMarked);
  CHECK(on.lines == Lines{"debug kernel: softmax: stacked priority 20 declined: the moon is full",
                          "debug kernel: softmax: stacked priority 10 runs"});
  on.lines.clear();
  CHECK(values(call(on.ctx, "softmax", {two})) == Floats(4, 0.5));
  CHECK(on.lines == Lines{"debug kernel: softmax: stacked priority 20 declined: the moon is full",
                          "debug kernel: softmax: stacked priority 10 declined: more than one row",
                          "debug kernel: softmax: cpu priority 0 runs"});
  on.lines.clear();
  Arr wide;
  REQUIRE_OK(ctn_array_copy(array(on.ctx, kRow, {1, 3}), dtype_for<double>(), wide.out()));
  call(on.ctx, "softmax", {variable(wide)});
  CHECK(on.lines ==
        Lines{"debug kernel: softmax: stacked priority 20 declined: dtype not supported",
              "debug kernel: softmax: stacked priority 10 declined: dtype not supported",
              "debug kernel: softmax: cpu priority 0 runs"});
}

TEST_CASE("a child's kernel comes before its parents', whatever the priorities are") {
  Listening on("twice");
  const Var one = variable(array(on.ctx, kRow, {1, 3}));
  const Var two = variable(array(on.ctx, Floats{0, 0, 0, 0}, {2, 2}));
  on.lines.clear();
  CHECK(values(call(on.ctx, "softmax", {one})) == kMarkedTwice);
  CHECK(on.lines == Lines{"debug kernel: softmax: twice priority -1000 runs"});
  on.lines.clear();
  CHECK(values(call(on.ctx, "softmax", {two})) == Floats(4, 0.5));
  CHECK(on.lines == Lines{"debug kernel: softmax: twice priority -1000 declined: more than one row",
                          "debug kernel: softmax: stacked priority 20 declined: the moon is full",
                          "debug kernel: softmax: stacked priority 10 declined: more than one row",
                          "debug kernel: softmax: cpu priority 0 runs"});
}

TEST_CASE("a backend that is named is had, or the error says what was looked for and found") {
  load();
  const std::string vacant = refused("vacant", CTN_EDEVICE);
  CHECK(vacant ==
        "device 'vacant' does not exist: backend 'vacant' has 0 devices "
        "(the driver is on holiday)");
  const std::string nowhere = refused("nowhere:1", CTN_ENOTFOUND);
  CHECK_MESSAGE(has(nowhere, "backend 'nowhere' cannot be had"), nowhere);
  CHECK_MESSAGE(has(nowhere, "no manifest provides it"), nowhere);
  CHECK_MESSAGE(has(nowhere, "searched: /"), nowhere);
  CHECK_MESSAGE(has(nowhere, "/catena/plugins-0"), nowhere);
  // The same where a device is asked for in a context that has others.
  const Ctx ctx = context();
  ctn_device d{};
  CHECK_FAILS(ctn_device_find(ctx, str("vacant"), &d), CTN_EDEVICE, "on holiday");
  CHECK_FAILS(ctn_device_find(ctx, str("nowhere"), &d), CTN_ENOTFOUND, "cannot be had");
  CHECK_FAILS(ctn_device_find(ctx, str("auto"), &d), CTN_ENOTFOUND, "backend 'auto'");
}

TEST_CASE("auto falls back, and says to what and why") {
  load();
  Lines lines;
  ctn_context_options o = options();
  o.device = str("auto");
  o.log = note;
  o.log_user = &lines;
  const Ctx ctx = context(o);
  CHECK(backend_of(ctx) != "vacant");
  REQUIRE(lines.size() == 1);
  const std::string& line = lines[0];
  CHECK_MESSAGE(
      line.starts_with("warn loader: auto: using " + backend_of(ctx) + "; vacant: device"), line);
  CHECK_MESSAGE(has(line, "(the driver is on holiday)"), line);
}

TEST_CASE("arrays survive the handle of their context, and their backend's code the context") {
  load();
  const int64_t before = of_module<int64_t>("stacked_blocks");
  Arr left;
  Var graph;
  {
    ctn_context_options o = options();
    o.device = str("twice:1");
    const Ctx ctx = context(o);
    left = array(ctx, Floats(3000, 1));
    graph = call(ctx, "exp", {variable(array(ctx, Floats(3000, 0)))});
    array(ctx, Floats(70000, 1));
  }
  CHECK(of_module<int64_t>("stacked_blocks") > before);
  CHECK(values<float>(left) == Floats(3000, 1));
  const Var gy = variable(left, 0);
  REQUIRE_OK(ctn_variable_set_grad(graph, gy));
  REQUIRE_OK(ctn_variable_backward(graph, nullptr));  // new work, new memory
  CHECK(values(graph) == Floats(3000, 1));
  graph = Var();
  Ctx again(ctn_array_context(left));
  ctn_context_retain(again);
  REQUIRE_OK(ctn_memory_trim(again));
  again = Ctx();
  left = Arr();
  const_cast<Var&>(gy) = Var();
  CHECK(of_module<int64_t>("stacked_blocks") == before);
  CHECK(dlopen(STACKED_PLUGIN, RTLD_NOW | RTLD_NOLOAD) != nullptr);
}
