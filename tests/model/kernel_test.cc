// Kernels that users write at run time: values, derivatives, reductions, and what is refused.
#include <catena/catena.hpp>

#include <cmath>

#include "main.h"

using namespace catena;

namespace {

using Floats = std::vector<float>;

Floats values(const Variable& v) { return v.array().to_vector<float>(); }

}  // namespace

TEST_CASE("an elementwise kernel broadcasts and has derivatives of two orders") {
  const Context ctx("cpu");
  const Kernel f({.in = "T x, T w", .map = "y = x * x * w"});
  const Variable x(Array::from(Floats{1, 2, 3, 4}, {2, 2})), w(Array::from(Floats{5, 7}, {2}));
  const Variable y = f({x, w});
  CHECK(y.shape() == Shape{2, 2});
  CHECK(values(y) == Floats{5, 28, 45, 112});
  const Variable gx = grad({F::sum(y)}, {x}, true)[0];
  CHECK(values(gx) == Floats{10, 28, 30, 56});
  CHECK(values(grad({F::sum(gx)}, {w})[0]) == Floats{8, 12});
}

TEST_CASE("only one of two outputs has a gradient, and neither was kept") {
  const Context ctx("cpu");
  const Kernel f({.out = "T y, T z", .map = "y = exp(x); z = x * x"});
  for (const size_t used : {size_t{0}, size_t{1}}) {
    const Variable x(Array::of<float>({0.5f, 2}));
    F::sum(f.all({x})[used]).backward();
    for (size_t k = 0; k < 2; ++k) {
      const float at = k == 0 ? 0.5f : 2;
      CHECK(values(x.grad())[k] == doctest::Approx(used == 0 ? std::exp(at) : 2 * at));
    }
  }
}

TEST_CASE("a reduction kernel takes axes, keeps dimensions and has a gradient") {
  const Context ctx("cpu");
  const Kernel norm({.map = "x * x", .reduce = "a + b", .post = "y = sqrt(a)", .identity = "0"});
  const Variable x(Array::from(Floats{3, 4, 6, 8, 5, 12}, {3, 2}));
  CHECK(values(norm({x}, {.axis = Shape{1}})) == Floats{5, 10, 13});
  CHECK(norm({x}, {.axis = Shape{1}, .keepdims = true}).shape() == Shape{3, 1});
  CHECK(norm({x}, {.axis = Shape{}}).shape() == Shape{3, 2});
  CHECK(norm({x}).item() == doctest::Approx(std::sqrt(294.0)));
  F::sum(norm({x}, {.axis = Shape{-1}})).backward();
  CHECK(values(x.grad())[0] == doctest::Approx(0.6));
  CHECK(values(x.grad())[5] == doctest::Approx(12.0 / 13));
}

TEST_CASE("a kernel works on every dtype it is called with, and reads raw arguments") {
  const Context ctx("cpu");
  const Kernel twice({.map = "y = x + x"});
  CHECK(twice({Variable(Array::of<int32_t>({1, -2}), false)}).array().to_vector<int32_t>() ==
        std::vector<int32_t>{2, -4});
  CHECK(twice({Variable(Array::of<double>({0.5}))}).array().to_vector<double>() ==
        std::vector<double>{1});
  const Kernel reversed({.in = "T x, raw T r", .map = "y = x - r[n - 1 - i]"});
  const Variable x(Array::of<float>({1, 2, 4}));
  CHECK(values(reversed({x, x})) == Floats{-3, 0, 3});
  const Kernel pick({.in = "T x, raw T r", .map = "y = x * 0 + r[i]"});
  const Variable m(Array::from(Floats{1, 2, 3, 4, 5, 6}, {2, 3})), across = F::transpose(m);
  CHECK(values(pick({across, across})) == Floats{1, 4, 2, 5, 3, 6});
}

TEST_CASE("a kernel's text is judged when it is made, its inputs when it is called") {
  const Context ctx("cpu");
  CHECK_THROWS_WITH_AS(Kernel({.map = "y = x +", .name = "half"}), doctest::Contains("half"),
                       InvalidArgument);
  const Kernel add({.in = "T a, T b", .map = "y = a + b", .name = "add"});
  const Variable x(Array::of<float>({1, 2, 3})), pair(Array::of<float>({1, 2}));
  CHECK_THROWS_WITH_AS(add({x}), "[add] takes 2 inputs and gives 1 outputs, called with 1 and 1",
                       InvalidArgument);
  CHECK_THROWS_WITH_AS(add({x, x}, {.axis = Shape{0}}),
                       "[add] is elementwise: it has no axes and no keepdims", InvalidArgument);
  CHECK_THROWS_AS(add({x, x}, {.axis = Shape{}}), InvalidArgument);
  CHECK_THROWS_AS(add({x, x}, {.keepdims = true}), InvalidArgument);
  CHECK_THROWS_WITH_AS(add({x, pair}), "[add] input 1 of shape (2,) does not broadcast with (3,)",
                       ShapeError);
  const Variable wide(Array::of<double>({1, 2, 3}));
  CHECK_THROWS_AS(add({x, wide}), DtypeError);
  const Context other("cpu");
  const Variable foreign(Array::of<float>({1, 2, 3}));
  CHECK_THROWS_AS(add({x, foreign}), InvalidArgument);
}
