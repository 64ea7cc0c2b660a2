// Local response normalization: derivatives of two orders, windows wider than the channels, images
// cut into many pieces beside plain loops, and scales without a power.
#include <cmath>
#include <limits>

#include "harness.h"

using namespace ops_test;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr ctn_dtype kFloat32{CTN_DT_FLOAT, 32, 1}, kFloat16{CTN_DT_FLOAT, 16, 1};

struct Attributes {
  int64_t n = 5;
  double k = 2, alpha = 1e-4, beta = 0.75;

  Op op() const {
    return {"local_response_normalization",
            {attr("n", n), attr("k", k), attr("alpha", alpha), attr("beta", beta)}};
  }
};

Values waves(const Shape& shape, double size = 2) {
  Values v = counting(shape);
  for (double& x : v.data) x = size * std::sin(1.3 * x) + 0.1;
  return v;
}

// y by plain loops.
std::vector<double> expected(const Values& x, const Attributes& a) {
  const int64_t channels = x.shape[1], reach = a.n / 2;
  int64_t inner = 1;
  for (size_t k = 2; k < x.shape.size(); ++k) inner *= x.shape[k];
  const auto at = [&](int64_t image, int64_t c, int64_t i) {
    return static_cast<size_t>((image * channels + c) * inner + i);
  };
  std::vector<double> y(x.data.size());
  for (int64_t image = 0; image < x.shape[0]; ++image)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t i = 0; i < inner; ++i) {
        double sum = 0;
        for (int64_t j = std::max<int64_t>(0, c - reach); j <= std::min(channels - 1, c + reach);
             ++j)
          sum += std::pow(x.data[at(image, j, i)], 2);
        const size_t here = at(image, c, i);
        y[here] = x.data[here] * std::pow(a.k + a.alpha * sum, -a.beta);
      }
  return y;
}

}  // namespace

TEST_CASE("derivatives of two orders") {
  struct Row {
    Attributes attributes;
    Shape shape;
  };
  const Row rows[] = {
      {{}, {2, 7, 2}},
      {{.n = 3, .k = 1, .alpha = 0.3, .beta = 0.5}, {2, 4, 1, 2}},
      {{.n = 4, .k = 1.5, .alpha = 0.2, .beta = 0.75}, {1, 6, 2}},
      {{.n = 1, .k = 0.5, .alpha = 2, .beta = 2}, {3, 3}},
      {{.n = 0, .k = 1, .alpha = 1, .beta = 1}, {2, 3}},
      {{.n = 9, .k = 1, .alpha = 0.5, .beta = 1.25}, {2, 3, 2}},
      {{.n = 5, .k = 1, .alpha = 0.5, .beta = 0}, {1, 3, 2}},
      {{.n = 5, .k = 3, .alpha = -0.1, .beta = -0.5}, {1, 3, 2}},
  };
  for (const Row& row : rows) check_gradients(row.attributes.op(), {waves(row.shape)});
  for (const int64_t n : {0, 1, 2, 3, 20})
    check_gradients({"channel_window_sum", {attr("n", n)}}, {waves({2, 5, 2})});
}

TEST_CASE("gradients of 16-bit floats keep the range of float32 inside") {
  Bench bench;
  const Op op = Attributes{.n = 3, .k = 1, .alpha = 1, .beta = 1}.op();
  const ctn_variable x = bench.variable({{1, 2}, {300, 400}}, kFloat16);  // squares beyond 65504
  const ctn_variable y = op.one(bench, {x});
  CHECK(bench.values(y).data[1] == doctest::Approx(400.0 / 250001).epsilon(1e-3));
  ctn_grad_options options{};
  options.size = sizeof options;
  options.enable_double_backprop = 1;
  const ctn_variable big = bench.variable({{1, 2}, {30000, 30000}}, kFloat16);
  options.grad_outputs = &big;
  ctn_variable gx = nullptr, again = nullptr;
  REQUIRE(ctn_grad_of(&y, 1, &x, 1, &options, &gx) == CTN_OK);
  bench.keep(gx);
  // 30000 / s - 2 * x * 30000 * (x0 + x1) / s^2
  const double s = 250001;
  const double first = 3e4 / s - 2 * 300 * 3e4 * 700 / s / s;
  CHECK(bench.values(gx).data[0] == doctest::Approx(first).epsilon(2e-3));
  REQUIRE(ctn_grad_of(&gx, 1, &x, 1, &options, &again) == CTN_OK);
  for (const double v : bench.values(bench.keep(again)).data) CHECK(std::isfinite(v));
}

