// Backward as Chainer's: what is scaled, kept, cleared and passed on; and many threads at once over
// shared variables.
#include <catena/catena.hpp>

#include <atomic>
#include <cmath>
#include <thread>

#include "main.h"

using namespace catena;

namespace {

using Floats = std::vector<float>;

Floats values(const Variable& v) { return v.array().to_vector<float>(); }
Floats grad_values(const Variable& v) { return v.grad() ? values(v.grad()) : Floats{}; }
Variable var(const Floats& v) { return Variable(Array::from(v, {static_cast<int64_t>(v.size())})); }

}  // namespace

TEST_CASE("grad() starts from ones where it is given nothing") {
  const Context ctx("cpu");
  const Variable x = var({1, 2, 3});
  CHECK(values(grad({x * x}, {x})[0]) == Floats{2, 4, 6});
  CHECK(!x.grad());
}

TEST_CASE("the loss scale is of the gradient that backward makes") {
  const Context ctx("cpu");
  Variable x = var({3});
  const Variable y = x * x;
  for (int i = 0; i < 2; ++i) {
    y.backward({.loss_scale = 8});
    CHECK(grad_values(x) == Floats{48});
    x.cleargrad();
    Variable(y).cleargrad();
  }
  const Variable z = F::concat({x * x, x}, {.axis = 0});
  Variable(z).set_grad(var({1, 1}));
  z.backward({.loss_scale = 8});
  CHECK(grad_values(x) == Floats{7});
}

TEST_CASE("gradients between are kept where that is asked for, and go otherwise") {
  const Context ctx("cpu");
  Variable x = var({3});
  const Variable h = x * x, y = h * h;
  y.backward({.retain_grad = true});
  CHECK(grad_values(h) == Floats{18});
  CHECK(grad_values(y) == Floats{1});
  y.backward();
  CHECK(!h.grad());
  CHECK(grad_values(y) == Floats{1});
}

TEST_CASE("an output that nothing reaches passes on the gradient it has") {
  const Context ctx("cpu");
  Variable x = var({1, 2, 3, 4});
  std::vector<Variable> parts = F::split_axis(x, 2, 0);
  parts[0].set_grad(var({1, 1}));
  parts[1].set_grad(var({2, 2}));
  parts[0].backward();
  CHECK(grad_values(x) == Floats{1, 1, 2, 2});
  CHECK(!parts[1].grad());
  CHECK(parts[0].grad());
}

TEST_CASE("outputs may be gone when a sibling runs backward") {
  const Context ctx("cpu");
  const Variable x = var({1, 2, 3, 4, 5});
  std::vector<Variable> parts = F::split_axis(x, Shape{1, 3}, 0);
  const Variable middle = parts[1] * parts[1];
  parts.clear();
  F::sum(middle).backward();
  CHECK(grad_values(x) == Floats{0, 4, 6, 0, 0});
}

TEST_CASE("debug mode minds NaN, not infinities") {
  const Context ctx("cpu");
  const using_config debug("debug", true);
  CHECK(std::isinf(values(F::log(var({0, 1})))[0]));
  CHECK_THROWS_AS(F::log(var({-1})), NanError);
}

TEST_CASE("calls are checked whatever type_check says") {
  const Context ctx("cpu");
  const using_config unchecked("type_check", false);
  CHECK_THROWS_AS(var({1, 2}) + var({1, 2, 3}), ShapeError);
  CHECK_THROWS_AS(F::matmul(var({1}), Variable(Array::zeros({2, 3}))), ShapeError);
}

TEST_CASE("threads differentiate over one shared leaf, and over one shared graph") {
  const Context ctx("cpu");
  const Variable x(Array::full({64}, 0.5f));
  const Variable h = F::tanh(x * x);
  const auto each = [&](const Variable& at) { return F::sum(F::tanh(at * 0.5) + F::exp(at)); };
  const Floats from_x = values(grad({each(x)}, {x})[0]), from_h = values(grad({each(h)}, {x})[0]);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        if (values(grad({each(x)}, {x})[0]) != from_x) ++wrong;
        if (values(grad({each(h)}, {x})[0]) != from_h) ++wrong;
        const std::vector<Variable> parts = F::split_axis(h, 2, 0);
        each(parts[i % 2]).backward();  // adds to x
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(wrong == 0);
  const Floats sum = grad_values(x);
  for (const float g : sum) CHECK(g == doctest::Approx(from_h[0] * 400).epsilon(1e-3));
}

TEST_CASE("handles go away in one thread while another runs backward over what they named") {
  const Context ctx("cpu");
  for (int i = 0; i < 300; ++i) {
    const Variable x(Array::full({8}, 0.5f));
    Variable h = F::exp(x);
    std::vector<Variable> parts = F::split_axis(h, 4, 0);
    const Variable loss = F::sum(parts[0] * parts[1]) + F::sum(F::tanh(h));
    std::thread other([&] {
      parts.clear();
      h = Variable();
    });
    loss.backward();
    other.join();
    CHECK(grad_values(x).size() == 8);
  }
}
