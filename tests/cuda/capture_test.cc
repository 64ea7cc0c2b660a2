// Steps captured once and done again, on any GPU, real or false: they give what the calls give, on
// memory that stays theirs, and what cannot be captured says so.
#include <catena/catena.hpp>

#include <thread>

#include "main.h"

using namespace catena;

namespace {

using Floats = std::vector<float>;

Floats counting(size_t n, size_t from = 0) {
  Floats out(n);
  for (size_t k = 0; k < n; ++k) out[k] = static_cast<float>((k * 5 + from) % 17) / 8 - 1;
  return out;
}

struct Net : Chain {
  L::Linear l1 = child("l1", L::Linear(12, 20, {.initialW = 0.05}));
  L::Linear l2 = child("l2", L::Linear(20, 6, {.initialW = 0.1}));
  Variable operator()(const Variable& x) const { return l2(F::tanh(l1(x))); }
};

struct Options {
  bool captured = false;
  ctn_dtype dtype = float32;
  double loss_scale = 0;
  bool drops = false;
};

// A model with its data: x is other numbers in every step.
class Training {
 public:
  explicit Training(const Options& options)
      : o_(options), ctx_(ContextOptions{.device = "cuda", .seed = 5}) {
    if (o_.dtype.bits != 32)
      for (auto& [path, p] : net.namedparams()) p.set_array(p.array().astype(o_.dtype));
    adam.setup(net);
    adam.use_fp32_update(o_.dtype.bits != 32);
    x = Variable(values(4 * 12, {4, 12}), false);
    t = Variable(values(4 * 6, {4, 6}), false);
  }

  void step() {
    net.cleargrads();
    const Variable y = o_.drops ? net(F::dropout(F::dropout(x), {.ratio = 0.3})) : net(x);
    loss = F::sum(F::square(y - t));
    loss.backward({.loss_scale = o_.loss_scale});
    adam.update();
  }
  // Losses and weights of some steps, the learning rate falling in between.
  std::vector<Floats> run() {
    std::vector<Floats> seen;
    step();
    Capture again;
    if (o_.captured) again = capture([&] { step(); });
    for (int k = 0; k < 6; ++k) {
      if (k == 3) adam.set_hyper("alpha", 0.01);
      if (k == 4) ctx_.seed(9);
      x.array().assign(values(4 * 12, {4, 12}, static_cast<size_t>(k)));
      if (o_.captured)
        again.replay();
      else
        step();
      seen.push_back(loss.array().astype(float32).to_vector<float>());
    }
    for (const auto& [path, p] : net.namedparams())
      seen.push_back(p.array().astype(float32).to_vector<float>());
    CHECK(adam.t() == 7);
    return seen;
  }

  Array values(size_t n, const Shape& shape, size_t from = 0) const {
    return Array::from<float>(counting(n, from), shape).astype(o_.dtype);
  }

 private:
  const Options o_;
  Context ctx_;

 public:
  Net net;
  optimizers::Adam adam;
  Variable x, t, loss;
};

// The failure of `body` while something is captured, which stays open and is thrown away.
std::string refused(const std::function<void()>& body) {
  Capturing capturing;
  try {
    body();
  } catch (const Unsupported& e) {
    return e.what();
  }
  return "nothing was refused";
}

}  // namespace

TEST_CASE("a captured step trains as its calls do, to the bit") {
  for (const ctn_dtype dtype : {float32, float16})
    for (const double scale : {0.0, 64.0}) {
      CAPTURE(static_cast<int>(dtype.bits));
      CAPTURE(scale);
      const auto want = Training({false, dtype, scale}).run();
      const auto got = Training({true, dtype, scale}).run();
      CHECK(got == want);
      CHECK(want[0] != want[5]);
    }
}

TEST_CASE("random numbers are those that the calls would have drawn") {
  const auto want = Training({.drops = true}).run();
  CHECK(Training({.captured = true, .drops = true}).run() == want);
  CHECK(Training({}).run() != want);
}

TEST_CASE("nothing is done before the first replay; each reads what its arrays hold by then") {
  Context ctx("cuda");
  const Array a = Array::full({1000}, 1), sum = Array::full({1000}, 0);
  const Capture c = capture([&] {
    const Variable y = Variable(a, false) * 2.0f + Variable(sum, false);
    Array(sum).assign(y.array());
  });
  CHECK(sum.to_vector<float>() == Floats(1000, 0));
  c.replay();
  c.replay();
  CHECK(sum.to_vector<float>() == Floats(1000, 4));
  Array(a).fill(5);
  c.replay();
  CHECK(sum.to_vector<float>() == Floats(1000, 14));
}

