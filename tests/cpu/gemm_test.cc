// Matrix products of the cpu backend against plain loops: every instruction set this machine has,
// all transpositions, edges of tiles and blocks, batches, and equal bits for any number of threads.
#include <cpu/blas/gemm.h>

#include <cstring>

#include "cpu/dense_support.h"
#include "cpu/fake_host.h"
#include "main.h"

using namespace catena::cpu;
using namespace catena_test;

namespace {

struct Shape {
  int64_t m, n, k;
  bool transa = false, transb = false;
  bool add = false, bias = false;
  int64_t gap = 0;  // elements between the rows of every matrix
};

template <class T>
struct Case {
  Shape s;
  int64_t lda, ldb, ldc;
  std::vector<T> a, b, c, bias;

  Case(const Shape& shape, Numbers& numbers)
      : s(shape),
        lda((s.transa ? s.m : s.k) + s.gap),
        ldb((s.transb ? s.k : s.n) + s.gap),
        ldc(s.n + s.gap),
        a(numbers.floats<T>((s.transa ? s.k : s.m) * lda)),
        b(numbers.floats<T>((s.transb ? s.n : s.k) * ldb)),
        c(numbers.floats<T>(s.m * ldc)),
        bias(numbers.floats<T>(s.n)) {}

  Gemm<T> gemm() {
    return {s.m,
            s.n,
            s.k,
            {a.data(), s.transa ? 1 : lda, s.transa ? lda : 1},
            {b.data(), s.transb ? 1 : ldb, s.transb ? ldb : 1},
            c.data(),
            ldc,
            s.add,
            s.bias ? bias.data() : nullptr};
  }

  // c after the product; what lies between its rows stays.
  std::vector<double> expected() const {
    std::vector<double> want(c.begin(), c.end());
    for (int64_t i = 0; i < s.m; ++i) {
      for (int64_t j = 0; j < s.n; ++j) {
        double sum = s.bias ? static_cast<double>(bias[at(j)]) : 0;
        for (int64_t p = 0; p < s.k; ++p) {
          sum += static_cast<double>(a[at(s.transa ? p * lda + i : i * lda + p)]) *
                 static_cast<double>(b[at(s.transb ? j * ldb + p : p * ldb + j)]);
        }
        double& to = want[at(i * ldc + j)];
        to = s.add ? to + sum : sum;
      }
    }
    return want;
  }
  static size_t at(int64_t i) { return static_cast<size_t>(i); }
};

template <class T>
void check(FakeHost& host, const Shape& s, Numbers& numbers) {
  Case<T> one(s, numbers);
  const std::vector<double> want = one.expected();
  gemm(host.exec(), dense<T>(), one.gemm());
  host.end_of_kernel();
  INFO(s.m << "x" << s.n << "x" << s.k << " " << s.transa << s.transb << " add " << s.add
           << " bias " << s.bias << " gap " << s.gap << " bytes " << sizeof(T));
  CHECK(worst_error(one.c, want, s.k) < 1);
}

// Shapes that split into several tasks, blocks and rounds.
const Shape kLarge[] = {
    {1100, 301, 17, true},        {100, 300, 784, false, true, false, true},
    {1000, 100, 65, true, false}, {70, 1100, 1100, false, false, true},
    {300, 45, 1300, true, true},  {20, 650, 1030, false, true, true, true},
    {900, 41, 500, false, false},
};

}  // namespace

TEST_CASE_TEMPLATE("small products of every form", T, float, double) {
  FakeHost host;
  Numbers numbers(1);
  for_each_isa([&] {
    for (int form = 0; form < 32; ++form) {
      for (int repeat = 0; repeat < 12; ++repeat) {
        check<T>(host,
                 {numbers.between(1, 70), numbers.between(1, 70), numbers.between(1, 70),
                  (form & 1) != 0, (form & 2) != 0, (form & 4) != 0, (form & 8) != 0,
                  (form & 16) != 0 ? numbers.between(1, 9) : 0},
                 numbers);
      }
    }
  });
}

TEST_CASE_TEMPLATE("every edge of a tile", T, float, double) {
  FakeHost host;
  Numbers numbers(2);
  for_each_isa([&] {
    for (int64_t m = 1; m <= 31; ++m) {
      check<T>(host, {m, 41, 19}, numbers);
      check<T>(host, {41, m, 19}, numbers);
      check<T>(host, {43, 42, m, true, true}, numbers);
      check<T>(host, {m, 7, m, false, true}, numbers);
    }
  });
}

TEST_CASE_TEMPLATE("products of several blocks and tasks", T, float, double) {
  FakeHost host(2);
  Numbers numbers(3);
  for_each_isa([&] {
    for (const Shape& s : kLarge) check<T>(host, s, numbers);
  });
}

