// Elementwise functions and arithmetic: derivatives of two orders against difference quotients, and
// values and gradients at kinks, bounds, ties, infinities and NaN against the mathematics.
#include <cmath>
#include <limits>

#include "harness.h"

using namespace ops_test;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Away from the kinks and poles of every function below.
const Values kPoints = {{2, 4}, {-2.3, -1.1, -0.4, 0.3, 0.7, 1.2, 2.1, 3.4}};
const Values kOthers = {{2, 4}, {0.6, -1.3, 0.9, 1.4, -0.5, 2.2, -1.8, 0.8}};
const Values kPositive = {{2, 4}, {0.2, 0.5, 0.9, 1.1, 1.7, 2.4, 3.3, 5.0}};
const Values kInner = {{2, 3}, {-0.9, -0.5, -0.1, 0.2, 0.6, 0.95}};

struct Row {
  Op op;
  std::vector<Values> in;
};

const std::vector<Row> gradient_rows() {
  return {
      {{"relu", {}}, {kPoints}},
      {{"leaky_relu", {attr("slope", 0.3)}}, {kPoints}},
      {{"elu", {attr("alpha", 1.5)}}, {kPoints}},
      {{"selu", {}}, {kPoints}},
      {{"clipped_relu", {attr("z", 2.0)}}, {kPoints}},
      {{"hard_sigmoid", {}}, {kPoints}},
      {{"sigmoid", {}}, {kPoints}},
      {{"tanh", {}}, {kPoints}},
      {{"softplus", {attr("beta", 2.5)}}, {kPoints}},
      {{"crelu", {}}, {kPoints}},
      {{"maxout", {attr("pool_size", int64_t{2})}}, {kPoints}},
      {{"swish", {}}, {kPoints, {{4}, {0.5, -1.0, 2.0, 1.5}}}},
      {{"prelu", {}}, {kPoints, {{4}, {0.5, -1.0, 2.0, 1.5}}}},
      {{"add", {}}, {kPoints, kOthers, kPositive}},
      {{"sub", {}}, {kPoints, kOthers}},
      {{"mul", {}}, {kPoints, kOthers}},
      {{"div", {}}, {kPoints, kOthers}},
      {{"neg", {}}, {kPoints}},
      {{"pow", {}}, {kPositive, kOthers}},
      {{"add_constant", {attr("value", 2.5)}}, {kPoints}},
      {{"sub_from_constant", {attr("value", 2.5)}}, {kPoints}},
      {{"mul_constant", {attr("value", 2.5)}}, {kPoints}},
      {{"div_from_constant", {attr("value", 2.5)}}, {kPoints}},
      {{"pow_constant", {attr("value", 2.0)}}, {kPoints}},
      {{"pow_constant", {attr("value", 3.0)}}, {kPoints}},
      {{"pow_constant", {attr("value", -1.5)}}, {kPositive}},
      {{"pow_from_constant", {attr("value", 1.5)}}, {kPoints}},
      {{"absolute", {}}, {kPoints}},
      {{"exp", {}}, {kPoints}},
      {{"expm1", {}}, {kPoints}},
      {{"log", {}}, {kPositive}},
      {{"log2", {}}, {kPositive}},
      {{"log10", {}}, {kPositive}},
      {{"log1p", {}}, {kPositive}},
      {{"sqrt", {}}, {kPositive}},
      {{"rsqrt", {}}, {kPositive}},
      {{"square", {}}, {kPoints}},
      {{"squared_difference", {}}, {kPoints, kOthers}},
      {{"sin", {}}, {kPoints}},
      {{"cos", {}}, {kPoints}},
      {{"tan", {}}, {kInner}},
      {{"arcsin", {}}, {kInner}},
      {{"arccos", {}}, {kInner}},
      {{"arctan", {}}, {kPoints}},
      {{"arctan2", {}}, {kPoints, kOthers}},
      {{"sinh", {}}, {kPoints}},
      {{"cosh", {}}, {kPoints}},
      {{"erf", {}}, {kPoints}},
      {{"erfc", {}}, {kPoints}},
      {{"fmod", {}}, {kPoints, kPositive}},
      {{"clip", {attr("x_min", -1.0), attr("x_max", 1.5)}}, {kPoints}},
      {{"maximum", {}}, {kPoints, kOthers}},
      {{"minimum", {}}, {kPoints, kOthers}},
      {{"linear_interpolate", {}}, {kPoints, kOthers, kPositive}},
      {{"bias", {}}, {kPoints, {{4}, {0.5, -1.0, 2.0, 1.5}}}},
      {{"scale", {attr("axis", int64_t{0})}}, {kPoints, {{2}, {0.5, -1.0}}}},
      {{"identity", {}}, {kPoints}},
  };
}