TEST_CASE("its memory is nobody else's, whatever becomes of the arrays") {
  Context ctx("cuda");
  Variable y;
  Capture c;
  {
    // Freed before the replay: `a` was there before, the rest lies in between.
    const Variable a(Array::full({30'000}, 3), false);
    c = capture([&] {
      Variable z = a;
      for (int k = 0; k < 8; ++k) z = z * 1.0f + 1.0f;
      y = z;
    });
  }
  const uint64_t reserved = ctx.memory("cuda").held;
  ctx.trim();
  std::vector<Array> others;
  for (int k = 0; k < 40; ++k) others.push_back(Array::full({30'000}, 100 + k));
  for (int round = 0; round < 3; ++round) {
    c.replay();
    CHECK(y.array().to_vector<float>() == Floats(30'000, 11));
  }
  for (int k = 0; k < 40; ++k)
    CHECK(others[static_cast<size_t>(k)].to_vector<float>() ==
          Floats(30'000, static_cast<float>(100 + k)));
  others.clear();
  c = Capture();
  CHECK(y.array().to_vector<float>() == Floats(30'000, 11));  // the array is still there
  y = Variable();
  ctx.trim();
  CHECK(ctx.memory("cuda").held < reserved);
  CHECK(ctx.memory("cuda").used == 0);
}

TEST_CASE("what lies in between is reused within the capture, as it is without one") {
  Context ctx("cuda");
  const Variable x(Array::full({1'000'000}, 1), false);
  const uint64_t before = ctx.memory("cuda").held;
  Variable y;
  const Capture c = capture([&] {
    y = x;
    for (int k = 0; k < 20; ++k) y = y + 1.0f;
  });
  CHECK(ctx.memory("cuda").held < before + 4 * 4'000'000);
  c.replay();
  CHECK(y.array().to_vector<float>()[7] == 21);
}

TEST_CASE("gradients are those of the capture again, also after they were cleared") {
  Training run({});
  run.step();
  const Capture c = capture([&] {
    run.net.cleargrads();
    F::sum(F::square(run.net(run.x) - run.t)).backward();
  });
  c.replay();
  const Variable w = run.net.namedparams()[0].second;
  const Floats want = w.grad().array().to_vector<float>();
  for (int k = 0; k < 3; ++k) {
    run.net.cleargrads();
    CHECK(!w.grad());
    c.replay();
    CHECK(w.grad().array().to_vector<float>() == want);
  }
}

TEST_CASE("what a replay would not do again is refused, by name") {
  Context ctx("cuda");
  const Variable x(Array::full({4, 3}, 1));
  const Variable ids(Array::of<int32_t>({0, 1}), false);
  F::relu(x);
  CHECK(refused([&] { x.array().to_vector<float>(); }) ==
        "a copy to the host: not while work on cuda:0 is captured, as a replay would not do it "
        "again");
  CHECK(refused([&] {
          Array::of<float>({1, 2});
        }).find("a copy from the host") != std::string::npos);
  CHECK(refused([&] { ctx.synchronize(); }).find("waiting for cuda:0") != std::string::npos);
  CHECK(refused([&] { x.array().view(); }).find("waiting for cuda:0") != std::string::npos);
  CHECK(refused([&] { x.array().to_device("cpu"); }).find("between devices") != std::string::npos);
  double number = 0;
  CHECK(refused([&] {
          check(ctn_random_draw(ctx.get(), CTN_RANDOM_UNIFORM, &number, 1));
        }).find("random numbers") != std::string::npos);
  const Array host = Array::full({3}, 1).to_device("cpu");
  CHECK(refused([&] {
          F::relu(Variable(host, false));
        }).find("relu runs on cpu:0, while this thread's work on cuda:0 is captured") !=
        std::string::npos);
  Training run({});
  run.step();
  CHECK(refused([&] {
          run.adam.update();
          F::exp(run.x);
        }).find("exp comes after an optimizer's update") != std::string::npos);
  CHECK(F::relu(x).array().to_vector<float>() == Floats(12, 1));
}

TEST_CASE("captures that are no captures") {
  Context ctx("cuda");
  const Variable x(Array::full({10}, 1), false);
  ctn_capture c = nullptr;
  CHECK(ctn_capture_end(ctx.get(), &c) == CTN_EINVAL);
  CHECK(ctn_capture_begin(nullptr, {CTN_DEV_CUDA, 0}) == CTN_EINVAL);
  CHECK(ctn_capture_begin(ctx.get(), {CTN_DEV_CUDA, 99}) == CTN_EDEVICE);
  CHECK(ctn_capture_end(ctx.get(), nullptr) == CTN_OK);  // nothing to be thrown away
  CHECK(ctn_capture_replay(nullptr) == CTN_EINVAL);
  ctn_capture_release(nullptr);
  const Capture once = capture([&] { F::relu(x); });
  {
    const Capturing first;
    CHECK_THROWS_WITH_AS(Capturing(), doctest::Contains("captures already"), InvalidArgument);
    CHECK_THROWS_WITH_AS(once.replay(), doctest::Contains("a replay: not while"), Unsupported);
  }
  capture([] {}).replay();  // nothing, done again
  ctn_capture_retain(once.get());
  Capture(once.get()).replay();
  const Context cpu("cpu");
  CHECK_THROWS_WITH_AS(Capturing(), doctest::Contains("backend 'cpu' captures no work"),
                       Unsupported);
}

TEST_CASE("other threads' work is done meanwhile, not captured") {
  Context ctx("cuda");
  const Array count = Array::full({500}, 0);
  Capture c;
  {
    Capturing capturing;
    Array(count).assign((Variable(count, false) + 1.0f).array());
    std::thread([&] {
      ctx.make_current();
      Variable y(Array::full({500}, 1), false);
      for (int k = 0; k < 10; ++k) y = y + 1.0f;
      CHECK(y.array().to_vector<float>() == Floats(500, 11));
    }).join();
    c = capturing.end();
  }
  for (int k = 0; k < 5; ++k) c.replay();
  CHECK(count.to_vector<float>() == Floats(500, 5));
}

TEST_CASE("a capture outlives its context's other handles; two share a context") {
  Array out;
  Capture first, second;
  {
    const Context ctx("cuda");
    const Array a = Array::full({100}, 2);
    out = Array::full({100}, 0);
    first = capture([&] { Array(out).assign((Variable(a, false) * 3.0f).array()); });
    second = capture([&] { Array(out).assign((Variable(out, false) + 1.0f).array()); });
  }
  first.replay();
  second.replay();
  second.replay();
  CHECK(out.to_vector<float>() == Floats(100, 8));
  first = Capture();
  second.replay();
  CHECK(out.to_vector<float>() == Floats(100, 9));
}
