// cpu and intel64 in one context: two devices over one memory, told apart, whose arrays meet in a
// call; models that move between them; and what use_ideep does to either.
#include <catena/catena.hpp>

#include <cstdlib>
#include <functional>
#include <set>
#include <string>

#include "support.h"

using namespace catena;
using namespace intel64_test;

namespace {

ctn_device device(const Context& ctx, const char* name) {
  ctn_device d{};
  check(ctn_device_find(ctx.get(), detail::str(name), &d));
  return d;
}
ctn_device own_device(const Context& ctx) {
  ctn_device d{};
  check(ctn_context_device(ctx.get(), &d, nullptr));
  return d;
}
bool same(ctn_device a, ctn_device b) { return a.type == b.type && a.id == b.id; }
bool is_on(const Array& a, const Context& ctx, const char* name) {
  return same(a.spec().device, device(ctx, name));
}

// Which backend's kernel of an op ran, as the log says: "convolution_2d intel64".
struct Kernels {
  std::set<std::string> ran;
  std::function<void(int, std::string_view, std::string_view)> log =
      [this](int, std::string_view topic, std::string_view text) {
        const size_t colon = text.find(": "), priority = text.find(" priority ");
        if (topic == "kernel" && text.ends_with(" runs") && priority != text.npos)
          ran.insert(std::string(text.substr(0, colon)) + " " +
                     std::string(text.substr(colon + 2, priority - colon - 2)));
      };
  Context context(const char* name) {
    return Context(ContextOptions{
        .device = name, .threads = 1, .seed = 3, .log = &log, .log_level = CTN_LOG_DEBUG});
  }
};

struct Net : Chain {
  L::Convolution2D c1 = child("c1", L::Convolution2D(16, 32, 3, {.pad = 1}));
  L::BatchNormalization b1 = child("b1", L::BatchNormalization(32));
  L::Linear out = child("out", L::Linear(32 * 36, 10));
  Net() {
    uint32_t seed = 50;
    for (auto& [path, p] : namedparams()) p.set_array(filled(p.shape(), seed++).array());
  }
  Variable operator()(const Variable& x) const {
    return out(F::max_pooling_2d(F::relu(b1(c1(x))), 2));
  }
};

Floats weights(const Link& net) {
  Floats all;
  for (const auto& [path, p] : net.namedparams())
    for (const float f : p.array().to_vector<float>()) all.push_back(f);
  return all;
}

// Two steps; `move` before each of them.
Floats trained(const Context& ctx, const std::function<void(Net&, int)>& move) {
  ctx.make_current();
  Net net;
  optimizers::MomentumSGD sgd({.lr = 0.05});
  sgd.setup(net);
  const Variable t(Array::from(std::vector<int32_t>{1, 2, 3, 4}, {4}), false);
  for (int step = 0; step < 2; ++step) {
    move(net, step);
    net.cleargrads();
    F::softmax_cross_entropy(net(filled({4, 16, 12, 12}, 60)), t).backward();
    sgd.update();
  }
  return weights(net);
}

}  // namespace

TEST_CASE("devices over one memory are told apart") {
  for (const char* first : {"cpu", "intel64"}) {
    INFO(std::string(first));
    const Context ctx(first);
    const ctn_device cpu = device(ctx, "cpu"), intel64 = device(ctx, "intel64");
    CHECK(cpu.type == CTN_DEV_CPU);
    CHECK(intel64.type == CTN_DEV_CPU);
    CHECK(cpu.id == 0);
    CHECK(intel64.id == CTN_DEV_NEXT);
    CHECK(same(own_device(ctx), device(ctx, first)));
    const Array a = Array::from(numbers({2, 3}, 1), {2, 3});
    CHECK(is_on(a, ctx, first));
    const Array there = a.to_device("intel64"), back = there.to_device("cpu");
    CHECK(is_on(there, ctx, "intel64"));
    CHECK(is_on(back, ctx, "cpu"));
    CHECK(there.to_device("intel64").get() == there.get());
    CHECK(back.to_vector<float>() == a.to_vector<float>());
    CHECK((there.get() == a.get()) == (first == std::string("intel64")));
    ctn_array made = nullptr;
    const int64_t three = 3;
    check(ctn_array_new_on(ctx.get(), intel64, {CTN_DT_FLOAT, 32, 1}, 1, &three, &made));
    CHECK(is_on(Array(made), ctx, "intel64"));
    // Nobody else's numbers.
    ctn_array missing = nullptr;
    CHECK(ctn_array_to_device(a.get(), {CTN_DEV_CPU, 1}, &missing) == CTN_EDEVICE);
    CHECK(ctn_array_to_device(a.get(), {CTN_DEV_CPU, CTN_DEV_NEXT + 1}, &missing) == CTN_EDEVICE);
    CHECK(ctn_array_to_device(a.get(), {CTN_DEV_CPU, 9 * CTN_DEV_NEXT}, &missing) == CTN_EDEVICE);
    CHECK(ctn_array_to_device(a.get(), {CTN_DEV_CPU, -1}, &missing) == CTN_EDEVICE);
  }
}

