// Lines of softmax and rows of batch normalization on every instruction set, against sums in
// float64.
#include <cpu/nn/lines.h>
#include <cpu/nn/norm.h>

#include <limits>

#include "cpu/dense_support.h"

namespace {

using catena::cpu::kMostColumns;
using catena::cpu::Moments;
using catena::cpu::NormLoops;
using catena_test::for_each_isa;
using catena_test::Numbers;

constexpr int64_t kSizes[] = {1, 2, 7, 15, 16, 17, 33, 64, 100, 1023, 1025, 5000};

struct Expected {
  double peak, total, dot, sum;
};
template <class T>
Expected expect(const T* x, const T* g, int64_t n, int64_t step) {
  Expected e{-std::numeric_limits<double>::infinity(), 0, 0, 0};
  for (int64_t i = 0; i < n; ++i) e.peak = std::max(e.peak, static_cast<double>(x[i * step]));
  for (int64_t i = 0; i < n; ++i) e.total += std::exp(static_cast<double>(x[i * step]) - e.peak);
  for (int64_t i = 0; i < n; ++i) {
    const double p = std::exp(static_cast<double>(x[i * step]) - e.peak) / e.total;
    e.dot += p * static_cast<double>(g[i * step]);
    e.sum += static_cast<double>(g[i * step]);
  }
  return e;
}

// The largest error of five results over a line.
template <class T>
double line_error(const T* const (&got)[4], const T* x, const T* g, int64_t n, int64_t step) {
  const Expected e = expect(x, g, n, step);
  double worst = 0;
  for (int64_t k = 0; k < n; ++k) {
    const int64_t i = k * step;
    const double gi = static_cast<double>(g[i]);
    const double log_p = static_cast<double>(x[i]) - e.peak - std::log(e.total);
    const double p = std::exp(log_p);
    const double want[4] = {p, log_p, p * (gi - e.dot), gi - p * e.sum};
    for (int f = 0; f < 4; ++f) {
      const double error =
          std::abs(static_cast<double>(got[f][i]) - want[f]) / (1 + std::abs(want[f]));
      if (!(error <= worst)) worst = std::isnan(error) ? 1e300 : error;
    }
  }
  return worst;
}

template <class T>
constexpr double kTolerance = std::is_same_v<T, float> ? 4e-6 : 1e-13;

template <class T>
void check_rows() {
  const auto& f = catena::cpu::softmax_loops<T>();
  Numbers numbers(3);
  for (const int64_t n : kSizes) {
    CAPTURE(n);
    std::vector<T> x = numbers.floats<T>(n), g = numbers.floats<T>(n);
    for (T& v : x) v *= 20;
    std::vector<T> y(x), log_y(x), gx(x), log_gx(x);
    f.softmax(y.data(), x.data(), n);
    f.log_softmax(log_y.data(), x.data(), n);
    f.softmax_grad(gx.data(), y.data(), g.data(), n);
    f.log_softmax_grad(log_gx.data(), log_y.data(), g.data(), n);
    const T* const got[4] = {y.data(), log_y.data(), gx.data(), log_gx.data()};
    // sums of n gradients are of the size of n
    CHECK(line_error(got, x.data(), g.data(), n, 1) <
          kTolerance<T> * std::sqrt(static_cast<double>(n)));
    T peak, total;
    f.totals(x.data(), n, &peak, &total);
    f.scaled_exp(gx.data(), x.data(), peak, T(3) / total, n);
    for (int64_t i = 0; i < n; ++i)
      CHECK(std::abs(gx[static_cast<size_t>(i)] - 3 * y[static_cast<size_t>(i)]) <
            3 * kTolerance<T>);
  }
}

template <class T>
void check_columns() {
  const auto& f = catena::cpu::softmax_loops<T>();
  Numbers numbers(4);
  for (const int64_t m : {int64_t{1}, int64_t{5}, int64_t{16}, int64_t{63}, kMostColumns}) {
    const int64_t n = 21, step = m + 3;
    CAPTURE(m);
    std::vector<T> x = numbers.floats<T>(n * step), g = numbers.floats<T>(n * step);
    for (T& v : x) v *= 20;
    std::vector<T> y(x), log_y(x), gx(x), log_gx(x);
    f.column_softmax(y.data(), x.data(), n, step, m);
    f.column_log_softmax(log_y.data(), x.data(), n, step, m);
    f.column_softmax_grad(gx.data(), y.data(), g.data(), n, step, m);
    f.column_log_softmax_grad(log_gx.data(), log_y.data(), g.data(), n, step, m);
    for (int64_t j = 0; j < m; ++j) {
      const T* const got[4] = {y.data() + j, log_y.data() + j, gx.data() + j, log_gx.data() + j};
      CHECK(line_error(got, x.data() + j, g.data() + j, n, step) < 5 * kTolerance<T>);
    }
    for (int64_t k = 0; k < n; ++k)  // what lies between the columns is not touched
      CHECK(y[static_cast<size_t>(k * step + m)] == x[static_cast<size_t>(k * step + m)]);
  }
}

template <class T>
const NormLoops<T>& norm_loops(catena::cpu::Isa isa) {
  namespace c = catena::cpu;
  if constexpr (std::is_same_v<T, float>)
    return isa == c::Isa::kAvx512 ? c::avx512::kNormFloat
           : isa == c::Isa::kAvx2 ? c::avx2::kNormFloat
                                  : c::sse2::kNormFloat;
  else
    return isa == c::Isa::kAvx512 ? c::avx512::kNormDouble
           : isa == c::Isa::kAvx2 ? c::avx2::kNormDouble
                                  : c::sse2::kNormDouble;
}

// Numbers of deviation about 1 around an offset that leaves float32 only three digits of them.
template <class T>
void check_moments() {
  const NormLoops<T>& f = norm_loops<T>(catena::cpu::isa());
  Numbers numbers(5);
  for (const int64_t n : kSizes) {
    CAPTURE(n);
    std::vector<T> x = numbers.floats<T>(n), g = numbers.floats<T>(n);
    for (T& v : x) v = v + T(10000);
    double mean = 0, squares = 0;
    for (const T v : x) mean += static_cast<double>(v) / static_cast<double>(n);
    for (const T v : x) squares += std::pow(static_cast<double>(v) - mean, 2);
    Moments m;
    f.moments(&m, x.data(), n / 2);
    f.moments(&m, x.data() + n / 2, n - n / 2);
    CHECK(m.count == static_cast<double>(n));
    CHECK(m.mean == doctest::Approx(mean).epsilon(1e-12));
    CHECK(m.squares == doctest::Approx(squares).epsilon(1e-5));
    double sums[2] = {1, 2}, want[2] = {1, 2};
    f.dots(sums, g.data(), x.data(), static_cast<T>(mean), n);
    for (size_t i = 0; i < x.size(); ++i) {
      want[0] += static_cast<double>(g[i]);
      want[1] += static_cast<double>(g[i]) *
                 (static_cast<double>(x[i]) - static_cast<double>(static_cast<T>(mean)));
    }
    for (int k = 0; k < 2; ++k)
      CHECK(std::abs(sums[k] - want[k]) < kTolerance<T> * std::sqrt(static_cast<double>(n)));
  }
}

}  // namespace

