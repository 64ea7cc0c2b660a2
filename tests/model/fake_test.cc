// Several devices in one process, on one whose memory cannot be read and whose work waits: arrays,
// gradients across devices, models that move or lie on two of them.
#include "fake.h"

using namespace catena;
using namespace fake_test;

namespace {

using Floats = std::vector<float>;

struct Net : Chain {
  L::Convolution2D conv = child("conv", L::Convolution2D(1, 3, 3, {.pad = 1}));
  L::BatchNormalization bn = child("bn", L::BatchNormalization(3));
  L::Linear fc = child("fc", L::Linear(none, 4));

  Variable body(const Variable& x) const { return F::max_pooling_2d(F::relu(bn(conv(x))), 2); }
  Variable operator()(const Variable& x) const { return fc(F::dropout(body(x))); }
};

Array images() {
  Floats x(2 * 36);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7) - 3;
  return Array::from(x, {2, 1, 6, 6});
}
Variable labels() { return Variable(Array::of<int32_t>({1, 3}), false); }

Floats all_params(const Link& net) {
  Floats all;
  for (const auto& [path, p] : net.namedparams())
    for (const float v : values(p)) all.push_back(v);
  return all;
}

void step(Net& net, optimizers::Adam& adam, const Variable& x, const Variable& t) {
  net.cleargrads();
  F::softmax_cross_entropy(net(x), t).backward();
  adam.update();
}

// Parameters after some steps on one device, which may be left for another in between.
Floats trained(const char* device, const char* then = nullptr) {
  const Context ctx = context(device);
  Net net;
  optimizers::Adam adam;
  adam.setup(net);
  Variable x(images(), false), t = labels();
  for (int k = 0; k < 4; ++k) {
    if (k == 2 && then) {
      net.to_device(then);
      x = Variable(x.array().to_device(then), false);
      t = Variable(t.array().to_device(then), false);
    }
    step(net, adam, x, t);
  }
  if (then) {
    CHECK(device_of(adam.state("fc/W", "m")) == device_of(x));
    CHECK(device_of(net.persistent("bn/avg_mean")) == device_of(x));
  }
  return all_params(net);
}

}  // namespace

TEST_CASE("expressions and kernels run on the device, when somebody waits") {
  const Context ctx = context("fake:1");
  CHECK(ctx.backend() == "fake");
  CHECK(ctx.device_name() == "fake device");
  const Variable x(Array::from<float>({-1, 2, 3, -4}, {2, 2}));
  CHECK(device_of(x) == 1);
  const int64_t launches = control().launches, kernels = control().kernels;
  const Variable y = F::sum(F::square(F::relu(x)), {.axis = 1});
  const Variable p = F::softmax(Variable(Array::zeros({1, 2})));
  CHECK(control().launches > launches);
  CHECK(control().kernels > kernels);
  CHECK(control().pending > 0);
  CHECK(x.shape() == Shape{2, 2});  // waits for nothing
  CHECK(control().pending > 0);
  CHECK(values(y) == Floats{4, 9});
  CHECK(control().pending == 0);
  F::sum(y).backward();
  CHECK(values(x.grad()) == Floats{0, 4, 6, 0});
  CHECK(values(p) == Floats{0.5, 0.5});
}

TEST_CASE("arrays move between devices and host memory") {
  const Context ctx = context("fake");
  const Array a = Array::from<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  const int64_t between = control().copies_between, out = control().copies_out;
  const Array b = a.to_device("fake:2");
  CHECK(device_of(b) == 2);
  CHECK(control().copies_between == between + 1);
  CHECK(control().copies_out == out);  // straight from device to device
  CHECK(values(b) == Floats{1, 2, 3, 4, 5, 6});
  CHECK(b.to_device("fake:2").get() != nullptr);
  CHECK(control().copies_between == between + 1);  // it was there
  const Array turned = a.strided({3, 2}, {1, 3}).to_device("fake:1");
  CHECK(values(turned) == Floats{1, 4, 2, 5, 3, 6});
  // Host memory is written when it is handed over, not when the device gets to it.
  const Array host = a.to_device("cpu");
  CHECK(host.view().device.type == CTN_DEV_CPU);
  CHECK(static_cast<const float*>(host.spec().data) == nullptr);
  CHECK(static_cast<const float*>(host.view().data)[5] == 6);
  const Array back = host.to_device("fake:1");
  const_cast<float*>(static_cast<const float*>(host.view().data))[5] = 60;
  CHECK(values(back) == Floats{1, 2, 3, 4, 5, 6});
  CHECK(Array::zeros({0, 3}).to_device("fake:1").shape() == Shape{0, 3});
}