// One element: op(x) is y, and the gradient of y is g.
struct Kink {
  Op op;
  double x, y, g;
};

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

}  // namespace

TEST_CASE("elementwise functions have right derivatives of two orders") {
  for (const Row& row : gradient_rows()) {
    CAPTURE(row.op.name);
    check_gradients(row.op, row.in, row.op.name == "tan" ? 1e-5 : 1e-6);
  }
}

TEST_CASE("values and gradients at kinks, bounds and non-finite points") {
  const std::vector<ctn_attr> bounds = {attr("x_min", -1.0), attr("x_max", 2.0)};
  const std::vector<ctn_attr> z = {attr("z", 2.0)};
  const std::vector<Kink> kinks = {
      {{"relu", {}}, 0, 0, 0},
      {{"relu", {}}, -0.0, 0, 0},
      {{"relu", {}}, kInf, kInf, 1},
      {{"relu", {}}, -kInf, 0, 0},
      {{"relu", {}}, kNaN, kNaN, 0},
      {{"leaky_relu", {}}, 0, 0, 1},
      {{"elu", {}}, 0, 0, 1},
      {{"elu", {}}, -kInf, -1, 0},
      {{"elu", {}}, kInf, kInf, 1},
      {{"clipped_relu", z}, 0, 0, 0},
      {{"clipped_relu", z}, 2, 2, 0},
      {{"clipped_relu", z}, kInf, 2, 0},
      {{"hard_sigmoid", {}}, -2.5, 0, 0},
      {{"hard_sigmoid", {}}, 2.5, 1, 0},
      {{"hard_sigmoid", {}}, kInf, 1, 0},
      {{"sigmoid", {}}, kInf, 1, 0},
      {{"sigmoid", {}}, -kInf, 0, 0},
      {{"sigmoid", {}}, -800, 0, 0},
      {{"tanh", {}}, kInf, 1, 0},
      {{"tanh", {}}, -kInf, -1, 0},
      {{"softplus", {}}, 800, 800, 1},
      {{"softplus", {}}, -800, 0, 0},
      {{"softplus", {}}, kInf, kInf, 1},
      {{"softplus", {}}, -kInf, 0, 0},
      {{"clip", bounds}, -1, -1, 0},
      {{"clip", bounds}, 2, 2, 0},
      {{"clip", bounds}, -kInf, -1, 0},
      {{"clip", bounds}, kNaN, kNaN, 0},
      {{"absolute", {}}, 0, 0, 0},
      {{"absolute", {}}, -0.0, 0, 0},
      {{"absolute", {}}, -kInf, kInf, -1},
      {{"absolute", {}}, kNaN, kNaN, kNaN},
      {{"exp", {}}, -kInf, 0, 0},
      {{"exp", {}}, 800, kInf, kInf},
      {{"sqrt", {}}, 0, 0, kInf},
      {{"log", {}}, 0, -kInf, kInf},
      {{"pow_constant", {attr("value", 0.0)}}, 0, 1, 0},
      {{"pow_constant", {attr("value", 1.0)}}, 0, 0, 1},
      {{"pow_constant", {attr("value", 2.0)}}, 0, 0, 0},
      {{"erf", {}}, kInf, 1, 0},
      {{"erfc", {}}, -kInf, 2, 0},
      {{"arctan", {}}, kInf, std::atan(kInf), 0},
  };
  Bench bench;
  for (const Kink& k : kinks) {
    const ctn_variable x = bench.variable({{1}, {k.x}});
    ctn_variable gy = bench.variable({{1}, {1.0}}), gx = nullptr;
    ctn_variable y = k.op.one(bench, {x});
    ctn_grad_options options{};
    options.size = sizeof options;
    options.grad_outputs = &gy;
    REQUIRE(ctn_grad_of(&y, 1, &x, 1, &options, &gx) == CTN_OK);
    REQUIRE(gx != nullptr);
    bench.keep(gx);
    const double got_y = bench.values(y).data[0], got_g = bench.values(gx).data[0];
    CHECK_MESSAGE(same(got_y, k.y), k.op.name, "(", k.x, ") = ", got_y, ", not ", k.y);
    CHECK_MESSAGE(same(got_g, k.g), k.op.name, "'(", k.x, ") = ", got_g, ", not ", k.g);
  }
}

