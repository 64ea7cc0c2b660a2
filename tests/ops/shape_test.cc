// Changes of shape, joins, reductions: derivatives of two orders, and the same results for views as
// for copies of them, for empty arrays and for arrays without axes.
#include <cmath>
#include <limits>

#include "harness.h"

using namespace ops_test;

namespace {

const Shape kNone;
const Shape k02 = {0, 2}, k06 = {0, 6}, k12 = {1, 2}, k102 = {1, 0, 2}, k201 = {2, 0, 1},
            k234 = {2, 3, 4}, k43m1 = {4, 3, -1}, k46 = {4, 6}, k123 = {1, 2, 3}, k12r = {1, 2, 0},
            k7234 = {7, 2, 3, 4}, k13 = {1, 3};

Values smooth(const Shape& shape) {
  Values v = counting(shape, 0.37, -1.9);
  for (size_t i = 0; i < v.data.size(); ++i) v.data[i] += 0.11 * static_cast<double>(i * i % 7);
  return v;
}

struct Row {
  Op op;
  std::vector<Shape> in;
};

const std::vector<Row> rows() {
  return {
      {{"reshape", {attr("shape", k46)}}, {{2, 3, 4}}},
      {{"reshape", {attr("shape", k43m1)}}, {{2, 3, 4}}},
      {{"reshape", {attr("shape", kNone)}}, {{1, 1}}},
      {{"flatten", {}}, {{2, 3}}},
      {{"transpose", {}}, {{2, 3, 4}}},
      {{"transpose", {attr("axes", k201)}}, {{2, 3, 4}}},
      {{"swapaxes", {attr("axis1", int64_t{0}), attr("axis2", int64_t{-1})}}, {{2, 3, 4}}},
      {{"rollaxis", {attr("axis", int64_t{2})}}, {{2, 3, 4}}},
      {{"rollaxis", {attr("axis", int64_t{0}), attr("start", int64_t{3})}}, {{2, 3, 4}}},
      {{"expand_dims", {attr("axis", int64_t{-1})}}, {{2, 3}}},
      {{"squeeze", {}}, {{1, 2, 1, 3}}},
      {{"squeeze", {attr("axis", k02)}}, {{1, 2, 1, 3}}},
      {{"flip", {attr("axis", int64_t{1})}}, {{2, 3}}},
      {{"fliplr", {}}, {{2, 3}}},
      {{"flipud", {}}, {{2, 3}}},
      {{"broadcast_to", {attr("shape", k234)}}, {{3, 1}}},
      {{"broadcast", {}, 2}, {{2, 1}, {3}}},
      {{"depth2space", {attr("r", int64_t{2})}}, {{1, 8, 2, 1}}},
      {{"space2depth", {attr("r", int64_t{2})}}, {{1, 2, 4, 2}}},
      {{"concat", {attr("axis", int64_t{1})}}, {{2, 1}, {2, 3}, {2, 2}}},
      {{"concat", {attr("axis", int64_t{0})}}, {{2, 3}}},
      {{"split_axis", {attr("indices_or_sections", int64_t{2}), attr("axis", int64_t{1})}, 2},
       {{3, 4}}},
      {{"split_axis", {attr("indices_or_sections", k13), attr("axis", int64_t{0})}, 3}, {{4, 2}}},
      {{"separate", {attr("axis", int64_t{1})}, 3}, {{2, 3}}},
      {{"stack", {attr("axis", int64_t{1})}}, {{2, 3}, {2, 3}}},
      {{"hstack", {}}, {{2, 3}, {2, 1}}},
      {{"hstack", {}}, {{2}, {3}}},
      {{"vstack", {}}, {{3}, {3}}},
      {{"dstack", {}}, {{2, 2}, {2, 2}}},
      {{"tile", {attr("reps", k12)}}, {{2, 3}}},
      {{"tile", {attr("reps", k201)}}, {{2, 3}}},
      {{"repeat", {attr("repeats", int64_t{2}), attr("axis", int64_t{0})}}, {{2, 3}}},
      {{"repeat", {attr("repeats", k12r), attr("axis", int64_t{1})}}, {{2, 3}}},
      {{"repeat", {attr("repeats", int64_t{2})}}, {{2, 3}}},
      {{"sum", {}}, {{2, 3}}},
      {{"sum", {attr("axis", k02), attr("keepdims", true)}}, {{2, 3, 2}}},
      {{"mean", {attr("axis", int64_t{1})}}, {{2, 3}}},
      {{"average", {attr("axis", int64_t{1})}}, {{2, 3}, {3}}},
      {{"average", {}}, {{2, 3}, {2, 3}}},
      {{"max", {attr("axis", int64_t{1})}}, {{2, 3}}},
      {{"min", {}}, {{2, 3}}},
      {{"prod", {attr("axis", int64_t{1})}}, {{2, 5}}},
      {{"prod", {attr("axis", k02), attr("keepdims", true)}}, {{2, 3, 2}}},
      {{"logsumexp", {attr("axis", int64_t{1})}}, {{2, 3}}},
      {{"logsumexp", {}}, {{2, 3}}},
      {{"cast", {attr("typ", ctn_value{CTN_DTYPE, 0, {.dt = {CTN_DT_FLOAT, 64, 1}}})}}, {{2, 3}}},
  };
}

// x as a view whose memory is in another order: reversed axes, twice transposed in between.
ctn_variable strided(Bench& bench, ctn_variable x) {
  const Op transpose{"transpose", {}}, contiguous{"contiguous", {}};
  return transpose.one(bench, {contiguous.one(bench, {transpose.one(bench, {x})})});
}

void check_same(Bench& bench, const Op& op, const std::vector<ctn_variable>& a,
                const std::vector<ctn_variable>& b) {
  const std::vector<ctn_variable> ya = op(bench, a), yb = op(bench, b);
  for (size_t k = 0; k < ya.size(); ++k) {
    const Values va = bench.values(ya[k]), vb = bench.values(yb[k]);
    CHECK_MESSAGE(va.shape == vb.shape, op.name);
    REQUIRE_MESSAGE(va.data.size() == vb.data.size(), op.name);
    for (size_t i = 0; i < va.data.size(); ++i)  // sums may run in another order
      CHECK_MESSAGE(va.data[i] == doctest::Approx(vb.data[i]).epsilon(1e-13), op.name);
  }
}

Values shape_of(Bench& bench, const Op& op, std::initializer_list<ctn_variable> in) {
  return bench.values(op.one(bench, in));
}

}  // namespace

