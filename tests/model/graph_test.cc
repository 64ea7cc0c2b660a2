// The graph as a whole: very long chains, the demo network on any number of threads, gradients
// against finite differences through several ops, and what backward keeps and frees.
#include <catena/catena.hpp>

#include <cmath>

#include "main.h"

using namespace catena;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr int64_t kChain = 100'000;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr int64_t kChain = 100'000;
#else
constexpr int64_t kChain = 10'000'000;
#endif
#else
constexpr int64_t kChain = 10'000'000;
#endif
constexpr int kSteps = kChain > 1'000'000 ? 200 : 5;

struct Convnet : Chain {
  L::Convolution2D conv1 = child("conv1", L::Convolution2D(1, 16, 3, {.pad = 1}));
  L::Convolution2D conv2 = child("conv2", L::Convolution2D(16, 32, 3, {.pad = 1}));
  L::Linear fc1 = child("fc1", L::Linear(none, 128));
  L::Linear fc2 = child("fc2", L::Linear(128, 10));

  Variable operator()(const Variable& x) const {
    Variable h = F::max_pooling_2d(F::relu(conv1(x)), 2);
    h = F::max_pooling_2d(F::relu(conv2(h)), 2);
    return fc2(F::dropout(F::relu(fc1(h)), {.ratio = 0.3}));
  }
};

// All weights after some steps on made-up images.
std::vector<float> trained(int threads, int steps) {
  const Context ctx(ContextOptions{.threads = threads, .seed = 5});
  Convnet model;
  optimizers::Adam optimizer;
  optimizer.setup(model);
  uint64_t state = 1;
  const auto next = [&] {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(state >> 40) / static_cast<float>(1 << 24);
  };
  for (int i = 0; i < steps; ++i) {
    std::vector<float> x(20 * 28 * 28);
    std::vector<int32_t> t(20);
    for (float& v : x) v = next();
    for (int32_t& v : t) v = static_cast<int32_t>(next() * 10);
    const Variable y = model(Variable(Array::from(x, {20, 1, 28, 28}), false));
    const Variable loss = F::softmax_cross_entropy(y, Variable(Array::from(t, {20}), false));
    model.cleargrads();
    loss.backward();
    optimizer.update();
  }
  std::vector<float> all;
  for (const auto& [path, p] : model.namedparams())
    for (float v : p.array().to_vector<float>()) all.push_back(v);
  return all;
}

Variable doubles(const std::vector<double>& v, const Shape& shape) {
  return Variable(Array::from(v, shape));
}

}  // namespace

TEST_CASE("a chain of millions is built, run backward and freed without recursion or leak") {
  const Context ctx("cpu");
  {
    const Variable x(Array::of<float>({1.5f}));
    const uint64_t used = ctx.memory().used;
    Variable h = x;
    for (int64_t i = 0; i < kChain; ++i) h = F::relu(h);
    h.backward();
    CHECK(x.grad().array().to_vector<float>()[0] == 1.0f);
    h = Variable();
    Variable(x).cleargrad();
    CHECK(ctx.memory().used == used);
  }
  CHECK(ctx.memory().used == 0);
}

TEST_CASE("the demo network gives the same bits on 1, 2, 3 and 8 threads") {
  const std::vector<float> one = trained(1, kSteps);
  for (int threads : {2, 3, 8}) CHECK(trained(threads, kSteps) == one);
}

TEST_CASE("gradients of a small network agree with finite differences, twice") {
  const Context ctx("cpu");
  std::vector<double> x(2 * 2 * 4 * 4), w(3 * 2 * 3 * 3);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<double>(i));
  for (size_t i = 0; i < w.size(); ++i) w[i] = std::cos(static_cast<double>(i) * 0.7) * 0.3;
  const auto loss = [&](const Variable& a, const Variable& b) {
    return F::sum(F::tanh(F::convolution_2d(a, b, {.pad = 1})) * 0.5);
  };
  // d/dw of the sum of squared input gradients checks the second derivative.
  const auto second = [&](const Variable& a, const Variable& b) {
    return F::sum(F::square(grad({loss(a, b)}, {a}, true)[0]));
  };
  const Variable vx = doubles(x, {2, 2, 4, 4}), vw = doubles(w, {3, 2, 3, 3});
  const std::vector<double> first = grad({loss(vx, vw)}, {vw})[0].array().to_vector<double>();
  const std::vector<double> again = grad({second(vx, vw)}, {vw})[0].array().to_vector<double>();
  for (size_t k = 0; k < w.size(); k += 5) {
    constexpr double kStep = 1e-5;
    const auto at = [&](double v, auto f) {
      std::vector<double> moved = w;
      moved[k] += v;
      return f(vx, doubles(moved, {3, 2, 3, 3})).item();
    };
    CHECK(first[k] ==
          doctest::Approx((at(kStep, loss) - at(-kStep, loss)) / (2 * kStep)).epsilon(1e-6));
    CHECK(again[k] ==
          doctest::Approx((at(kStep, second) - at(-kStep, second)) / (2 * kStep)).epsilon(1e-5));
  }
}

TEST_CASE("gradients accumulate, clear to none, and backward without history does nothing") {
  const Context ctx("cpu");
  Variable x(Array::of<float>({2, 3}));
  x.backward();
  CHECK(!x.grad());
  for (int i = 1; i <= 3; ++i) {
    F::sum(x * x).backward();
    CHECK(x.grad().array().to_vector<float>() ==
          std::vector<float>{4.0f * static_cast<float>(i), 6.0f * static_cast<float>(i)});
  }
  x.cleargrad();
  CHECK(!x.grad());
  CHECK_THROWS_AS((x * x).backward(), GradError);
}

TEST_CASE("a failing step names the op and leaves earlier gradients") {
  const Context ctx("cpu");
  const Variable x(Array::of<float>({1, 2})), y(Array::of<float>({1, 2, 3}));
  F::sum(x).backward();
  CHECK_THROWS_WITH_AS(x + y,
                       "Invalid operation is performed in: _ + _ (Forward)\n\n"
                       "Expect: in_types[0].shape == in_types[1].shape\nActual: (2,) != (3,)",
                       ShapeError);
  CHECK(x.grad().array().to_vector<float>() == std::vector<float>{1, 1});
}

TEST_CASE("debug mode finds NaN where it arises") {
  const Context ctx("cpu");
  const using_config debug("debug", true);
  const Variable x(Array::of<float>({1, -1}));
  CHECK_THROWS_AS(F::log(x), NanError);
}