TEST_CASE("a zero gradient stays zero beside infinities") {
  // gy = inf at a point where the function is flat: select gives 0, a product would give NaN.
  Bench bench;
  for (const char* name : {"relu", "clipped_relu", "hard_sigmoid", "absolute"}) {
    const ctn_variable x = bench.variable({{2}, {0.0, -30.0}});
    ctn_variable gy = bench.variable({{2}, {kInf, 1.0}}), gx = nullptr;
    ctn_variable y = Op{name, {}}.one(bench, {x});
    ctn_grad_options options{};
    options.size = sizeof options;
    options.grad_outputs = &gy;
    REQUIRE(ctn_grad_of(&y, 1, &x, 1, &options, &gx) == CTN_OK);
    bench.keep(gx);
    if (std::string_view(name) != "hard_sigmoid") CHECK(bench.values(gx).data[0] == 0);
    if (std::string_view(name) != "absolute") CHECK(bench.values(gx).data[1] == 0);
  }
}

TEST_CASE("ties of maximum and minimum go to the first input") {
  Bench bench;
  for (const char* name : {"maximum", "minimum"}) {
    ctn_variable in[2] = {bench.variable({{2}, {1.0, -kInf}}), bench.variable({{2}, {1.0, -kInf}})};
    ctn_variable gy = bench.variable({{2}, {3.0, 5.0}}), gx[2] = {nullptr, nullptr};
    ctn_variable y = Op{name, {}}.one(bench, {in[0], in[1]});
    ctn_grad_options options{};
    options.size = sizeof options;
    options.grad_outputs = &gy;
    REQUIRE(ctn_grad_of(&y, 1, in, 2, &options, gx) == CTN_OK);
    for (ctn_variable g : gx) bench.keep(g);
    CHECK(bench.values(gx[0]).data == std::vector<double>{3, 5});
    CHECK(bench.values(gx[1]).data == std::vector<double>{0, 0});
  }
}

TEST_CASE("arithmetic refuses what Chainer refuses, in its words") {
  Bench bench;
  const ctn_variable x = bench.counting({2, 3});
  const ctn_variable row = bench.counting({3});
  const ctn_variable single = bench.variable(counting({2, 3}), {CTN_DT_FLOAT, 32, 1});
  const ctn_variable whole = bench.variable(counting({2, 3}), {CTN_DT_INT, 32, 1});
  std::string text;
  CHECK(Op{"add", {}}.refused({x, row}, &text) == CTN_ESHAPE);
  CHECK(text ==
        "Invalid operation is performed in: _ + _ (Forward)\n\n"
        "Expect: in_types[0].shape == in_types[1].shape\nActual: (2, 3) != (3,)");
  CHECK(Op{"mul", {}}.refused({x, row}, &text) == CTN_ESHAPE);
  CHECK(Op{"add", {}}.refused({single, x}, &text) == CTN_EDTYPE);
  CHECK(text ==
        "Invalid operation is performed in: _ + _ (Forward)\n\n"
        "Expect: in_types[0].dtype == in_types[1].dtype\nActual: float32 != float64");
  CHECK(Op{"mul", {}}.refused({whole, whole}, &text) == CTN_EDTYPE);
  CHECK(Op{"relu", {}}.refused({whole}, &text) == CTN_EDTYPE);
}

TEST_CASE("integers are added and take constants of their own dtype") {
  Bench bench;
  const ctn_variable x = bench.variable({{3}, {1, -2, 7}}, {CTN_DT_INT, 32, 1});
  CHECK(bench.values(Op{"add", {}}.one(bench, {x, x})).data == std::vector<double>{2, -4, 14});
  CHECK(bench.values(Op{"add_constant", {attr("value", 2.0)}}.one(bench, {x})).data ==
        std::vector<double>{3, 0, 9});
  std::string text;
  CHECK(Op{"add_constant", {attr("value", 2.9)}}.refused({x}, &text) == CTN_EDTYPE);
  CHECK(text.find("[add_constant] value is 2.9, which is no int32") == 0);
  CHECK(bench.values(Op{"mul_constant", {attr("value", int64_t{3})}}.one(bench, {x})).data ==
        std::vector<double>{3, -6, 21});
  CHECK(bench.values(Op{"neg", {}}.one(bench, {x})).data == std::vector<double>{-1, 2, -7});
}
