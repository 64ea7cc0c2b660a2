// The kernels of pooling, matmul, linear and convolution as the runtime calls them: pooling against
// plain loops, operands of 16 bits and of mixed dtypes against the same kernel in float64.
#include <catena/op_attrs.hpp>

#include <cpu/kernels.h>

#include <limits>

#include "cpu/dense_support.h"
#include "cpu/fake_host.h"
#include "main.h"

using namespace catena;
using namespace catena_test;

namespace {

// An array in C order of any dtype that floats can be written to.
class Array {
 public:
  Array(int dtype, std::vector<int64_t> shape)
      : shape_(std::move(shape)), strides_(shape_.size()), bytes_(sdk::dtype_of(dtype).bits / 8) {
    int64_t step = 1;
    for (size_t k = shape_.size(); k-- > 0; step *= shape_[k]) strides_[k] = step;
    memory_.assign(static_cast<size_t>(step * bytes_), 0xff);
    t_.t.dtype = sdk::dtype_of(dtype);
    t_.t.ndim = static_cast<int32_t>(shape_.size());
  }
  Array(int dtype, std::vector<int64_t> shape, const std::vector<double>& values)
      : Array(dtype, std::move(shape)) {
    REQUIRE(static_cast<int64_t>(values.size()) == size());
    with_type([&]<class T>(T* p) {
      for (size_t i = 0; i < values.size(); ++i) p[i] = T(values[i]);
    });
  }
  int64_t size() const { return static_cast<int64_t>(memory_.size()) / bytes_; }
  ctn_tensor tensor() {
    t_.t.data = memory_.data();
    t_.t.shape = shape_.data();
    t_.t.strides = strides_.data();
    return t_;
  }
  void transpose() {  // of a matrix: its strides say so
    std::swap(shape_[0], shape_[1]);
    std::swap(strides_[0], strides_[1]);
  }
  std::vector<double> values() {
    std::vector<double> v(static_cast<size_t>(size()));
    with_type([&]<class T>(T* p) {
      for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<double>(p[i]);
    });
    return v;
  }

 private:
  template <class Fn>
  void with_type(Fn&& fn) {
    sdk::dispatch<float, double, sdk::float16, sdk::bfloat16, int32_t>(
        t_.t.dtype, [&]<class T>() { fn(reinterpret_cast<T*>(memory_.data())); });
  }

  std::vector<int64_t> shape_, strides_;
  int64_t bytes_;
  std::vector<unsigned char> memory_;
  ctn_tensor t_{};
};

ctn_tensor absent() {
  ctn_tensor t{};
  t.t.ndim = -1;
  return t;
}

using Pair = std::array<int64_t, 2>;
ctn_value pair(const Pair& p) { return sdk::Value(p).v; }

struct Pool {
  int64_t n, c, h, w;
  Pair k, s, p;
  bool cover_all;
  int64_t out(size_t axis) const {
    const int64_t size = axis == 0 ? h : w;
    return (size + 2 * p[axis] - k[axis] + (cover_all ? s[axis] - 1 : 0)) / s[axis] + 1;
  }
  std::vector<int64_t> large() const { return {n, c, h, w}; }
  std::vector<int64_t> small() const { return {n, c, out(0), out(1)}; }
};

const Pool kPools[] = {
    {2, 3, 6, 8, {2, 2}, {2, 2}, {0, 0}, true},   {2, 3, 7, 9, {2, 2}, {2, 2}, {0, 0}, true},
    {2, 3, 7, 9, {2, 2}, {2, 2}, {0, 0}, false},  {1, 2, 1, 1, {1, 1}, {1, 1}, {0, 0}, false},
    {1, 2, 8, 40, {3, 3}, {2, 2}, {0, 0}, true},  {2, 1, 8, 41, {3, 2}, {1, 3}, {1, 1}, false},
    {2, 1, 8, 9, {3, 3}, {1, 1}, {1, 1}, true},   {1, 1, 4, 4, {2, 2}, {5, 5}, {1, 1}, true},
    {1, 2, 5, 6, {4, 5}, {3, 1}, {3, 4}, true},   // windows that begin wholly in the padding
    {1, 2, 3, 3, {2, 2}, {2, 2}, {4, 4}, false},  // windows that see nothing else
    {1, 1, 33, 70, {2, 2}, {2, 2}, {0, 0}, true},
};

// fn(window, position in it, element of the large side) for all elements that are not padding.
template <class Fn>
void for_each_element(const Pool& p, Fn&& fn) {
  size_t window = 0;
  for (int64_t plane = 0; plane < p.n * p.c; ++plane)
    for (int64_t oy = 0; oy < p.out(0); ++oy)
      for (int64_t ox = 0; ox < p.out(1); ++ox, ++window)
        for (int64_t ky = 0; ky < p.k[0]; ++ky)
          for (int64_t kx = 0; kx < p.k[1]; ++kx) {
            const int64_t y = oy * p.s[0] - p.p[0] + ky, x = ox * p.s[1] - p.p[1] + kx;
            if (y < 0 || y >= p.h || x < 0 || x >= p.w) continue;
            fn(window, static_cast<int>(ky * p.k[1] + kx),
               static_cast<size_t>((plane * p.h + y) * p.w + x));
          }
}

double close(const std::vector<double>& got, const std::vector<double>& want, double unit) {
  double worst = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (got[i] == want[i]) continue;
    const double error = std::abs(got[i] - want[i]) / (unit * std::max(1.0, std::abs(want[i])));
    if (!(error <= worst)) worst = std::isnan(error) ? 1e300 : error;
  }
  return worst;
}

