// Convolution, its transpose and the gradient of its weights against plain loops: strides, padding,
// dilation, groups, sizes that the stride does not divide, every instruction set.
#include <cpu/blas/conv.h>

#include <cstdlib>
#include <cstring>
#include <random>
#include <sstream>

#include "cpu/dense_support.h"
#include "cpu/fake_host.h"
#include "main.h"

using namespace catena::cpu;
using namespace catena_test;

namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

int64_t out_size(int64_t size, int64_t kernel, int64_t stride, int64_t pad, bool cover_all,
                 int64_t dilate) {
  const int64_t reach = kernel + (kernel - 1) * (dilate - 1);
  return (size + 2 * pad - reach + (cover_all ? stride - 1 : 0)) / stride + 1;
}

// images, channels, filters, groups, height, width, kernel, stride, pad, dilate (y and x),
// cover_all
struct Row {
  int64_t n, c, f, g, h, w, kh, kw, sy, sx, py, px, dy, dx;
  bool cover_all;
};

ConvShape shape(const Row& r) {
  return {r.n,
          r.c,
          r.h,
          r.w,
          r.f,
          out_size(r.h, r.kh, r.sy, r.py, r.cover_all, r.dy),
          out_size(r.w, r.kw, r.sx, r.px, r.cover_all, r.dx),
          r.kh,
          r.kw,
          r.sy,
          r.sx,
          r.py,
          r.px,
          r.dy,
          r.dx,
          r.g};
}

const Row kRows[] = {
    {2, 3, 4, 1, 6, 5, 3, 3, 1, 1, 0, 0, 1, 1, false},
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, false},
    {2, 3, 4, 1, 6, 5, 3, 2, 2, 1, 1, 0, 1, 1, false},
    {2, 3, 5, 1, 6, 7, 3, 3, 2, 2, 0, 0, 1, 1, true},
    {2, 3, 4, 1, 6, 5, 3, 3, 1, 1, 2, 2, 2, 2, false},
    {2, 3, 4, 1, 6, 5, 3, 2, 1, 2, 2, 1, 2, 1, false},
    {2, 4, 6, 2, 6, 5, 3, 3, 1, 1, 1, 1, 1, 1, false},
    {2, 3, 6, 3, 6, 5, 2, 3, 2, 2, 1, 1, 1, 1, false},
    {3, 5, 7, 1, 9, 8, 1, 1, 1, 1, 0, 0, 1, 1, false},   // 1x1
    {3, 5, 7, 1, 9, 8, 1, 1, 2, 2, 0, 0, 1, 1, false},   // rows and columns that no tap reaches
    {2, 3, 4, 1, 5, 5, 2, 2, 3, 4, 0, 0, 1, 1, true},    // stride above the kernel
    {2, 2, 3, 1, 4, 4, 3, 3, 1, 1, 4, 4, 1, 1, false},   // windows wholly in the padding
    {2, 2, 3, 1, 12, 14, 3, 3, 2, 3, 2, 3, 3, 2, true},  // everything at once
    {5, 1, 20, 1, 28, 28, 5, 5, 1, 1, 0, 0, 1, 1, false},
    {5, 20, 50, 1, 12, 12, 5, 5, 1, 1, 0, 0, 1, 1, false},
    {9, 33, 65, 1, 2, 2, 3, 3, 1, 1, 1, 1, 1, 1, false},  // panels over many images
    {2, 16, 18, 1, 33, 35, 3, 3, 1, 1, 1, 1, 1, 1, false},
    {1, 40, 40, 20, 9, 9, 3, 3, 1, 1, 1, 1, 1, 1, false},  // many groups
    {1, 3, 8, 1, 40, 40, 7, 7, 2, 2, 3, 3, 1, 1, false},
    {1, 70, 15, 1, 20, 20, 3, 3, 1, 1, 1, 1, 1, 1, false},
    {16, 37, 80, 1, 4, 8, 4, 4, 1, 1, 1, 1, 1, 1, false},  // scattered, one channel at the end
};