TEST_CASE("a copy between devices comes before what follows on either") {
  const Context ctx = context("fake");
  Array a = Array::full({1000}, 1);
  std::vector<Array> seen;
  for (int k = 0; k < 20; ++k) {
    seen.push_back(a.to_device(k % 2 ? "fake:1" : "fake:2"));
    a.fill(k + 2);            // overwrites what the other device has yet to read
    Array::full({1000}, -1);  // as does memory that is used again
  }
  for (int k = 19; k >= 0; --k)
    CHECK(values(seen[static_cast<size_t>(k)]) == Floats(1000, static_cast<float>(k + 1)));
}

TEST_CASE("devices are counted, named and described; a variable moves with its gradient") {
  const Context ctx = context("fake:1");
  CHECK(ctx.device_count("fake") == 3);
  CHECK(ctx.device_count("cpu") == 1);
  Variable x(Array::of<float>({1, 2, 3}));
  CHECK(x.array().device() == "fake:1");
  F::sum(x * x).backward();
  x.to_device("fake:2");
  CHECK(x.array().device() == "fake:2");
  CHECK(x.grad().array().device() == "fake:2");
  CHECK(values(x.grad()) == Floats{2, 4, 6});
  F::sum(x).backward();  // goes on there
  CHECK(values(x.grad()) == Floats{3, 5, 7});
  x.to_device("cpu");
  CHECK(values(x) == Floats{1, 2, 3});
  CHECK(x.grad().array().device() == "cpu:0");
  refused(CTN_EDEVICE, {"'fake:9' does not exist"}, [&] { x.to_device("fake:9"); });
  CHECK(x.array().device() == "cpu:0");
  refused(CTN_EUNSUPPORTED, {"device fake:1: backend 'fake' captures no work"},
          [] { const Capturing capturing; });
}

TEST_CASE("copy: gradients of two orders go back to where the input is") {
  const Context ctx = context("fake");
  const Variable x(Array::of<float>({1, 2, 3}));
  ctn_device third{};
  check(ctn_device_find(ctx.get(), detail::str("fake:2"), &third));
  for (const Value& dst : {Value(2), Value("fake:2"), Value(third)}) {
    const Variable y = F::copy(x, dst);
    CHECK(device_of(y) == 2);
    const Variable z = F::sum(y * y * y);
    CHECK(device_of(z) == 2);
    const Variable gx = grad({z}, {x}, true)[0];
    CHECK(device_of(gx) == 0);
    CHECK(values(gx) == Floats{3, 12, 27});
    const Variable ggx = grad({F::sum(gx)}, {x})[0];
    CHECK(device_of(ggx) == 0);
    CHECK(values(ggx) == Floats{6, 12, 18});
  }
  F::sum(F::copy(x, 1)).backward();
  F::sum(F::copy(x, 2)).backward();
  CHECK(values(x.grad()) == Floats{2, 2, 2});
}

TEST_CASE("copy: host memory is -1, the same device gives a new array") {
  const Context ctx = context("fake:1");
  const Variable x(Array::of<float>({1, 2}));
  const Variable host = F::copy(x, -1);
  CHECK(host.array().view().device.type == CTN_DEV_CPU);
  CHECK(values(host) == Floats{1, 2});
  const Variable back = F::copy(F::copy(host, -1), 0);  // the context's backend has the numbers
  CHECK(back.array().spec().device.type == CTN_DEV_EXTENSION);
  CHECK(device_of(back) == 0);
  F::sum(back * back).backward();
  CHECK(device_of(x.grad()) == 1);
  CHECK(values(x.grad()) == Floats{2, 4});
  const Variable same = F::copy(x, 1);
  same.array().fill(5);
  CHECK(values(x) == Floats{1, 2});
  refused(CTN_EDEVICE, {"device 'fake:3' does not exist: backend 'fake' has 3 devices"},
          [&] { F::copy(x, 3); });
  refused(CTN_EINVAL, {"copy: there is no device -2"}, [&] { F::copy(x, -2); });
  refused(CTN_ENOTFOUND, {"backend 'nowhere'"}, [&] { F::copy(x, "nowhere:1"); });
}

TEST_CASE("copy: on the cpu, numbers are those of cuda") {
  const Context ctx("cpu");
  const Variable x(Array::of<float>({1, 2}));
  CHECK(values(F::copy(x, -1)) == Floats{1, 2});
  CHECK(F::copy(x, -1).get() != x.get());
  CHECK_THROWS_AS(F::copy(x, 4000), Error);  // whether there is no cuda, or no such device
}

TEST_CASE("training gives the cpu's bits, on one device and on two after one another") {
  const Floats expected = trained("cpu");
  CHECK(trained("fake") == expected);
  CHECK(trained("fake", "fake:2") == expected);
  CHECK(trained("cpu", "fake:1") == expected);
  CHECK(trained("fake:1", "cpu") == expected);
}