const int kFloats[] = {CTN_FLOAT32, CTN_FLOAT64, CTN_FLOAT16, CTN_BFLOAT16};
double unit(int dtype) {
  return dtype == CTN_FLOAT64   ? 1e-15
         : dtype == CTN_FLOAT32 ? 1e-6
         : dtype == CTN_FLOAT16 ? 1e-3
                                : 8e-3;
}

}  // namespace

TEST_CASE(
    "pooling: maxima with their positions, what is scattered to them and gathered from them") {
  FakeHost host(2);
  host.take(cpu::register_pooling);
  Numbers numbers(21);
  for_each_isa([&] {
    for (const Pool& p : kPools) {
      for (const int dtype : kFloats) {
        INFO("row " << &p - kPools << ", dtype " << dtype);
        // few different values: ties
        std::vector<double> values(static_cast<size_t>(sdk::size_of(p.large())));
        for (double& v : values) v = static_cast<double>(numbers.between(-3, 3));
        Array x(dtype, p.large(), values), y(dtype, p.small()), at(CTN_INT32, p.small());
        const size_t windows = static_cast<size_t>(y.size());
        std::vector<double> best(windows, -std::numeric_limits<double>::infinity());
        std::vector<double> where(windows);
        std::vector<size_t> element(windows, SIZE_MAX);
        for_each_element(p, [&](size_t w, int position, size_t e) {
          if (values[e] <= best[w]) return;
          best[w] = values[e];
          where[w] = position;
          element[w] = e;
        });
        const auto k = pair(p.k), s = pair(p.s), pad = pair(p.p);
        REQUIRE(host.run("max_pooling_2d_indexed", {x.tensor()}, {y.tensor(), at.tensor()},
                         {k, s, pad, sdk::Value(p.cover_all).v}) == "");
        CHECK(y.values() == best);
        CHECK(at.values() == where);

        std::vector<double> scattered(values.size()), gathered(windows);
        Array gy(dtype, p.small(), std::vector<double>(windows, 0.25));
        for (size_t w = 0; w < windows; ++w) {
          if (element[w] == SIZE_MAX) continue;
          scattered[element[w]] += 0.25;
          gathered[w] = values[element[w]];
        }
        Array gx(dtype, p.large());
        const Pair outsize{p.h, p.w};
        REQUIRE(host.run("pooling_scatter_2d", {gy.tensor(), at.tensor()}, {gx.tensor()},
                         {pair(outsize), k, s, pad}) == "");
        CHECK(gx.values() == scattered);
        REQUIRE(host.run("pooling_gather_2d", {x.tensor(), at.tensor()}, {y.tensor()},
                         {k, s, pad}) == "");
        CHECK(y.values() == gathered);
      }
    }
  });
}