TEST_CASE_TEMPLATE("bits do not depend on the threads", T, float, double) {
  FakeHost host;
  Numbers numbers(4);
  for (const Shape& s : kLarge) {
    Case<T> one(s, numbers);
    const std::vector<T> start = one.c;
    gemm(host.exec(), dense<T>(), one.gemm());
    const std::vector<T> want = one.c;
    for (const int threads : {2, 3, 8}) {
      host.set_threads(threads);
      one.c = start;
      gemm(host.exec(), dense<T>(), one.gemm());
      CHECK(std::memcmp(one.c.data(), want.data(), want.size() * sizeof(T)) == 0);
    }
    host.set_threads(1);
    host.end_of_kernel();
  }
}

TEST_CASE_TEMPLATE("no steps give zeros or the bias; no rows or columns touch nothing", T, float,
                   double) {
  FakeHost host;
  Numbers numbers(5);
  for_each_isa([&] {
    for (const bool add : {false, true}) {
      for (const bool bias : {false, true}) {
        check<T>(host, {50, 50, 0, false, false, add, bias}, numbers);
        check<T>(host, {5, 50, 0, false, true, add, bias}, numbers);
        check<T>(host, {0, 50, 3, false, true, add, bias}, numbers);
        check<T>(host, {50, 0, 3, false, false, add, bias}, numbers);
      }
    }
  });
}

TEST_CASE_TEMPLATE("operands with gaps between all elements", T, float, double) {
  FakeHost host;
  Numbers numbers(6);
  for_each_isa([&] {
    const int64_t m = 33, n = 45, k = 29;
    const std::vector<T> a = numbers.floats<T>(m * k * 3), b = numbers.floats<T>(k * n * 2);
    std::vector<T> c(static_cast<size_t>(m * n));
    std::vector<double> want(c.size());
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j)
        for (int64_t p = 0; p < k; ++p)
          want[static_cast<size_t>(i * n + j)] +=
              static_cast<double>(a[static_cast<size_t>(i * k * 3 + p * 3)]) *
              static_cast<double>(b[static_cast<size_t>(p * 2 + j * k * 2)]);
    gemm<T>(host.exec(), dense<T>(),
            {m, n, k, {a.data(), k * 3, 3}, {b.data(), 2, k * 2}, c.data(), n});
    CHECK(worst_error(c, want, k) < 1);
  });
}

TEST_CASE_TEMPLATE("infinities and NaN stay in their row", T, float, double) {
  FakeHost host;
  Numbers numbers(7);
  for_each_isa([&] {
    for (const bool transb : {false, true}) {
      Case<T> one({50, 60, 40, false, transb}, numbers);
      one.a[Case<T>::at(7 * one.lda + 3)] = std::numeric_limits<T>::quiet_NaN();
      one.a[Case<T>::at(9 * one.lda + 3)] = std::numeric_limits<T>::infinity();
      gemm(host.exec(), dense<T>(), one.gemm());
      for (int64_t i = 0; i < 50; ++i) {
        for (int64_t j = 0; j < 60; ++j) {
          const T x = one.c[Case<T>::at(i * one.ldc + j)];
          CHECK(std::isnan(x) == (i == 7));
          CHECK(std::isinf(x) == (i == 9));
        }
      }
    }
  });
}

TEST_CASE_TEMPLATE("batches equal their products one by one", T, float, double) {
  FakeHost host(2);
  Numbers numbers(8);
  const Shape shapes[] = {
      {7, 9, 11}, {50, 60, 70}, {8, 30, 5, false, true}, {200, 180, 190}, {64, 64, 64, true, true}};
  for_each_isa([&] {
    for (const Shape& s : shapes) {
      const int64_t count = s.m > 100 ? 2 : 9;
      const std::vector<T> a = numbers.floats<T>(count * s.m * s.k);
      const std::vector<T> b = numbers.floats<T>(s.k * s.n);  // the same for all
      std::vector<T> c(static_cast<size_t>(count * s.m * s.n)), want(c);
      const int64_t lda = s.transa ? s.m : s.k, ldb = s.transb ? s.k : s.n;
      Gemm<T> g{s.m,
                s.n,
                s.k,
                {a.data(), s.transa ? 1 : lda, s.transa ? lda : 1},
                {b.data(), s.transb ? 1 : ldb, s.transb ? ldb : 1},
                c.data(),
                s.n};
      gemm_batch(host.exec(), dense<T>(), g, count, s.m * s.k, 0, s.m * s.n);
      for (int64_t i = 0; i < count; ++i) {
        Gemm<T> single = g;
        single.a.p += i * s.m * s.k;
        single.c = want.data() + i * s.m * s.n;
        gemm(host.exec(), dense<T>(), single);
      }
      CHECK(c == want);
      host.end_of_kernel();
    }
  });
}
