// What Chainer and NumPy do where an implementation likes to differ: constants of integer arrays,
// running averages of many batches, indexing with an ellipsis of no axes, empty reductions and
// splits, dtypes of parameters, what is a child of a Classifier, kinds of errors.
#include <catena/catena.hpp>

#include <cmath>
#include <filesystem>
#include <limits>

#include "backend.h"
#include "main.h"

using namespace catena;

namespace {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;
using Longs = std::vector<int64_t>;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

Doubles values(const Variable& v) { return v.array().astype(float64).to_vector<double>(); }

Variable ones(const Shape& shape) { return Variable(Array::full(shape, 1)); }
Variable constant(const Array& a) { return Variable(a, false); }

// An op by name with attributes in the schema's order.
Variable call(const char* op, const std::vector<Variable>& in, const std::vector<Value>& attrs) {
  const std::vector<ctn_variable> given = detail::raw(in);
  std::vector<ctn_value> c;
  for (const Value& v : attrs) c.push_back(v.c());
  return detail::call1(detail::find_op(op), given.data(), static_cast<int32_t>(given.size()),
                       c.data(), static_cast<int32_t>(c.size()));
}

// The text and status of the failure of `body`.
template <class Body>
void refused(ctn_status status, const std::string& text, Body&& body) {
  try {
    body();
    FAIL("nothing was refused: " << text);
  } catch (const Error& e) {
    CHECK_MESSAGE(e.status() == status, e.what());
    CHECK_MESSAGE(std::string(e.what()).find(text) != std::string::npos, e.what());
  }
}

std::string in_words(const char* label, const char* expect, const char* actual) {
  return std::string("Invalid operation is performed in: ") + label +
         " (Forward)\n\nExpect: " + expect + "\nActual: " + actual;
}

}  // namespace

TEST_CASE("running averages keep their digits when almost all of the old value stays") {
  const Context ctx(catena_test::backend());
  const Variable x = Variable(Array::full({4, 1}, 1000)), gamma = ones({1}), beta = ones({1});
  const Array mean = Array::zeros({1}), var = Array::zeros({1});
  F::batch_normalization(x, gamma, beta, constant(mean), constant(var), {.decay = 0.9999});
  CHECK(mean.item() == doctest::Approx(0.1).epsilon(1e-7));

  const L::BatchNormalization link(1, {.finetune = true});
  const int64_t n = 1000000;
  const Array count = Array::from(Longs{n}, {});
  check(ctn_link_set_persistent(link.get(), detail::str("N"), count.get()));
  link(Variable(Array::full({4, 1}, 1)));
  CHECK(link.persistent("avg_mean").item() * (n + 1) == doctest::Approx(1).epsilon(1e-6));
}

TEST_CASE("a gradient that is not a number spoils its own parameter only") {
  const Context ctx(catena_test::backend());
  struct Two : Chain {
    L::EmbedID a = child("a", L::EmbedID(1, 2, 1.0));
    L::EmbedID b = child("b", L::EmbedID(1, 2, 1.0));
  } two;
  optimizers::SGD sgd({.lr = 1});
  sgd.setup(two);
  sgd.add_hook(hooks::GradientClipping(1.0));
  two.param("a/W").set_grad(constant(Array::from(Floats{kNaN, 0.5f}, {1, 2})));
  two.param("b/W").set_grad(constant(Array::from(Floats{0.25f, 0.5f}, {1, 2})));
  sgd.update();
  CHECK(std::isnan(values(two.param("a/W"))[0]));
  CHECK(values(two.param("a/W"))[1] == 0.5);
  CHECK(values(two.param("b/W")) == Doubles{0.75, 0.5});
  // Scaled where the norm is larger: 3, 4 becomes 0.6, 0.8.
  two.param("a/W").set_grad(constant(Array::from(Floats{3, 0}, {1, 2})));
  two.param("b/W").set_grad(constant(Array::from(Floats{0, 4}, {1, 2})));
  sgd.update();
  CHECK(values(two.param("b/W"))[1] == doctest::Approx(0.5 - 0.8));
}

TEST_CASE("an empty first batch tells a lazy Linear its size") {
  const Context ctx(catena_test::backend());
  const L::Linear link(none, 3);
  CHECK(link(Variable(Array::zeros({0, 4, 2}))).shape() == Shape{0, 3});
  CHECK(link.param("W").shape() == Shape{3, 8});
}