// fn(image, filter, out_y, out_x, channel, y, x, index in W) for every product of the convolution.
template <class Fn>
void for_each_product(const ConvShape& s, Fn&& fn) {
  const int64_t cg = s.channels / s.groups, fg = s.filters / s.groups;
  for (int64_t n = 0; n < s.images; ++n)
    for (int64_t f = 0; f < s.filters; ++f)
      for (int64_t oy = 0; oy < s.out_height; ++oy)
        for (int64_t ox = 0; ox < s.out_width; ++ox)
          for (int64_t c = 0; c < cg; ++c)
            for (int64_t ky = 0; ky < s.kernel_h; ++ky)
              for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
                const int64_t y = oy * s.stride_y - s.pad_y + ky * s.dilate_y;
                const int64_t x = ox * s.stride_x - s.pad_x + kx * s.dilate_x;
                if (y < 0 || y >= s.height || x < 0 || x >= s.width) continue;
                const int64_t channel = f / fg * cg + c;
                fn(at(((n * s.filters + f) * s.out_height + oy) * s.out_width + ox),
                   at(((n * s.channels + channel) * s.height + y) * s.width + x),
                   at(((f * cg + c) * s.kernel_h + ky) * s.kernel_w + kx));
              }
}

template <class T>
struct Case {
  ConvShape s;
  std::vector<T> x, y, w, filter_bias, channel_bias;
  Case(const Row& r, Numbers& numbers)
      : s(shape(r)),
        x(numbers.floats<T>(s.images * s.channels * s.height * s.width)),
        y(numbers.floats<T>(s.images * s.filters * s.out_height * s.out_width)),
        w(numbers.floats<T>(s.filters * s.channels / s.groups * s.kernel_h * s.kernel_w)),
        filter_bias(numbers.floats<T>(s.filters)),
        channel_bias(numbers.floats<T>(s.channels)) {}

  std::vector<double> planes(size_t n, const std::vector<T>& bias, int64_t plane) const {
    std::vector<double> to(n);
    for (size_t i = 0; i < n; ++i) {
      to[i] = static_cast<double>(bias[i / at(plane) % bias.size()]);
    }
    return to;
  }
  std::vector<double> forward() const {
    auto to = planes(y.size(), filter_bias, s.out_height * s.out_width);
    for_each_product(s, [&](size_t yi, size_t xi, size_t wi) {
      to[yi] += static_cast<double>(x[xi]) * static_cast<double>(w[wi]);
    });
    return to;
  }
  std::vector<double> transpose() const {
    auto to = planes(x.size(), channel_bias, s.height * s.width);
    for_each_product(s, [&](size_t yi, size_t xi, size_t wi) {
      to[xi] += static_cast<double>(y[yi]) * static_cast<double>(w[wi]);
    });
    return to;
  }
  std::vector<double> weights() const {
    std::vector<double> to(w.size());
    for_each_product(s, [&](size_t yi, size_t xi, size_t wi) {
      to[wi] += static_cast<double>(y[yi]) * static_cast<double>(x[xi]);
    });
    return to;
  }
};

}  // namespace

namespace {

template <class T>
void check(FakeHost& host, const Case<T>& one) {
  const ConvShape& s = one.s;
  REQUIRE(s.out_height > 0);
  REQUIRE(s.out_width > 0);
  const auto y = one.forward(), x = one.transpose(), gw = one.weights();
  const int64_t kernel = s.kernel_h * s.kernel_w;
  for_each_isa([&] {
    std::vector<T> got(y.size());
    conv_forward<T>(host.exec(), s, one.x.data(), one.w.data(), one.filter_bias.data(), got.data());
    CHECK(worst_error(got, y, kernel * s.channels) < 1);
    got.assign(x.size(), T{7});
    conv_transpose<T>(host.exec(), s, one.y.data(), one.w.data(), one.channel_bias.data(),
                      got.data());
    CHECK(worst_error(got, x, kernel * s.filters) < 1);
    got.assign(gw.size(), T{7});
    conv_weights<T>(host.exec(), s, one.x.data(), one.y.data(), got.data());
    CHECK(worst_error(got, gw, s.images * s.out_height * s.out_width) < 1);
    host.end_of_kernel();
  });
}

// Of up to about five million multiplications.
Row draw(std::mt19937& engine) {
  const auto of = [&](int64_t least, int64_t most) {
    return least + static_cast<int64_t>(engine() % static_cast<uint64_t>(most - least + 1));
  };
  const auto side = [&] { return of(1, 4) == 1 ? of(1, 40) : of(1, 9); };
  for (;;) {
    const int64_t g = of(1, 5) == 1 ? of(2, 20) : 1, stride = of(1, 3) == 1 ? of(2, 3) : 1;
    Row r{of(1, 20), g * of(1, 40), g * of(1, 90), g,        side(),
          side(),    of(1, 5),      of(1, 5),      stride,   stride,
          of(0, 3),  of(0, 3),      of(1, 2),      of(1, 2), of(1, 4) == 1};
    const ConvShape s = shape(r);
    if (s.out_height < 1 || s.out_width < 1) continue;
    const int64_t macs = s.images * s.filters * s.out_height * s.out_width * (s.channels / g) *
                         s.kernel_h * s.kernel_w;
    if (macs < 5'000'000) return r;
  }
}

}  // namespace