TEST_CASE("shapes, joins and reductions have right derivatives of two orders") {
  for (const Row& row : rows()) {
    CAPTURE(row.op.name);
    std::vector<Values> in;
    for (const Shape& s : row.in) in.push_back(smooth(s));
    check_gradients(row.op, in);
  }
}

TEST_CASE("views give what copies give") {
  Bench bench;
  for (const Row& row : rows()) {
    std::vector<ctn_variable> plain, views;
    for (const Shape& s : row.in) {
      plain.push_back(bench.variable(smooth(s)));
      views.push_back(strided(bench, plain.back()));
    }
    check_same(bench, row.op, plain, views);
  }
}

TEST_CASE("reshape of a view that no strides can describe copies it") {
  Bench bench;
  const ctn_variable x = bench.counting({2, 3});
  const ctn_variable t = Op{"transpose", {}}.one(bench, {x});
  const Values flat = shape_of(bench, {"flatten", {}}, {t});
  CHECK(flat.data == std::vector<double>{1, 4, 2, 5, 3, 6});
}

TEST_CASE("the product has derivatives where factors are zero") {
  for (const std::vector<double>& factors :
       {std::vector<double>{2, 0, 3}, {0, 5, 0}, {0, 0, 0}, {0, 2, 4}})
    check_gradients({"prod", {}}, {{{3}, factors}});
}

TEST_CASE("ties of max and min: every tied element gets the whole gradient") {
  Bench bench;
  for (const char* name : {"max", "min"}) {
    ctn_variable x = bench.variable({{3}, {2, 2, 2}}), gx = nullptr;
    ctn_variable y = Op{name, {}}.one(bench, {x});
    ctn_variable gy = bench.variable({{}, {5.0}});
    ctn_grad_options options{};
    options.size = sizeof options;
    options.grad_outputs = &gy;
    REQUIRE(ctn_grad_of(&y, 1, &x, 1, &options, &gx) == CTN_OK);
    bench.keep(gx);
    CHECK(bench.values(gx).data == std::vector<double>{5, 5, 5});
  }
}

TEST_CASE("only some parts of a split have a gradient") {
  Bench bench;
  ctn_variable x = bench.counting({5}), gx = nullptr;
  const Op split{"split_axis", {attr("indices_or_sections", k13), attr("axis", int64_t{0})}, 3};
  const std::vector<ctn_variable> parts = split(bench, std::vector<ctn_variable>{x});
  ctn_variable y = parts[1], gy = bench.variable({{2}, {3, 4}});
  ctn_grad_options options{};
  options.size = sizeof options;
  options.grad_outputs = &gy;
  REQUIRE(ctn_grad_of(&y, 1, &x, 1, &options, &gx) == CTN_OK);
  bench.keep(gx);
  CHECK(bench.values(gx).data == std::vector<double>{0, 3, 4, 0, 0});
}

