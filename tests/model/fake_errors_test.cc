// Failures of devices: those that come at once, those that come later, and those of asking for what
// is not there. Memory, and what the context says of it.
#include "fake.h"

using namespace catena;
using namespace fake_test;

namespace {

using Floats = std::vector<float>;

// Everything is as it was when it goes.
struct Reset {
  ~Reset() {
    control().alloc_budget = -1;
    control().alloc_status = CTN_ENOMEM;
    control().work_budget = -1;
    control().devices = 3;
  }
};

struct MLP : Chain {
  L::Linear l1 = child("l1", L::Linear(8, 3000));
  L::Linear l2 = child("l2", L::Linear(3000, 30));
  Variable operator()(const Variable& x) const { return l2(F::relu(l1(x))); }
};

struct Training {
  Context ctx;
  MLP net;
  optimizers::MomentumSGD sgd;
  Variable x, t;

  explicit Training(const char* device) : ctx(context(device)) {
    sgd.setup(net);
    x = Variable(Array::full({4, 8}, 0.5), false);
    t = Variable(Array::of<int32_t>({0, 1, 2, 0}), false);
  }
  void step() {
    net.cleargrads();
    F::softmax_cross_entropy(net(x), t).backward();
    sgd.update();
  }
  std::map<std::string, Floats> state() const {
    std::map<std::string, Floats> all;
    for (const auto& [path, p] : net.namedparams()) {
      all[path] = values(p);
      all[path + "/v"] = values(sgd.state(path, "v"));
    }
    return all;
  }
};

}  // namespace

TEST_CASE("devices that are not there: which there are, and why not") {
  const Reset reset;
  control();
  refused(CTN_EDEVICE, {"device 'fake:3' does not exist: backend 'fake' has 3 devices"},
          [] { context("fake:3"); });
  refused(CTN_EINVAL, {"device 'fake:-1': what follows ':' is not an id of 0 to 4096"},
          [] { context("fake:-1"); });
  control().devices = 0;
  refused(CTN_EDEVICE,
          {"device 'fake' does not exist: backend 'fake' has 0 devices", "(a test took them away)"},
          [] { context("fake"); });
  const Context ctx("cpu");
  refused(CTN_EDEVICE, {"(a test took them away)"}, [] { Array::zeros({2}).to_device("fake:1"); });
}

TEST_CASE("a device by its number, where its backend is in use") {
  const Context ctx = context("fake");
  const Array a = Array::of<float>({1});
  ctn_array there = nullptr;
  check(ctn_array_to_device(a.get(), {CTN_DEV_EXTENSION, 2}, &there));
  CHECK(device_of(Array(there)) == 2);
  refused(CTN_EDEVICE, {"'fake:7' does not exist"}, [&] {
    check(ctn_array_to_device(a.get(), {CTN_DEV_EXTENSION, 7}, &there));
  });
  refused(CTN_EDEVICE, {"device type 2 id 0 is not open in this context"}, [&] {
    check(ctn_array_to_device(a.get(), {CTN_DEV_CUDA, 0}, &there));
  });
}

TEST_CASE("two backends with one DLPack type are told apart") {
  check(ctn_plugin_load(detail::str(NULL_PLUGIN)));
  const Context ctx = context("fake");
  const Array a = Array::of<float>({1});
  ctn_device null_device{}, fake_device{};
  check(ctn_device_find(ctx.get(), detail::str("fake"), &fake_device));
  check(ctn_device_find(ctx.get(), detail::str("null"), &null_device));
  CHECK(null_device.type == fake_device.type);
  CHECK(null_device.id % CTN_DEV_NEXT == fake_device.id % CTN_DEV_NEXT);
  CHECK(null_device.id != fake_device.id);
  const Array there = a.to_device("null");
  CHECK(there.get() != a.get());
  CHECK(values(there.to_device("cpu")) == Floats{1});  // through host memory
  CHECK(values(a.to_device("null:1").to_device("cpu")) == Floats{1});
  // Memory that comes as DLPack does not say whose it is.
  const Context other("cpu");
  const Array x = Array::of<float>({1});
  x.to_device("fake");
  x.to_device("null");
  float memory = 0;
  int64_t one = 1;
  ctn_dlpack t{};
  t.version = {CTN_DLPACK_MAJOR, CTN_DLPACK_MINOR};
  t.dl_tensor = {&memory, {CTN_DEV_EXTENSION, 0}, 1, {CTN_DT_FLOAT, 32, 1}, &one, nullptr, 0};
  ctn_array out = nullptr;
  refused(CTN_EUNSUPPORTED, {"null:0 cannot be told from that of fake:0", "DLPack device type 12"},
          [&] { check(ctn_array_from_dlpack(other.get(), &t, &out)); });
}