TEST_CASE("an array that initialises a parameter does not decide its dtype") {
  const Context ctx(catena_test::backend());
  const L::Linear wide(
      2, 1,
      {.initialW = Array::from(Doubles{1, 2}, {1, 2}), .initial_bias = Array::from(Longs{3}, {1})});
  CHECK(wide.param("W").array().dtype().bits == 32);
  CHECK(wide.param("W").array().to_vector<float>() == Floats{1, 2});
  CHECK(wide.param("b").array().to_vector<float>() == Floats{3});
  const L::Linear typed(2, 1, {.initialW = Value::list({"Constant", 2.0, float64})});
  CHECK(typed.param("W").array().to_vector<double>() == Doubles{2, 2});
}

TEST_CASE("maximum and minimum of nothing are refused") {
  const Context ctx(catena_test::backend());
  const Variable x(Array::zeros({2, 0, 3}));
  const std::string text = "zero-size array to reduction operation ";
  for (const bool largest : {true, false}) {
    const auto of = [&](const Value& axis) {
      return largest ? F::max(x, {.axis = axis}) : F::min(x, {.axis = axis});
    };
    const std::string name = largest ? "maximum" : "minimum";
    refused(CTN_EINVAL, text + name + " which has no identity", [&] { of({}); });
    refused(CTN_EINVAL, text + name, [&] { of(1); });
    refused(CTN_EINVAL, text + name, [&] { of({0, -2}); });
    CHECK(of(0).shape() == Shape{0, 3});
    CHECK(of({0, 2}).shape() == Shape{0});
  }
  CHECK(F::max(Variable(Array::zeros({0, 0})), {.axis = 1}).shape() == Shape{0});
}

// The page of split_axis says that parts without elements are refused; Chainer's code gives them.
TEST_CASE("splits and joins with empty parts") {
  const Context ctx(catena_test::backend());
  const Variable x(Array::from(Floats{1, 2, 3, 4}, {4}));
  CHECK(F::split_axis(x, Shape{0, 4}, 0)[1].shape() == Shape{4});
  for (const Shape& cuts : {Shape{3, 1}, Shape{-1}})
    refused(CTN_EINVAL, "the positions of cuts may not fall or be negative",
            [&] { F::split_axis(x, cuts, 0); });
  refused(CTN_ESHAPE, in_words("SplitAxis", "in_types[0].shape[0] >= 9", "4 < 9"), [&] {
    F::split_axis(x, Shape{2, 9}, 0);
  });
  refused(CTN_ESHAPE, in_words("SplitAxis", "in_types[0].ndim > 1", "1 <= 1"),
          [&] { F::split_axis(x, 2, 1); });
  // The gradient of a join with an empty array among the others, of two orders.
  const Variable empty(Array::zeros({0}));
  const Variable y = F::concat({empty, x, empty}, {.axis = 0});
  const std::vector<Variable> g = grad({F::sum(y * y)}, {empty, x}, true);
  CHECK(g[0].shape() == Shape{0});
  CHECK(values(g[1]) == Doubles{2, 4, 6, 8});
  CHECK(values(grad({F::sum(g[1])}, {x})[0]) == Doubles{2, 2, 2, 2});
}

TEST_CASE("only the predictor is a child of a Classifier") {
  const Context ctx(catena_test::backend());
  const L::Linear loss(2, 1), accuracy(2, 1);
  struct Function : Chain {};
  const L::Classifier model(L::Linear(3, 2), {.lossfun = loss, .accfun = accuracy});
  std::vector<std::string> names;
  for (const auto& [name, p] : model.namedparams()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"/predictor/W", "/predictor/b"});
}

TEST_CASE("constants of integer arrays are exact") {
  const Context ctx(catena_test::backend());
  const int64_t big = (int64_t{1} << 53) + 1;
  const Variable x = constant(Array::from(Longs{1, -1}, {2}));
  const auto result = [&](const char* op, const Value& value) {
    return call(op, {x}, {value}).array().to_vector<int64_t>();
  };
  CHECK(result("add_constant", big) == Longs{big + 1, big - 1});
  CHECK(result("sub_from_constant", big) == Longs{big - 1, big + 1});
  CHECK(result("mul_constant", big) == Longs{big, -big});
  CHECK(result("add_constant", 2.0) == Longs{3, 1});
  CHECK((x + big).array().to_vector<int64_t>() == Longs{big + 1, big - 1});
  CHECK((big - x).array().to_vector<int64_t>() == Longs{big - 1, big + 1});
  CHECK((x - big).array().to_vector<int64_t>() == Longs{1 - big, -1 - big});
  CHECK((big * x).array().to_vector<int64_t>() == Longs{big, -big});
  // Chainer makes 2.5 a 2 here and 0.5 a 0 without a word.
  CHECK_THROWS_AS(x * 2.5, DtypeError);
  // Whole numbers with floating arrays are what they were.
  const Variable y(Array::of<float>({1, -2}));
  CHECK(values(y * 3 + 1) == Doubles{4, -5});
  CHECK(values(grad({F::sum(2 - y * y * 3)}, {y})[0]) == Doubles{-6, 12});
}