TEST_CASE("a device that nobody opened yet is opened by its number") {
  const Context ctx("intel64");
  const Array a = Array::full({2}, 1);
  ctn_array there = nullptr;
  check(ctn_array_to_device(a.get(), {CTN_DEV_CPU, 0}, &there));
  CHECK(is_on(Array(there), ctx, "cpu"));
}

TEST_CASE("DLPack does not hear of it") {
  const Context ctx("intel64");
  const Array a = Array::from(numbers({4}, 1), {4});
  ctn_dlpack* t = nullptr;
  check(ctn_array_to_dlpack(a.get(), &t));
  CHECK(t->dl_tensor.device.type == CTN_DEV_CPU);
  CHECK(t->dl_tensor.device.id == 0);
  ctn_array back = nullptr;
  check(ctn_array_from_dlpack(ctx.get(), t, &back));
  CHECK(is_on(Array(back), ctx, "intel64"));  // the context's own device
}

TEST_CASE("data in blocks moves, and so do views of it") {
  const Context ctx("intel64");
  const Variable x = filled({2, 16, 12, 12}, 1), w = filled({16, 16, 3, 3}, 2);
  const Array y = F::convolution_2d(x, w, {.pad = 1}).array();
  const Floats values = y.to_vector<float>();
  const Array fresh = F::convolution_2d(x, w, {.pad = 1}).array();
  CHECK(fresh.to_device("cpu").to_vector<float>() == values);
  CHECK(fresh.to_device("cpu").to_device("intel64").to_vector<float>() == values);
  const Array part =
      F::convolution_2d(x, w, {.pad = 1}).array().strided({16, 12}, {144, 1}, 144).to_device("cpu");
  for (size_t c = 0; c < 16; ++c) CHECK(part.to_vector<float>()[c * 12] == values[c * 144 + 144]);
}

TEST_CASE("arrays of both meet in a call: intel64 computes") {
  Kernels kernels;
  const Context ctx = kernels.context("intel64");
  const Variable x = filled({2, 16, 12, 12}, 1), w = filled({16, 16, 3, 3}, 2);
  const Floats all = F::convolution_2d(x, w, {.pad = 1}).array().to_vector<float>();
  const Variable cpu_x(x.array().to_device("cpu")), cpu_w(w.array().to_device("cpu"));
  kernels.ran.clear();
  for (const auto& [a, b] : {std::pair(cpu_x, w), std::pair(x, cpu_w)}) {
    Variable y = F::convolution_2d(a, b, {.pad = 1});
    CHECK(is_on(y.array(), ctx, "intel64"));
    CHECK(kernels.ran.count("convolution_2d intel64") == 1);
    CHECK(y.array().to_vector<float>() == all);
    const Variable sum = F::relu(y) + Variable(Array::from(all, y.shape()).to_device("cpu"));
    CHECK(is_on(sum.array(), ctx, "intel64"));
    CHECK(sum.array().to_vector<float>()[7] == std::max(all[7], 0.0f) + all[7]);
    y.set_grad(Variable(Array::full(y.shape(), 1).to_device("cpu")));
    y.backward();
    CHECK(a.grad().array().to_vector<float>().size() == a.array().to_vector<float>().size());
    CHECK(b.grad().array().to_vector<float>()[0] != 0);
  }
  kernels.ran.clear();
  const Variable y = F::convolution_2d(cpu_x, cpu_w, {.pad = 1});  // both on cpu: nothing of ours
  CHECK(is_on(y.array(), ctx, "cpu"));
  CHECK(kernels.ran.count("convolution_2d cpu") == 1);
  Array to = Array::zeros({2, 16, 12, 12});
  to.assign(cpu_x.array());
  CHECK(to.to_vector<float>() == cpu_x.array().to_vector<float>());
}

