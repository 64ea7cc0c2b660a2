// How fast convolutions are: forward, gradient of x, gradient of W, each by itself, over the layers
// that the models here have. Data stays in the layouts that the backend chose in the first run.
#include "bench.h"

#include <catena/catena.hpp>

#include <algorithm>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>

namespace bench {
namespace {

using namespace catena;

struct Layer {
  int64_t images, channels, side, filters, ksize, stride, pad;
};

constexpr Layer kLayers[] = {
    // VGG on images of 32 x 32
    {64, 3, 32, 64, 3, 1, 1},
    {64, 64, 32, 64, 3, 1, 1},
    {64, 64, 16, 128, 3, 1, 1},
    {64, 128, 16, 128, 3, 1, 1},
    {64, 128, 8, 256, 3, 1, 1},
    {64, 256, 8, 256, 3, 1, 1},
    {64, 256, 4, 512, 3, 1, 1},
    {64, 512, 4, 512, 3, 1, 1},
    {64, 512, 2, 512, 3, 1, 1},
    // ResNet50
    {8, 3, 224, 64, 7, 2, 3},
    {8, 64, 56, 64, 1, 1, 0},
    {8, 64, 56, 64, 3, 1, 1},
    {8, 64, 56, 256, 1, 1, 0},
    {8, 256, 56, 64, 1, 1, 0},
    {8, 256, 56, 128, 1, 2, 0},
    {8, 128, 28, 128, 3, 1, 1},
    {8, 128, 28, 512, 1, 1, 0},
    {8, 256, 56, 512, 1, 2, 0},
    {8, 512, 28, 128, 1, 1, 0},
    {8, 256, 14, 256, 3, 1, 1},
    {8, 256, 14, 1024, 1, 1, 0},
    {8, 1024, 14, 256, 1, 1, 0},
    {8, 512, 7, 512, 3, 1, 1},
    {8, 512, 7, 2048, 1, 1, 0},
    {8, 2048, 7, 512, 1, 1, 0},
    // GoogLeNet
    {1, 64, 56, 192, 3, 1, 1},
    {1, 192, 28, 64, 1, 1, 0},
    {1, 96, 28, 128, 3, 1, 1},
    {1, 16, 28, 32, 5, 1, 2},
    {1, 480, 14, 192, 1, 1, 0},
    {1, 112, 14, 224, 3, 1, 1},
    {1, 832, 7, 384, 1, 1, 0},
};

Array noise(const Shape& shape) {
  int64_t n = 1;
  for (const int64_t s : shape) n *= s;
  std::vector<float> values(static_cast<size_t>(n));
  uint32_t state = 1;
  for (float& v : values) {
    state = state * 1664525 + 1013904223;
    v = static_cast<float>(state >> 8) / (1 << 24) - 0.5f;
  }
  return Array::from(values, shape);
}

// Of the fastest run in about a third of a second, at least three; the first one is left out.
template <class Body>
double least_ns(Body&& body) {
  body();
  double least = std::numeric_limits<double>::infinity();
  const Clock all;
  for (int run = 0; run < 3 || all.ms() < 300; ++run) least = std::min(least, body());
  return least;
}

void measure(const Layer& l) {
  const Array x = noise({l.images, l.channels, l.side, l.side});
  const Array w = noise({l.filters, l.channels, l.ksize, l.ksize});
  const auto convolve = [&] {
    return F::convolution_2d(Variable(x), Variable(w), {.stride = l.stride, .pad = l.pad});
  };
  const auto wait = [] { check(ctn_synchronize(Context::current())); };
  const Array gy = noise(convolve().shape());
  const double forward = least_ns([&] {  // with a graph: without one a call waits for the next
    const Clock clock;
    const Variable y = convolve();
    wait();
    return clock.ns();
  });
  const auto backward = [&](bool x_grad) {
    Variable from(x, x_grad), filters(w, !x_grad);
    Variable y = F::convolution_2d(from, filters, {.stride = l.stride, .pad = l.pad});
    return least_ns([&] {
      from.cleargrad();
      filters.cleargrad();
      y.set_grad(Variable(gy, false));
      wait();
      const Clock clock;
      y.backward();
      wait();
      return clock.ns();
    });
  };
  const double out = static_cast<double>(gy.size());
  const double flop =
      2 * out * static_cast<double>(l.channels) * static_cast<double>(l.ksize * l.ksize);
  nlohmann::ordered_json line;
  line["images"] = l.images;
  line["channels"] = l.channels;
  line["side"] = l.side;
  line["filters"] = l.filters;
  line["ksize"] = l.ksize;
  line["stride"] = l.stride;
  line["forward_gflops"] = rounded(flop / forward, 1);
  line["x_gradient_gflops"] = rounded(flop / backward(true), 1);
  line["w_gradient_gflops"] = rounded(flop / backward(false), 1);
  std::cout << line.dump() << std::endl;
}

}  // namespace

void run_convs(const Options& options) {
  const Context ctx(
      ContextOptions{.device = options.backend, .threads = options.threads, .seed = 1});
  for (const Layer& l : kLayers) measure(l);
}

}  // namespace bench