TEST_CASE("memory that is refused: nothing is lost, nothing changed, and it goes on") {
  const Reset reset;
  Training run("fake:1"), other("fake:1");
  run.ctx.make_current();
  run.step();
  run.net.cleargrads();
  check(ctn_synchronize(run.ctx.get()));
  const auto before = run.state();
  const uint64_t used = run.ctx.memory().used;
  int64_t failures = 0;
  for (int64_t budget = 0;; ++budget) {
    run.ctx.trim();
    control().alloc_budget = budget;
    try {
      run.step();
      break;
    } catch (const OutOfMemory& e) {
      ++failures;
      const std::string text = e.what();
      CHECK_MESSAGE(text.starts_with("out of memory: "), text);
      CHECK_MESSAGE(text.find("; fake: alloc failed on request") != text.npos, text);
    }
    control().alloc_budget = -1;
    run.net.cleargrads();
    CHECK(run.state() == before);
    CHECK(run.ctx.memory().used == used);
  }
  CHECK(failures > 3);
  control().alloc_budget = -1;
  other.ctx.make_current();
  other.step();
  other.step();
  CHECK(run.state() == other.state());
}

TEST_CASE("a device that fails to give memory is not taken for a full one") {
  const Reset reset;
  const Context ctx = context("fake:2");
  control().alloc_status = CTN_EDEVICE;
  control().alloc_budget = 0;
  refused(CTN_EDEVICE, {"fake: alloc failed on request"}, [] { Array::zeros({100}); });
  control().alloc_budget = -1;
  CHECK(values(Array::zeros({1})) == Floats{0});
}

TEST_CASE("work that fails later says which op it was, once, to whoever waits") {
  const Reset reset;
  const Context ctx = context("fake:1");
  const Variable x(Array::full({2, 3}, 1));
  check(ctn_synchronize(ctx.get()));
  const auto fails = [&](const char* name, auto&& body) {
    control().work_budget = 0;
    body();  // does not fail: the work has not been done
    const std::string text = std::string("fake:1: [") + name + "] failed on request";
    refused(CTN_EDEVICE, {text.c_str()}, [&] { check(ctn_synchronize(ctx.get())); });
    CHECK(ctn_synchronize(ctx.get()) == CTN_OK);
    control().work_budget = -1;
  };
  fails("relu", [&] { F::relu(x); });
  fails("softmax", [&] { F::softmax(x); });
  fails("fill", [&] { x.array().fill(2); });
  fails("copy", [&] { x.array().astype(float64); });
  fails("sum", [&] { F::sum(x); });
  const Variable y = F::tanh(x);
  check(ctn_synchronize(ctx.get()));
  fails("tanh (gradient)", [&] { grad({y}, {x}, {.grad_outputs = {x}}); });
  const L::Linear linear(3, 2);
  optimizers::SGD sgd;
  sgd.setup(linear);
  F::sum(linear(x)).backward();
  check(ctn_synchronize(ctx.get()));
  fails("SGD: update", [&] { sgd.update(); });
}

TEST_CASE("a stored error comes out where memory is read, and does not stay in the way") {
  const Reset reset;
  const Context ctx = context("fake");
  const Array a = Array::of<float>({1, 2});
  check(ctn_synchronize(ctx.get()));
  const auto spoil = [&] {
    control().work_budget = 0;
    F::relu(Variable(a));
  };
  spoil();
  refused(CTN_EDEVICE, {"fake:0: [relu]"}, [&] { values(a); });
  CHECK(values(a) == Floats{1, 2});
  spoil();
  refused(CTN_EDEVICE, {"fake:0: [relu]"}, [&] { a.view(); });
  spoil();
  refused(CTN_EDEVICE, {"fake:0: [relu]"}, [&] { a.to_device("cpu"); });
  spoil();
  refused(CTN_EDEVICE, {"fake:0: [relu]"}, [&] { a.to_dlpack(); });
  CHECK(values(a) == Floats{1, 2});
  // Of two devices both are waited for, and the first is heard.
  const Array b = a.to_device("fake:1");
  spoil();
  F::relu(Variable(b));
  refused(CTN_EDEVICE, {"fake:0: [relu]"}, [&] { check(ctn_synchronize(ctx.get())); });
  CHECK(control().pending == 0);
}