TEST_CASE("a model that lies on two devices") {
  const auto run = [](const char* first, const char* second) {
    const Context ctx = context(first);
    Net net;
    optimizers::Adam adam;
    adam.setup(net);
    net.fc.to_device(second);  // its weights are not made yet: they will be, there
    const Variable x(images(), false);
    const Variable t(labels().array().to_device(second), false);
    for (int k = 0; k < 3; ++k) {
      net.cleargrads();
      F::softmax_cross_entropy(net.fc(F::copy(net.body(x), second)), t).backward();
      adam.update();
    }
    CHECK(net.param("fc/W").array().spec().device.id == t.array().spec().device.id);
    CHECK(device_of(net.param("conv/W")) == device_of(x));
    return all_params(net);
  };
  CHECK(run("fake", "fake:1") == run("cpu", "cpu"));
  CHECK(run("fake:2", "cpu") == run("cpu", "cpu"));
}

TEST_CASE("inputs on different devices: the text names the op and both") {
  const Context ctx = context("fake");
  Variable x(Array::full({2, 3}, 1));
  const Variable there(Array::full({2, 3}, 1).to_device("fake:1"));
  refused(CTN_EINVAL, {"inputs are on different devices: fake:0 and fake:1"}, [&] { x + there; });
  refused(CTN_EINVAL, {"[concat] inputs are on different devices: fake:0 and fake:1"}, [&] {
    F::concat({x, there});
  });
  const L::Linear linear(3, 2);
  refused(CTN_EINVAL,
          {"[linear] inputs are on different devices: fake:1 and fake:0", "In the link Linear"},
          [&] { linear(there); });
  Array a = x.array();
  refused(CTN_EINVAL, {"cannot assign an array on fake:1 to one on fake:0"},
          [&] { a.assign(there.array()); });
  refused(CTN_EINVAL, {"gradient is on device fake:1, the variable on fake:0"},
          [&] { x.set_grad(there); });
  refused(CTN_EINVAL, {"gradient is on device fake:1, the variable on fake:0"},
          [&] { x.add_grad(there); });
  CHECK(!x.grad());
}

TEST_CASE("what ops make beside their inputs is where the inputs are") {
  const Context ctx = context("fake");
  const Variable x(Array::from<float>({1, 2, 3, 4, 5, 6}, {2, 3}).to_device("fake:2"));
  const Variable rows = F::get_item(x, {Array::of<int32_t>({1, 0, 1})});
  CHECK(device_of(rows) == 2);
  CHECK(values(rows) == Floats{4, 5, 6, 1, 2, 3, 4, 5, 6});
  CHECK(values(F::repeat(x, 2, {.axis = 1})).size() == 12);
  const L::BatchNormalization plain(3, {.use_gamma = false, .use_beta = false, .finetune = true});
  L::BatchNormalization(plain).to_device("fake:2");
  CHECK(device_of(plain(x)) == 2);
  CHECK(device_of(plain.persistent("N")) == 2);
  optimizers::SGD sgd;
  const L::Linear linear(3, 2);
  L::Linear(linear).to_device("fake:2");
  sgd.setup(linear);
  sgd.add_hook(hooks::GradientNoise(0.1));
  F::sum(linear(x)).backward();
  sgd.update();
  CHECK(device_of(linear.param("W")) == 2);
}

TEST_CASE("models are saved from a device and loaded to another") {
  const std::string path = std::string(std::getenv("TMPDIR") ? std::getenv("TMPDIR") : "/tmp") +
                           "/catena-fake-" + std::to_string(getpid()) + ".npz";
  Floats saved;
  {
    const Context ctx = context("fake:1");
    Net net;
    net(Variable(images(), false));
    serializers::save_npz(path, net);
    saved = all_params(net);
  }
  for (const char* device : {"cpu", "fake:2"}) {
    const Context ctx = context(device);
    Net net;
    serializers::load_npz(path, net);
    CHECK(all_params(net) == saved);
  }
  std::remove(path.c_str());
}

TEST_CASE("DLPack: an export of device memory comes back as it is") {
  const Context ctx = context("fake:1");
  const Array a = Array::of<float>({1, 2, 3});
  Dlpack out = a.to_dlpack();
  CHECK(control().pending == 0);  // whoever takes it knows nothing of our queues
  const Array same = Array::from_dlpack(std::move(out));
  CHECK(device_of(same) == 1);
  same.to_device("fake:1");
  CHECK(values(same) == Floats{1, 2, 3});
  CHECK(same.spec().device.type == CTN_DEV_EXTENSION);
}