TEST_CASE("pooling: means and their gradient") {
  FakeHost host(2);
  host.take(cpu::register_pooling);
  Numbers numbers(22);
  for_each_isa([&] {
    for (const Pool& p : kPools) {
      for (const int dtype : kFloats) {
        INFO("row " << &p - kPools << ", dtype " << dtype);
        Array x(dtype, p.large(), numbers.floats<double>(sdk::size_of(p.large())));
        Array gy(dtype, p.small(), numbers.floats<double>(sdk::size_of(p.small())));
        const auto xs = x.values(), gys = gy.values();  // rounded
        std::vector<double> mean(gys.size()), spread(xs.size());
        const double count = static_cast<double>(p.k[0] * p.k[1]);
        for_each_element(p, [&](size_t w, int, size_t e) {
          mean[w] += xs[e] / count;
          spread[e] += gys[w] / count;
        });
        const auto k = pair(p.k), s = pair(p.s), pad = pair(p.p);
        Array y(dtype, p.small()), gx(dtype, p.large());
        REQUIRE(host.run("average_pooling_2d", {x.tensor()}, {y.tensor()}, {k, s, pad}) == "");
        CHECK(close(y.values(), mean, unit(dtype)) < 1);
        const Pair outsize{p.h, p.w};
        REQUIRE(host.run("average_pooling_2d_grad", {gy.tensor()}, {gx.tensor()},
                         {pair(outsize), k, s, pad}) == "");
        CHECK(close(gx.values(), spread, unit(dtype)) < 1);
      }
    }
  });
}

TEST_CASE(
    "pooling: the first NaN of a window is its maximum; indexes out of a window are refused") {
  FakeHost host;
  host.take(cpu::register_pooling);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Pair two{2, 2}, none{0, 0}, outsize{4, 4};
  for_each_isa([&] {
    for (const int64_t width : {4, 5}) {  // in pairs of rows, and the general way
      std::vector<double> values(static_cast<size_t>(4 * width), 1.0);
      values[1] = values[static_cast<size_t>(width)] = nan;
      values[static_cast<size_t>(2 * width)] = std::numeric_limits<double>::infinity();
      Array x(CTN_FLOAT32, {1, 1, 4, width}, values);
      Array y(CTN_FLOAT32, {1, 1, 2, 2}), at(CTN_INT32, {1, 1, 2, 2});
      REQUIRE(host.run("max_pooling_2d_indexed", {x.tensor()}, {y.tensor(), at.tensor()},
                       {pair(two), pair(two), pair(none), sdk::Value(false).v}) == "");
      CHECK(std::isnan(y.values()[0]));
      CHECK(at.values() == std::vector<double>{1, 0, 0, 0});
    }
    for (const double bad : {-1.0, 4.0}) {
      Array gy(CTN_FLOAT32, {1, 1, 2, 2}, {1, 1, 1, 1}), gx(CTN_FLOAT32, {1, 1, 4, 4});
      Array at(CTN_INT32, {1, 1, 2, 2}, {0, 3, bad, 0});
      CHECK(host.run("pooling_scatter_2d", {gy.tensor(), at.tensor()}, {gx.tensor()},
                     {pair(outsize), pair(two), pair(two), pair(none)})
                .find("is not within a window of 2 x 2") != std::string::npos);
    }
  });
}

TEST_CASE("matmul and linear: dtypes, strides, stacks") {
  FakeHost host(2);
  host.take(cpu::register_matmul);
  Numbers numbers(23);
  const auto no = sdk::Value(false).v, yes = sdk::Value(true).v;
  for_each_isa([&] {
    for (const int da : kFloats) {
      for (const int db : kFloats) {
        INFO("dtypes " << da << " " << db);
        const int64_t m = 5, k = 37, n = 43;
        Array a(da, {k, m}, numbers.floats<double>(m * k)), b(db, {k, n});
        b = Array(db, {k, n}, numbers.floats<double>(k * n));
        Array bias(da, {n}, numbers.floats<double>(n)), y(da, {m, n}), y2(da, {m, n});
        const auto av = a.values(), bv = b.values(), cv = bias.values();
        std::vector<double> want(static_cast<size_t>(m * n)), with_bias(want.size());
        for (size_t i = 0; i < 5; ++i)
          for (size_t j = 0; j < 43; ++j) {
            for (size_t p = 0; p < 37; ++p) want[i * 43 + j] += av[p * 5 + i] * bv[p * 43 + j];
            with_bias[i * 43 + j] = want[i * 43 + j] + cv[j];
          }
        const double tolerance =
            4 * unit(da == CTN_FLOAT64 && db != CTN_FLOAT64 ? CTN_FLOAT64 : da);
        REQUIRE(host.run("matmul", {a.tensor(), b.tensor()}, {y.tensor()}, {yes, no}) == "");
        CHECK(close(y.values(), want, tolerance) < 1);
        a.transpose();  // the same matrix by strides
        b.transpose();
        REQUIRE(host.run("matmul", {a.tensor(), b.tensor()}, {y2.tensor()}, {no, yes}) == "");
        CHECK(close(y2.values(), want, tolerance) < 1);
        REQUIRE(host.run("linear", {a.tensor(), b.tensor(), bias.tensor()}, {y.tensor()}, {}) ==
                "");
        CHECK(close(y.values(), with_bias, tolerance) < 1);
        REQUIRE(host.run("linear", {a.tensor(), b.tensor(), absent()}, {y.tensor()}, {}) == "");
        CHECK(close(y.values(), want, tolerance) < 1);
      }
    }
  });
}