TEST_CASE("what a kernel finds wrong with its numbers comes later too") {
  const Context ctx = context("fake:1");
  const Variable x(Array::full({3, 2}, 1));
  const L::EmbedID embed(3, 2);
  embed(Variable(Array::of<int32_t>({0, 7}), false));
  refused(CTN_EINVAL, {"fake:1: [embed_id] ", "7"}, [&] { check(ctn_synchronize(ctx.get())); });
}

TEST_CASE("an error nobody waited for goes to the log, not to the next context") {
  const Reset reset;
  std::string logged;
  std::function<void(int, std::string_view, std::string_view)> log =
      [&](int, std::string_view topic, std::string_view text) {
        logged += std::string(topic) + ": " + std::string(text) + "\n";
      };
  {
    const Context ctx = context(ContextOptions{.device = "fake:2", .log = &log});
    const Variable x(Array::of<float>({1}));
    control().work_budget = 0;
    F::exp(x);
  }
  CHECK_MESSAGE(logged.find("fake:2: [exp] failed on request") != logged.npos, logged);
  const Context next = context("fake:2");
  CHECK(ctn_synchronize(next.get()) == CTN_OK);
}

TEST_CASE("arrays live on when their context is released, with work pending") {
  const int64_t blocks = control().blocks;
  Array left;
  {
    const Context ctx = context("fake:1");
    left = F::exp(Variable(Array::zeros({3}))).array();
    F::exp(Variable(Array::zeros({3000})));
  }
  CHECK(control().blocks > blocks);
  CHECK(control().pending > 0);
  CHECK(values(left) == Floats{1, 1, 1});
  left = Array();
  CHECK(control().blocks == blocks);
  CHECK(control().pending == 0);
}

TEST_CASE("memory of each device") {
  const Context ctx = context("fake");
  const int64_t taken = control().bytes;
  const auto stats = [&](const char* device) { return ctx.memory(device); };
  CHECK(stats("fake:0").held == 0);
  CHECK(stats("fake:0").total == stats("fake:0").free + static_cast<uint64_t>(taken));
  Array a = Array::zeros({1 << 18}), b = a.to_device("fake:1"), c = a.to_device("fake:1");
  CHECK(stats("fake:0").used == 1 << 20);
  CHECK(stats("fake:1").used == 2 << 20);
  CHECK(stats("fake:2").held == 0);
  b = Array();
  CHECK(stats("fake:1").used == 1 << 20);
  CHECK(stats("fake:1").cached == 1 << 20);
  CHECK(stats("fake:1").held == 2 << 20);
  CHECK(ctx.memory().used >= 2 << 20);
  CHECK(stats("cpu").held == 0);
  Context(ctx).trim();
  CHECK(stats("fake:1").held == 1 << 20);
  CHECK(stats("fake:1").cached == 0);
  CHECK(control().bytes == taken + (2 << 20));
  ctn_device_stats s{};
  CHECK(ctn_device_get_stats(ctx.get(), {CTN_DEV_CPU, 0}, &s) == CTN_EINVAL);  // size is 0
  s.size = sizeof s;
  CHECK(ctn_device_get_stats(ctx.get(), {CTN_DEV_CUDA, 0}, &s) == CTN_EDEVICE);
}

TEST_CASE("the limit holds for all devices together") {
  const Context ctx = context(ContextOptions{.device = "fake", .memory_limit = 4500000});
  const Array a = Array::zeros({1 << 19});
  const Array b = Array::zeros({1 << 18}).to_device("fake:1");
  refused(CTN_ENOMEM, {"out of memory: 2.0 MB asked for", "limit 4.5 MB"},
          [&] { a.to_device("fake:2"); });
}