TEST_CASE_TEMPLATE("convolution, transpose and gradient of the weights", T, float, double) {
  FakeHost host(2);
  Numbers numbers(11);
  for (const Row& row : kRows) {
    INFO("row " << &row - kRows);
    check(host, Case<T>(row, numbers));
  }
}

// CATENA_TEST_CONVOLUTIONS: how many, from which one on: "1000 4711".
TEST_CASE("random convolutions") {
  FakeHost host(2);
  Numbers numbers(14);
  uint32_t count = 100, first = 0;
  if (const char* wanted = std::getenv("CATENA_TEST_CONVOLUTIONS"))
    REQUIRE(!(std::istringstream(wanted) >> count >> first).fail());
  for (uint32_t seed = first; seed < first + count; ++seed) {
    std::mt19937 engine(seed);
    const Row r = draw(engine);
    INFO("seed " << seed << ": x " << r.n << " " << r.c << " " << r.h << " " << r.w << ", W " << r.f
                 << " " << r.kh << " " << r.kw << ", groups " << r.g);
    check(host, Case<float>(r, numbers));
  }
}

TEST_CASE("no bias means zero; no images give zero gradients") {
  FakeHost host;
  Numbers numbers(12);
  Case<float> one(kRows[4], numbers);
  std::fill(one.filter_bias.begin(), one.filter_bias.end(), 0.f);
  std::fill(one.channel_bias.begin(), one.channel_bias.end(), 0.f);
  std::vector<float> got(one.y.size());
  conv_forward<float>(host.exec(), one.s, one.x.data(), one.w.data(), nullptr, got.data());
  CHECK(worst_error(got, one.forward(), 27) < 1);
  got.resize(one.x.size());
  conv_transpose<float>(host.exec(), one.s, one.y.data(), one.w.data(), nullptr, got.data());
  CHECK(worst_error(got, one.transpose(), 36) < 1);
  one.s.images = 0;
  got.assign(one.w.size(), 7);
  conv_weights<float>(host.exec(), one.s, nullptr, nullptr, got.data());
  CHECK(got == std::vector<float>(one.w.size()));
  conv_forward<float>(host.exec(), one.s, nullptr, one.w.data(), nullptr, nullptr);
  conv_transpose<float>(host.exec(), one.s, nullptr, one.w.data(), nullptr, nullptr);
}

TEST_CASE("bits of convolutions do not depend on the threads") {
  FakeHost host;
  Numbers numbers(13);
  for (const size_t row : {13u, 14u, 16u, 17u, 18u, 19u}) {
    const Case<float> one(kRows[row], numbers);
    const auto all = [&](int threads) {
      host.set_threads(threads);
      std::vector<float> y(one.y.size()), x(one.x.size()), gw(one.w.size());
      conv_forward<float>(host.exec(), one.s, one.x.data(), one.w.data(), nullptr, y.data());
      conv_transpose<float>(host.exec(), one.s, one.y.data(), one.w.data(), nullptr, x.data());
      conv_weights<float>(host.exec(), one.s, one.x.data(), one.y.data(), gw.data());
      host.end_of_kernel();
      y.insert(y.end(), x.begin(), x.end());
      y.insert(y.end(), gw.begin(), gw.end());
      return y;
    };
    const auto want = all(1);
    for (const int threads : {2, 3, 8}) {
      const auto got = all(threads);
      CHECK(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)) == 0);
    }
  }
}
