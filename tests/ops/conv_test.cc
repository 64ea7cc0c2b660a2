// Convolutions in two dimensions: derivatives of two orders for every kind of geometry, and what
// dilated_convolution_2d and groups are in terms of others.
#include <cmath>

#include "harness.h"

using namespace ops_test;

namespace {

const Shape k12 = {1, 2}, k21 = {2, 1}, k68 = {6, 8}, k10 = {1, 0};

ctn_attr two(const char* name) { return attr(name, int64_t{2}); }

Values waves(const Shape& shape, double phase = 0) {
  Values v = counting(shape);
  for (double& x : v.data) x = std::sin(1.3 * x + phase);
  return v;
}

struct Row {
  Op op;
  std::vector<Shape> in;
};

std::vector<Row> rows() {
  return {
      {{"convolution_2d", {}}, {{2, 2, 4, 3}, {3, 2, 3, 2}, {3}}},
      {{"convolution_2d", {attr("stride", k21), attr("pad", k12), attr("cover_all", true)}},
       {{1, 2, 4, 5}, {2, 2, 3, 2}}},
      {{"convolution_2d", {two("groups"), two("dilate"), two("pad")}},
       {{1, 4, 3, 4}, {2, 2, 2, 2}, {2}}},
      {{"dilated_convolution_2d", {two("dilate")}}, {{1, 2, 5, 4}, {2, 2, 3, 2}, {2}}},
      {{"dilated_convolution_2d", {two("stride"), two("pad"), attr("dilate", k12)}},
       {{1, 2, 4, 3}, {2, 2, 3, 3}}},
      {{"dilated_convolution_2d", {two("stride"), two("dilate"), attr("cover_all", true)}},
       {{1, 1, 6, 5}, {2, 1, 2, 2}, {2}}},
      {{"deconvolution_2d", {}}, {{2, 3, 2, 3}, {3, 2, 2, 3}, {2}}},
      {{"deconvolution_2d", {two("stride"), attr("pad", k10), two("dilate")}},
       {{1, 2, 3, 2}, {2, 2, 2, 2}, {2}}},
      {{"deconvolution_2d", {two("stride"), attr("pad", int64_t{1}), attr("outsize", k68)}},
       {{1, 2, 3, 4}, {2, 1, 3, 3}}},
      {{"deconvolution_2d", {two("groups"), two("stride")}}, {{1, 4, 2, 2}, {4, 1, 2, 3}, {2}}},
  };
}

// Channels [first, first + n) of x.
ctn_variable channels(Bench& bench, const Values& x, int64_t first, int64_t n) {
  const int64_t inner = x.shape[2] * x.shape[3];
  Values part{{x.shape[0], n, x.shape[2], x.shape[3]}, {}};
  for (int64_t image = 0; image < x.shape[0]; ++image) {
    const auto from = x.data.begin() + (image * x.shape[1] + first) * inner;
    part.data.insert(part.data.end(), from, from + n * inner);
  }
  return bench.variable(part);
}

// Filters [first, first + n) of W.
ctn_variable filters(Bench& bench, const Values& w, int64_t first, int64_t n) {
  const int64_t inner = w.shape[1] * w.shape[2] * w.shape[3];
  Values part{{n, w.shape[1], w.shape[2], w.shape[3]}, {}};
  part.data.assign(w.data.begin() + first * inner, w.data.begin() + (first + n) * inner);
  return bench.variable(part);
}

}  // namespace

TEST_CASE("derivatives of two orders of convolutions") {
  for (const Row& row : rows()) {
    std::vector<Values> in;
    for (const Shape& shape : row.in) in.push_back(waves(shape, static_cast<double>(in.size())));
    check_gradients(row.op, in);
  }
}

