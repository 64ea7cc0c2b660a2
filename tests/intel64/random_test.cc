// Convolutions of random shapes, with gradients: values of the cpu backend, the same bits on any
// number of threads. What a shape decides (layouts, kernels, parts) meets more of itself here than
// in a table.
#include <catena/catena.hpp>

#include <cstdlib>
#include <random>
#include <sstream>
#include <string>

#include "support.h"

using namespace catena;
using namespace intel64_test;

namespace {

class Draw {
 public:
  explicit Draw(uint32_t seed) : engine_(seed) {}
  int64_t of(int64_t least, int64_t most) {
    return least + static_cast<int64_t>(engine_() % static_cast<uint64_t>(most - least + 1));
  }
  bool one_in(int64_t n) { return of(1, n) == 1; }

 private:
  std::mt19937 engine_;
};

struct Conv {
  const char* winograd;
  int64_t images, channels, height, width, filters, groups, stride, dilate;
  int64_t window[2], pad[2];
  bool bias, relu;

  bool fits(double most) const {
    const int64_t side[] = {height, width};
    for (int k = 0; k < 2; ++k)
      if (side[k] + 2 * pad[k] < (window[k] - 1) * dilate + 2) return false;
    const double macs = static_cast<double>(images * channels / groups * filters) *
                        static_cast<double>(height * width * window[0] * window[1]);
    return macs > 2e5 && macs < most;
  }
  std::string text() const {
    std::ostringstream out;
    out << "x " << images << "x" << channels << "x" << height << "x" << width << ", " << filters
        << " filters " << window[0] << "x" << window[1] << ", groups " << groups << ", stride "
        << stride << ", dilate " << dilate << ", pad " << pad[0] << " " << pad[1]
        << (bias ? ", bias" : "") << (relu ? ", relu" : "") << ", use_winograd " << winograd;
    return out.str();
  }
};

// One that Winograd's kernels may be taken for.
void draw_squares(Draw& d, Conv& c) {
  c.groups = c.stride = c.dilate = 1;
  c.window[0] = c.window[1] = 3;
  do {
    c.images = d.one_in(3) ? 1 : d.of(4, 40);
    c.channels = 16 * d.of(2, 6);
    c.filters = 16 * d.of(2, 6);
    c.height = d.of(7, 40);
    c.width = d.one_in(2) ? 7 * d.of(1, 5) : d.of(7, 40);
    for (int64_t& pad : c.pad) pad = d.one_in(4) ? 0 : 1;
  } while (!c.fits(3e8));
}

Conv draw(uint32_t seed) {
  Draw d(seed);
  Conv c;
  do {
    c.groups = d.one_in(6) ? d.of(2, 3) : 1;
    c.images = d.one_in(2) ? 1 : d.one_in(3) ? 8 * d.of(1, 3) : d.of(2, 9);
    c.channels = c.groups * (d.one_in(4) ? d.of(3, 90) : 16 * d.of(1, 12));
    c.filters = c.groups * (d.one_in(4) ? d.of(3, 90) : 16 * d.of(1, 16));
    if (d.one_in(16)) c.groups = c.filters = c.channels;
    c.height = d.one_in(4) ? d.of(1, 5) : d.of(1, 40);
    constexpr int64_t kTiles[] = {7, 8, 14, 16, 28, 42, 56};
    c.width = d.one_in(2) ? kTiles[d.of(0, 6)] : d.of(1, 50);
    c.window[0] = d.one_in(2) ? 3 : d.of(1, 9);
    c.window[1] = d.one_in(3) ? d.of(1, 11) : c.window[0];
    c.stride = d.one_in(4) ? d.of(2, 3) : 1;
    c.dilate = c.stride == 1 && d.one_in(4) ? d.of(2, 12) : 1;
    for (int k = 0; k < 2; ++k) {
      const int64_t same = (c.window[k] - 1) * c.dilate / 2;
      c.pad[k] = d.one_in(2) ? same : d.of(0, std::min<int64_t>(12, 2 * same + 1));
    }
    c.bias = d.one_in(2);
    c.relu = d.one_in(2);
  } while (!c.fits(1e8));
  c.winograd = d.one_in(3) ? "never" : "auto";
  if (d.one_in(5)) draw_squares(d, c);
  return c;
}

// y without a graph, y with one, the gradients of x and W.
std::vector<Floats> run(const Conv& c, const char* device, int threads) {
  const Context ctx(ContextOptions{.device = device, .threads = threads});
  const using_config scope("use_winograd", c.winograd);
  const Variable x = filled({c.images, c.channels, c.height, c.width}, 1);
  const Variable w = filled({c.filters, c.channels / c.groups, c.window[0], c.window[1]}, 2);
  const Variable b = filled({c.filters}, 3);
  const auto value = [&] {
    const Value pad({c.pad[0], c.pad[1]});
    Variable y =
        F::convolution_2d(x, w, c.bias ? b : Variable(),
                          {.stride = c.stride, .pad = pad, .dilate = c.dilate, .groups = c.groups});
    return c.relu ? F::relu(std::move(y)) : y;
  };
  std::vector<Floats> all;
  {
    const no_backprop_mode off;
    all.push_back(value().array().to_vector<float>());
  }
  const Variable y = value();
  all.push_back(y.array().to_vector<float>());
  Variable z = F::square(y);
  z.set_grad(filled(z.shape(), 4));
  z.backward();
  for (const Variable& v : {x, w}) all.push_back(v.grad().array().to_vector<float>());
  return all;
}

}  // namespace

// CATENA_TEST_CONVOLUTIONS: how many, from which one on: "1000 4711".
TEST_CASE("random convolutions are those of the cpu backend, on any number of threads") {
  uint32_t count = 60, first = 0;
  if (const char* wanted = std::getenv("CATENA_TEST_CONVOLUTIONS"))
    REQUIRE(!(std::istringstream(wanted) >> count >> first).fail());
  for (uint32_t seed = first; seed < first + count; ++seed) {
    const Conv c = draw(seed);
    INFO(seed, ": ", c.text());
    const auto ours = run(c, "intel64", 1), theirs = run(c, "cpu", 2);
    for (size_t k = 0; k < ours.size(); ++k) {
      INFO(k);
      CHECK(distance(ours[k], theirs[k]) < 1e-4);
    }
    for (const int threads : {2, 3, 8}) CHECK(run(c, "intel64", threads) == ours);
  }
}