TEST_CASE("convolutions in 16 bits round once") {
  FakeHost host(2);
  host.take(cpu::register_conv);
  Numbers numbers(24);
  const Pair two{2, 2}, one{1, 1}, ksize{3, 3};
  const auto groups = sdk::Value(1).v;
  for (const int dtype : kFloats) {
    INFO("dtype " << dtype);
    Array x(dtype, {2, 3, 7, 6}, numbers.floats<double>(252));
    Array w(dtype, {4, 3, 3, 3}, numbers.floats<double>(108));
    Array b(dtype, {4}, numbers.floats<double>(4)), y(dtype, {2, 4, 4, 3});
    Array gx(dtype, {2, 3, 7, 6}), gw(dtype, {4, 3, 3, 3});
    const auto xv = x.values(), wv = w.values(), bv = b.values();
    Array x64(CTN_FLOAT64, {2, 3, 7, 6}, xv), w64(CTN_FLOAT64, {4, 3, 3, 3}, wv);
    Array b64(CTN_FLOAT64, {4}, bv), y64(CTN_FLOAT64, {2, 4, 4, 3});
    namespace c = attr::convolution_2d;
    std::vector<ctn_value> attrs(5);
    attrs[c::stride] = pair(two);
    attrs[c::pad] = pair(one);
    attrs[c::cover_all] = sdk::Value(false).v;
    attrs[c::dilate] = pair(one);
    attrs[c::groups] = groups;
    REQUIRE(host.run("convolution_2d", {x.tensor(), w.tensor(), b.tensor()}, {y.tensor()}, attrs) ==
            "");
    REQUIRE(host.run("convolution_2d", {x64.tensor(), w64.tensor(), b64.tensor()}, {y64.tensor()},
                     attrs) == "");
    CHECK(close(y.values(), y64.values(), unit(dtype)) < 1);

    Array gy64(CTN_FLOAT64, {2, 4, 4, 3}, y.values());
    Array gx64(CTN_FLOAT64, {2, 3, 7, 6}), gw64(CTN_FLOAT64, {4, 3, 3, 3});
    namespace d = attr::deconvolution_2d;
    attrs[d::stride] = pair(two);
    attrs[d::pad] = pair(one);
    attrs[d::outsize] = sdk::Value(sdk::none).v;
    attrs[d::dilate] = pair(one);
    attrs[d::groups] = groups;
    REQUIRE(host.run("deconvolution_2d", {y.tensor(), w.tensor(), absent()}, {gx.tensor()},
                     attrs) == "");
    REQUIRE(host.run("deconvolution_2d", {gy64.tensor(), w64.tensor(), absent()}, {gx64.tensor()},
                     attrs) == "");
    CHECK(close(gx.values(), gx64.values(), 2 * unit(dtype)) < 1);

    namespace g = attr::convolution_2d_weights;
    attrs[g::ksize] = pair(ksize);
    attrs[g::stride] = pair(two);
    attrs[g::pad] = pair(one);
    attrs[g::dilate] = pair(one);
    attrs[g::groups] = groups;
    REQUIRE(host.run("convolution_2d_weights", {x.tensor(), y.tensor()}, {gw.tensor()}, attrs) ==
            "");
    REQUIRE(host.run("convolution_2d_weights", {x64.tensor(), gy64.tensor()}, {gw64.tensor()},
                     attrs) == "");
    CHECK(close(gw.values(), gw64.values(), 2 * unit(dtype)) < 1);
  }
}