TEST_CASE("dilated_convolution_2d is convolution_2d with dilate") {
  Bench bench;
  const ctn_variable x = bench.variable(waves({2, 3, 9, 8})),
                     w = bench.variable(waves({4, 3, 2, 3}, 1)), b = bench.variable(waves({4}, 2));
  const std::vector<ctn_attr> attrs = {two("stride"), attr("pad", k12), attr("dilate", k21),
                                       attr("cover_all", true)};
  const Values dilated = bench.values(Op{"dilated_convolution_2d", attrs}.one(bench, {x, w, b}));
  const Values plain = bench.values(Op{"convolution_2d", attrs}.one(bench, {x, w, b}));
  CHECK(dilated.shape == plain.shape);
  CHECK(dilated.data == plain.data);
  std::string text;
  const ctn_variable flat = bench.variable(waves({3, 9}));
  CHECK((Op{"dilated_convolution_2d", {}}.refused({flat, w}, &text)) == CTN_ESHAPE);
  CHECK(text.find("Convolution2DFunction") != std::string::npos);
  CHECK(text.find("in_types[0].ndim == 4") != std::string::npos);
}

TEST_CASE("a bias is added before 16-bit floats are rounded") {
  struct Case {
    ctn_dtype dtype;
    double even;  // even + 1 is no number of the dtype, even + 2 is one
  };
  for (const Case& c : {Case{{CTN_DT_FLOAT, 16, 1}, 2048}, Case{{CTN_DT_BFLOAT, 16, 1}, 256}})
    for (const int64_t side : {1, 3}) {
      CAPTURE(static_cast<int>(c.dtype.code));
      CAPTURE(side);
      Bench bench;
      const int64_t windows = side * side;
      const ctn_variable x = bench.variable({{1, 2, 3, 3}, std::vector<double>(18, 1)}, c.dtype);
      const ctn_variable one = bench.variable({{1}, {1}}, c.dtype);
      Values w{{1, 2, side, side}, std::vector<double>(static_cast<size_t>(2 * windows), 0)};
      w.data[static_cast<size_t>(windows / 2)] = c.even;
      w.data[static_cast<size_t>(windows + windows / 2)] = 1;
      const std::vector<ctn_attr> same = {attr("pad", side / 2)};
      const Values y =
          bench.values(Op{"convolution_2d", same}.one(bench, {x, bench.variable(w, c.dtype), one}));
      CHECK(y.data == std::vector<double>(9, c.even + 2));
      w.shape = {2, 1, side, side};
      const Values back = bench.values(
          Op{"deconvolution_2d", same}.one(bench, {x, bench.variable(w, c.dtype), one}));
      CHECK(back.data == std::vector<double>(9, c.even + 2));
    }
}

TEST_CASE("groups are convolutions of their channels") {
  struct Case {
    const char* op;
    int64_t in, out;  // of all groups
  };
  constexpr int64_t kGroups = 3;
  for (const Case& c : {Case{"convolution_2d", 6, 9}, Case{"deconvolution_2d", 9, 6}}) {
    CAPTURE(std::string(c.op));
    Bench bench;
    const bool transposed = c.in > c.out;
    const Values x = waves({2, c.in, 5, 4});
    const Values w = transposed ? waves({c.in, c.out / kGroups, 3, 2}, 1)
                                : waves({c.out, c.in / kGroups, 3, 2}, 1);
    const std::vector<ctn_attr> plain = {two("stride"), attr("pad", int64_t{1})};
    std::vector<ctn_attr> grouped = plain;
    grouped.push_back(attr("groups", kGroups));
    const Values all =
        bench.values(Op{c.op, grouped}.one(bench, {bench.variable(x), bench.variable(w)}));
    REQUIRE(all.shape[1] == c.out);
    const int64_t n = w.shape[0] / kGroups, inner = all.shape[2] * all.shape[3];
    for (int64_t g = 0; g < kGroups; ++g) {
      const ctn_variable own = channels(bench, x, g * (c.in / kGroups), c.in / kGroups);
      const Values y = bench.values(Op{c.op, plain}.one(bench, {own, filters(bench, w, g * n, n)}));
      const int64_t size = c.out / kGroups * inner;
      for (int64_t k = 0; k < 2 * size; ++k) {
        const int64_t at = (k / size * kGroups + g) * size + k % size;
        CHECK(all.data[static_cast<size_t>(at)] ==
              doctest::Approx(y.data[static_cast<size_t>(k)]).epsilon(1e-12));
      }
    }
  }
}