TEST_CASE("a model moves to intel64 and back, also between steps") {
  const Context ctx("intel64");
  const auto stay = [](Net&, int) {};
  const Floats here = trained(Context("cpu"), stay), there = trained(ctx, stay);
  CHECK(distance(there, here) < 1e-4);
  const Context cpu("cpu");
  const Floats moved = trained(cpu, [&](Net& net, int step) {
    check(ctn_config_set(cpu.get(), detail::str("use_ideep"), nullptr));
    if (step == 0) net.to_intel64();
    if (step == 1) net.to_cpu();
    const char* on = step == 0 ? "intel64" : "cpu";
    for (const auto& [path, p] : net.namedparams()) CHECK(is_on(p.array(), cpu, on));
  });
  CHECK(distance(moved, here) < 1e-4);
}

TEST_CASE("a link moved in C, its persistent values too; what is not made yet is made there") {
  const Context ctx("cpu");
  Net net;
  L::Linear late(5);  // without a size of its inputs
  check(ctn_link_to_device(net.get(), device(ctx, "intel64")));
  late.to_intel64();
  CHECK(is_on(net.b1.persistent("avg_mean"), ctx, "intel64"));
  late(Variable(Array::full({2, 3}, 1)));
  CHECK(is_on(late.param("W").array(), ctx, "intel64"));
  check(ctn_link_to_device(net.get(), device(ctx, "cpu")));
  CHECK(is_on(net.b1.persistent("avg_mean"), ctx, "cpu"));
  CHECK_THROWS_AS(net.to_gpu(99), const Error&);
}

TEST_CASE("use_ideep never: the kernels of cpu, bit by bit") {
  Kernels kernels;
  std::vector<Floats> all;
  for (const char* name : {"cpu", "intel64"}) {
    const Context ctx = kernels.context(name);
    const using_config never("use_ideep", "never");
    kernels.ran.clear();
    all.push_back(trained(ctx, [](Net&, int) {}));
    for (const std::string& k : kernels.ran) {
      INFO(k);
      CHECK(!k.ends_with(" intel64"));
    }
    CHECK(kernels.ran.count("convolution_2d cpu") == 1);
  }
  CHECK(all[0] == all[1]);
}

TEST_CASE("use_ideep is auto in contexts made on intel64, else never") {
  const auto text = [](const Context& ctx) {
    return std::get<std::string>(config("use_ideep", ctx.get()));
  };
  CHECK(text(Context("intel64")) == "auto");
  const Context cpu("cpu");
  CHECK(text(cpu) == "never");
  device(cpu, "intel64");
  CHECK(text(cpu) == "never");
  setenv("CHAINER_USE_IDEEP", "never", 1);
  CHECK(text(Context("intel64")) == "never");
  unsetenv("CHAINER_USE_IDEEP");
}

TEST_CASE("use_ideep auto or always on cpu: calls run on intel64") {
  for (const char* value : {"auto", "always"}) {
    INFO(std::string(value));
    Kernels kernels;
    const Context ctx = kernels.context("cpu");
    const Floats plain = trained(ctx, [](Net&, int) {});
    CHECK(kernels.ran.count("convolution_2d intel64") == 0);
    Floats ours;
    {
      const using_config scope("use_ideep", value);
      ours = trained(ctx, [](Net&, int) {});
      CHECK(is_on(F::convolution_2d(filled({2, 16, 9, 9}, 1), filled({16, 16, 3, 3}, 2)).array(),
                  ctx, "intel64"));
    }
    CHECK(kernels.ran.count("convolution_2d intel64") == 1);
    CHECK(kernels.ran.count("batch_norm intel64") == 1);
    CHECK(distance(ours, plain) < 1e-4);
    CHECK(is_on(F::convolution_2d(filled({2, 16, 9, 9}, 1), filled({16, 16, 3, 3}, 2)).array(), ctx,
                "cpu"));
  }
  setenv("CHAINER_USE_IDEEP", "auto", 1);
  Kernels kernels;
  trained(kernels.context("cpu"), [](Net&, int) {});
  CHECK(kernels.ran.count("convolution_2d intel64") == 1);
  unsetenv("CHAINER_USE_IDEEP");
}