TEST_CASE("axes that an array does not have are a failed type check") {
  const Context ctx(catena_test::backend());
  const Variable x(Array::from(Floats{1, 2}, {2})), m(Array::zeros({2, 3}));
  refused(CTN_ESHAPE, in_words("Concat", "in_types[0].ndim > axis", "1 <= 1"), [&] {
    F::concat({x, x});
  });
  refused(CTN_ESHAPE, in_words("Concat", "-in_types[0].ndim <= axis", "-1 > -2"), [&] {
    F::concat({x, x}, {.axis = -2});
  });
  refused(CTN_ESHAPE, in_words("SplitAxis", "in_types[0].ndim > 2", "2 <= 2"),
          [&] { F::split_axis(m, 1, 2); });
  refused(CTN_ESHAPE, in_words("Squeeze", "in_types[0].ndim > 1", "1 <= 1"),
          [&] { F::squeeze(x, {.axis = 1}); });
  refused(CTN_ESHAPE, in_words("ExpandDims", "in_types[0].ndim >= axis", "1 < 2"), [&] {
    F::stack({x, x}, {.axis = 2});
  });
  refused(CTN_ESHAPE, "Squeeze", [&] { F::squeeze(x, {.axis = {0, -2}}); });
  refused(CTN_EINVAL, "cannot select an axis to squeeze out which has size not equal to one",
          [&] { F::squeeze(m, {.axis = 1}); });
  refused(CTN_ESHAPE, "pool_size", [&] { F::maxout(m, 2); });
  refused(CTN_ESHAPE, in_words("CReLU", "in_types[0].ndim > 1", "1 <= 1"), [&] { F::crelu(x); });
  refused(CTN_ESHAPE, in_words("EmbedIDFunction", "in_types[0].ndim >= 1", "0 < 1"),
          [&] { F::embed_id(constant(Array::zeros({}, int32)), m); });
  CHECK(values(F::concat({x, x}, {.axis = -1})) == Doubles{1, 2, 1, 2});
}

TEST_CASE("where chooses among elements of any dtype") {
  const Context ctx(catena_test::backend());
  const Variable c = constant(Array::of<bool>({true, false}));
  const auto chosen = [&](const Array& a, const Array& b) {
    return F::where(c, constant(a), constant(b)).array();
  };
  CHECK(chosen(Array::of<int64_t>({1, 2}), Array::of<int64_t>({3, 4})).to_vector<int64_t>() ==
        Longs{1, 4});
  CHECK(chosen(Array::of<uint8_t>({1, 2}), Array::of<uint8_t>({3, 255})).to_vector<uint8_t>() ==
        std::vector<uint8_t>{1, 255});
  CHECK(chosen(Array::of<bool>({true, true}), Array::of<bool>({false, false}))
            .astype(int64)
            .to_vector<int64_t>() == Longs{1, 0});
  refused(CTN_EDTYPE, "in_types[1].dtype == in_types[2].dtype", [&] {
    chosen(Array::of<int64_t>({1, 2}), Array::of<float>({3, 4}));
  });
}

TEST_CASE("products of two dtypes have the wider one") {
  const Context ctx(catena_test::backend());
  const Variable a(Array::from(Floats{1, 2}, {1, 2})), b(Array::from(Doubles{3, 0.1}, {2, 1}));
  for (const Variable& y : {F::matmul(a, b), F::matmul(b, a, {.transa = true, .transb = true})}) {
    CHECK(y.array().to_vector<double>()[0] == doctest::Approx(3.2).epsilon(1e-15));
    const std::vector<Variable> g = grad({F::sum(y)}, {a, b});
    CHECK(g[0].array().to_vector<float>() == Floats{3, 0.1f});
    CHECK(g[1].array().to_vector<double>() == Doubles{1, 2});
  }
  const Variable u(Array::of<float>({1, 2})), v(Array::of<double>({3, 4}));
  for (const Variable& y : {F::matmul(u, v), F::matmul(v, u)})
    CHECK(y.array().to_vector<double>()[0] == 11);
}