TEST_CASE("images of any shape, in any number of pieces, as plain loops have them") {
  const Shape shapes[] = {{2, 7, 50, 50}, {1, 30000}, {40000, 3}, {3, 5, 4000}, {2, 200, 3, 3, 7}};
  for (const Shape& shape : shapes)
    for (const Attributes& a :
         {Attributes{.alpha = 0.3}, Attributes{.n = 12, .k = 1, .alpha = 0.01, .beta = 0.6}}) {
      Bench bench;
      CAPTURE(shape[1]);
      const Values x = waves(shape);
      const std::vector<double> y = expected(x, a);
      const Values narrow = bench.values(a.op().one(bench, {bench.variable(x, kFloat32)}));
      const Values wide = bench.values(a.op().one(bench, {bench.variable(x)}));
      double error = 0, wide_error = 0;
      for (size_t i = 0; i < y.size(); ++i) {
        error = std::max(error, std::abs(narrow.data[i] - y[i]));
        wide_error = std::max(wide_error, std::abs(wide.data[i] - y[i]));
      }
      CHECK(error < 1e-6);
      CHECK(wide_error < 1e-14);
    }
}

// More elements than one group of images has, in images of many and of few pieces.
TEST_CASE("the gradient of a batch is that of its images") {
  for (const Shape& shape : {Shape{3, 5, 60000}, Shape{50, 4, 2500}}) {
    Bench bench;
    const Op op = Attributes{.alpha = 0.3}.op();
    const auto gradient = [&](const Values& x, const Values& gy) {
      const ctn_variable in = bench.variable(x, kFloat32), y = op.one(bench, {in});
      const ctn_variable start = bench.variable(gy, kFloat32);
      ctn_grad_options options{};
      options.size = sizeof options;
      options.grad_outputs = &start;
      ctn_variable gx = nullptr;
      REQUIRE(ctn_grad_of(&y, 1, &in, 1, &options, &gx) == CTN_OK);
      return bench.values(bench.keep(gx)).data;
    };
    const Values x = waves(shape), gy = waves(shape, 3);
    const std::vector<double> all = gradient(x, gy);
    const auto size = static_cast<size_t>(shape[1] * shape[2]);
    const auto image = [&](const std::vector<double>& v, size_t k) {
      return std::vector<double>(v.data() + k * size, v.data() + (k + 1) * size);
    };
    for (size_t k = 0; k < static_cast<size_t>(shape[0]); ++k) {
      const Shape one = {1, shape[1], shape[2]};
      CHECK(gradient({one, image(x.data, k)}, {one, image(gy.data, k)}) == image(all, k));
    }
  }
}

TEST_CASE("scales of any size, and none") {
  for (const ctn_dtype dtype : {kFloat32, ctn_dtype{CTN_DT_FLOAT, 64, 1}})
    for (const double beta : {0.75, 0.3}) {
      Bench bench;
      const ctn_variable x = bench.variable({{5, 1}, {1e-15, 1e-3, 1, 1e12, kInf}}, dtype);
      const Op op = Attributes{.n = 1, .k = 0, .alpha = 1, .beta = beta}.op();
      const std::vector<double> y = bench.values(op.one(bench, {x})).data;
      const double given[] = {1e-15, 1e-3, 1, 1e12};
      for (size_t i = 0; i < 4; ++i)
        CHECK(y[i] == doctest::Approx(std::pow(given[i], 1 - 2 * beta)).epsilon(1e-5));
      CHECK(std::isnan(y[4]));  // infinite over infinite
    }
  Bench bench;
  const ctn_variable x = bench.variable({{2, 1}, {3, 1e30}}, kFloat32);
  const Op flat = Attributes{.beta = 0}.op();
  CHECK(bench.values(flat.one(bench, {x})).data[0] == 3);
  CHECK(bench.values(flat.one(bench, {x})).data[1] == doctest::Approx(1e30));
}