TEST_CASE("rows of softmax and its gradients") {
  for_each_isa([] {
    check_rows<float>();
    check_rows<double>();
  });
}

TEST_CASE("columns of softmax and its gradients") {
  for_each_isa([] {
    check_columns<float>();
    check_columns<double>();
  });
}

TEST_CASE("softmax of infinities and NaN") {
  for_each_isa([] {
    const auto& f = catena::cpu::softmax_loops<float>();
    const float inf = std::numeric_limits<float>::infinity();
    for (const int64_t n : {3, 40}) {
      std::vector<float> x(static_cast<size_t>(n), -inf), y(x);
      f.softmax(y.data(), x.data(), n);
      for (const float v : y) CHECK(std::isnan(v));
      x[1] = 1e30f;
      f.softmax(y.data(), x.data(), n);
      CHECK(y[1] == 1.0f);
      CHECK(y[0] == 0.0f);
      f.log_softmax(y.data(), x.data(), n);
      CHECK(y[1] == 0.0f);
      CHECK(y[2] == -inf);
      x[0] = std::nanf("");
      f.softmax(y.data(), x.data(), n);
      for (const float v : y) CHECK(std::isnan(v));
    }
  });
}

TEST_CASE("moments keep their digits beside a large mean") {
  for_each_isa([] {
    check_moments<float>();
    check_moments<double>();
  });
}