TEST_CASE("arrays without elements or without axes") {
  Bench bench;
  const ctn_variable empty = bench.counting({0, 3}), scalar = bench.counting({});
  const Op sum{"sum", {}}, prod{"prod", {}};
  CHECK(bench.values(sum.one(bench, {empty})).data == std::vector<double>{0});
  CHECK(bench.values(prod.one(bench, {empty})).data == std::vector<double>{1});
  const Op columns{"prod", {attr("axis", int64_t{0})}};
  CHECK(bench.values(columns.one(bench, {empty})).data == std::vector<double>{1, 1, 1});
  CHECK(shape_of(bench, {"flatten", {}}, {scalar}).shape == Shape{1});
  CHECK(shape_of(bench, {"flatten", {}}, {empty}).shape == Shape{0});
  CHECK(shape_of(bench, {"flip", {attr("axis", int64_t{0})}}, {empty}).shape == Shape{0, 3});
  CHECK(shape_of(bench, {"relu", {}}, {empty}).shape == Shape{0, 3});
  CHECK(shape_of(bench, {"concat", {attr("axis", int64_t{0})}}, {empty, empty}).shape ==
        Shape{0, 3});
  CHECK(shape_of(bench, {"reshape", {attr("shape", k06)}}, {empty}).shape == k06);
  CHECK(shape_of(bench, {"transpose", {}}, {scalar}).shape.empty());
  CHECK(bench.values(sum.one(bench, {scalar})).data == std::vector<double>{1});
  std::string text;
  CHECK(Op{"argmax", {}}.refused({empty}, &text) == CTN_EINVAL);
  CHECK(text.find("empty sequence") != text.npos);
}

TEST_CASE("positions of extremes: the first of ties, the first NaN") {
  Bench bench;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  const ctn_variable x =
      bench.variable({{4, 3}, {1, 7, 7, -inf, -inf, -inf, 2, nan, nan, inf, inf, 0}});
  const Op rows_max{"argmax", {attr("axis", int64_t{1})}},
      columns_max{"argmax", {attr("axis", int64_t{0})}};
  const Op rows_min{"argmin", {attr("axis", int64_t{1})}};
  CHECK(bench.values(rows_max.one(bench, {x})).data == std::vector<double>{1, 0, 1, 0});
  CHECK(bench.values(columns_max.one(bench, {x})).data == std::vector<double>{3, 2, 2});
  CHECK(bench.values(rows_min.one(bench, {x})).data == std::vector<double>{0, 0, 1, 2});
  CHECK(bench.values(Op{"argmax", {}}.one(bench, {x})).data == std::vector<double>{7});
}

TEST_CASE("logsumexp neither overflows nor loses infinities") {
  Bench bench;
  const double inf = std::numeric_limits<double>::infinity();
  const ctn_variable x = bench.variable({{4, 2}, {1000, 1000, -1000, -1000, -inf, 3, -inf, -inf}});
  const Values y = bench.values(Op{"logsumexp", {attr("axis", int64_t{1})}}.one(bench, {x}));
  CHECK(y.data[0] == doctest::Approx(1000 + std::log(2.0)));
  CHECK(y.data[1] == doctest::Approx(-1000 + std::log(2.0)));
  CHECK(y.data[2] == 3);
  CHECK(y.data[3] == -inf);
}

TEST_CASE("shapes that do not fit are refused in Chainer's words") {
  Bench bench;
  const ctn_variable x = bench.counting({2, 3}), other = bench.counting({3, 3});
  std::string text;
  const Shape k42 = {4, 2}, k24 = {2, 4}, k00 = {0, 0};
  const auto says = [&](const Op& op, std::initializer_list<ctn_variable> in, const char* label,
                        const char* expect, const char* actual) {
    CHECK(op.refused(in, &text) == CTN_ESHAPE);
    CHECK(text == "Invalid operation is performed in: " + std::string(label) +
                      " (Forward)\n\nExpect: " + expect + "\nActual: " + actual);
  };
  says({"reshape", {attr("shape", k42)}}, {x}, "Reshape", "prod(in_types[0].shape) == prod((4, 2))",
       "6 != 8");
  says({"broadcast_to", {attr("shape", k24)}}, {x}, "BroadcastTo",
       "in_type[0].shape[-1] == 4 or in_type[0].shape[-1] == 1", "in_type[0].shape: (2, 3)");
  says({"concat", {attr("axis", int64_t{1})}}, {x, other}, "Concat",
       "in_types[0].shape[0] == in_types[1].shape[0]", "2 != 3");
  says({"split_axis", {attr("indices_or_sections", int64_t{2}), attr("axis", int64_t{1})}, 2}, {x},
       "SplitAxis", "in_types[0].shape[1] % sections == 0", "1 != 0");
  says({"sum", {attr("axis", int64_t{2})}}, {x}, "Sum", "in_types[0].ndim > 2", "2 <= 2");
  CHECK(Op{"sum", {attr("axis", k00)}}.refused({x}, &text) == CTN_EINVAL);
}
