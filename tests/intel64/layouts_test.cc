// Activations stay in blocks of channels: a second pass over the same weights brings no array into
// another layout; reductions and parts where data lies in blocks are those of plain data.
#include <catena/catena.hpp>

#include <sys/resource.h>

#include <cmath>
#include <functional>
#include <string>

#include "support.h"

using namespace catena;
using namespace intel64_test;

namespace {

L::Convolution2D conv(int in, int out, int ksize, int stride = 1, bool bias = true) {
  return L::Convolution2D(in, out, ksize, {.stride = stride, .pad = ksize / 2, .nobias = !bias});
}

// A bottleneck of ResNet behind its first layers, and the classifier.
struct Residual : Chain {
  L::Convolution2D first = child("first", conv(3, 32, 7, 2, false));
  L::BatchNormalization b0 = child("b0", L::BatchNormalization(32));
  L::Convolution2D c1 = child("c1", conv(32, 16, 1, 1, false));
  L::BatchNormalization b1 = child("b1", L::BatchNormalization(16));
  L::Convolution2D c2 = child("c2", conv(16, 16, 3, 1, false));
  L::BatchNormalization b2 = child("b2", L::BatchNormalization(16));
  L::Convolution2D c3 = child("c3", conv(16, 64, 1, 1, false));
  L::BatchNormalization b3 = child("b3", L::BatchNormalization(64));
  L::Convolution2D c4 = child("c4", conv(32, 64, 1, 1, false));
  L::BatchNormalization b4 = child("b4", L::BatchNormalization(64));
  L::Linear out = child("out", L::Linear(64, 10));
  Variable operator()(const Variable& x) const {
    const Variable h = F::max_pooling_2d(F::relu(b0(first(x))), 3, {.stride = 2});
    const Variable a = b3(c3(F::relu(b2(c2(F::relu(b1(c1(h))))))));
    const Variable y = F::relu(a + b4(c4(h)));
    return out(F::average_pooling_2d(y, Value({y.shape()[2], y.shape()[3]})));
  }
};

// An inception of GoogLeNet behind local response normalization.
struct Inception : Chain {
  L::Convolution2D first = child("first", conv(3, 32, 7, 2));
  L::Convolution2D c1 = child("c1", conv(32, 16, 1));
  L::Convolution2D c3r = child("c3r", conv(32, 32, 1));
  L::Convolution2D c3 = child("c3", conv(32, 48, 3));
  L::Convolution2D c5r = child("c5r", conv(32, 16, 1));
  L::Convolution2D c5 = child("c5", conv(16, 32, 5));
  L::Convolution2D proj = child("proj", conv(32, 16, 1));
  L::Convolution2D last = child("last", conv(112, 32, 1));
  L::Linear out = child("out", L::Linear(32 * 49, 10));
  Variable operator()(const Variable& x) const {
    const Variable h = F::local_response_normalization(F::relu(first(x)), {.n = 5});
    const Variable joined =
        F::relu(F::concat({c1(h), c3(F::relu(c3r(h))), c5(F::relu(c5r(h))),
                           proj(F::max_pooling_2d(h, 3, {.stride = 1, .pad = 1}))}));
    const Variable y = F::relu(last(F::average_pooling_2d(joined, 5, {.stride = 3})));
    return out(F::dropout(y, {.ratio = 0.4}));
  }
};

// Two layers of VGG: biases, no normalization.
struct Vgg : Chain {
  L::Convolution2D c1 = child("c1", conv(3, 32, 3));
  L::Convolution2D c2 = child("c2", conv(32, 32, 3));
  L::Linear out = child("out", L::Linear(32 * 16 * 16, 10));
  Variable operator()(const Variable& x) const {
    return out(F::max_pooling_2d(F::relu(c2(F::relu(c1(x)))), 2));
  }
};

// Reorders of each of three passes over the same weights.
template <class Net>
std::vector<uint64_t> reorders(int64_t side) {
  const Context ctx(ContextOptions{.device = "intel64", .threads = 2, .seed = 3});
  const Net net;
  const Variable x = filled({8, 3, side, side}, 60);
  const Variable t(Array::from(std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6, 7}, {8}), false);
  std::vector<uint64_t> each;
  for (int pass = 0; pass < 3; ++pass) {
    const uint64_t before = ctx.memory().reorders;
    Link(net).cleargrads();
    F::softmax_cross_entropy(net(Variable(x.array(), false)), t).backward();
    each.push_back(ctx.memory().reorders - before);
  }
  return each;
}

bool has_blocks() {
  const Context ctx("intel64");
  if (!ctx.device_name().starts_with("sse4.1")) return true;
  catena_test::skip("the processor has no AVX2");
  return false;
}

}  // namespace

TEST_CASE("training leaves no activation's layout") {
  if (!has_blocks()) return;
  const std::vector<uint64_t> residual = reorders<Residual>(65),
                              inception = reorders<Inception>(46), vgg = reorders<Vgg>(32);
  for (const auto& each : {residual, inception, vgg}) {
    CHECK(each[0] > 0);  // filters
    CHECK(each[1] == each[2]);
  }
  CHECK(residual[2] == 0);
  // The classifier's input and its gradient, where it has several positions.
  CHECK(inception[2] == 2);
  CHECK(vgg[2] == 2);
}

// What the heap and the pools hold serves every later pass: the system is asked for nothing.
TEST_CASE("training settles: no page fault in a step") {
  const Context ctx(ContextOptions{.device = "intel64", .threads = 2, .seed = 3});
  const Residual net;
  const Variable x = filled({8, 3, 65, 65}, 60);
  const Variable t(Array::from(std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6, 7}, {8}), false);
  const auto faults_of_20 = [&] {
    rusage before{}, after{};
    getrusage(RUSAGE_SELF, &before);
    for (int pass = 0; pass < 20; ++pass) {
      Link(net).cleargrads();
      F::softmax_cross_entropy(net(Variable(x.array(), false)), t).backward();
    }
    getrusage(RUSAGE_SELF, &after);
    return after.ru_minflt - before.ru_minflt;
  };
  int64_t faults = -1;
  for (int round = 0; round < 10 && faults != 0; ++round) faults = faults_of_20();
#if !defined(CATENA_ASAN) && !defined(CATENA_TSAN)
  CHECK(faults == 0);
#endif
}

TEST_CASE("sums of data in blocks are taken where it lies") {
  if (!has_blocks()) return;
  const Shape shape = {3, 32, 9, 10};
  const Value axes[] = {Value({0, 2, 3}), Value({1}),          Value({2, 3}),
                        Value({0, 1}),    Value({0, 1, 2, 3}), Value({3})};
  for (const bool keep : {false, true}) {
    for (const Value& axis : axes) {
      std::vector<Floats> sums;
      uint64_t moved = 0;
      for (const char* device : {"cpu", "intel64"}) {
        const Context ctx(device);
        const Variable x = in_blocks(filled(shape, 1));
        const uint64_t before = ctx.memory().reorders;
        const Variable s = F::sum(x, {.axis = axis, .keepdims = keep});
        const Variable m = F::max(x, {.axis = axis, .keepdims = keep});
        moved = ctx.memory().reorders - before;
        CHECK(s.shape() == m.shape());
        sums.push_back(s.array().to_vector<float>());
        for (const float f : m.array().to_vector<float>()) sums.back().push_back(f);
      }
      CHECK(moved == 0);
      REQUIRE(sums[0].size() == sums[1].size());
      for (size_t i = 0; i < sums[0].size(); ++i) {
        INFO(i);
        CHECK(std::abs(sums[0][i] - sums[1][i]) < 1e-4);
      }
    }
  }
}

TEST_CASE("a place in the data is a place in plain order") {
  if (!has_blocks()) return;
  std::vector<std::vector<int32_t>> found;
  for (const char* device : {"cpu", "intel64"}) {
    const Context ctx(device);
    const Variable x = in_blocks(filled({3, 32, 9, 10}, 1));
    found.push_back(F::argmax(x, {.axis = 1}).array().to_vector<int32_t>());
  }
  CHECK(found[0] == found[1]);
}

TEST_CASE("parts of data in blocks") {
  if (!has_blocks()) return;
  const struct {
    Value cuts;
    int64_t axis;
    bool copied;  // in blocks
  } rows[] = {{Value({16, 48}), 1, true}, {Value({16, 48}), -3, true}, {4, 1, true},
              {Value({8, 40}), 1, false}, {Value({0, 64}), 1, false},  {2, 0, false},
              {Value({3}), 2, false}};
  for (const auto& row : rows) {
    INFO("axis " << row.axis);
    std::vector<Floats> parts;
    uint64_t moved = 0;
    for (const char* device : {"cpu", "intel64"}) {
      const Context ctx(device);
      const Variable leaf = filled({2, 64, 6, 5}, 1), x = in_blocks(leaf);
      const uint64_t before = ctx.memory().reorders;
      Floats all;
      std::vector<Variable> ys = F::split_axis(x, row.cuts, row.axis);
      Variable sum = F::sum(ys[0] * 2);
      for (size_t k = 1; k < ys.size(); ++k) sum = sum + F::sum(F::square(ys[k]));
      moved = ctx.memory().reorders - before;
      sum.backward();
      for (const Variable& y : ys)
        for (const float f : y.array().to_vector<float>()) all.push_back(f);
      for (const float f : leaf.grad().array().to_vector<float>()) all.push_back(f);
      parts.push_back(all);
    }
    CHECK(parts[0] == parts[1]);
    CHECK((moved == 0) == row.copied);
  }
}

TEST_CASE("gradients of filters over a million terms keep their digits") {
  if (!has_blocks()) return;
  const int64_t n = 15625, side = 8;  // of positions: 10^6
  const Context ctx("intel64");
  Floats xs(static_cast<size_t>(n * 16 * side * side)), ys(xs.size());
  for (uint32_t i = 0; i < xs.size(); ++i) {  // all of one sign: what was dropped adds up
    xs[i] = 0.5f + static_cast<float>((i * 2654435761u) >> 16) / 65536.0f;
    ys[i] = 0.5f + static_cast<float>((i * 2246822519u) >> 16) / 65536.0f;
  }
  const Shape shape = {n, 16, side, side};
  const Variable x(Array::from(xs, shape), false), w = filled({16, 16, 3, 3}, 1);
  Variable y = F::convolution_2d(x, w, {.pad = 1});
  y.set_grad(Variable(Array::from(ys, shape)));
  y.backward();
  const Floats found = w.grad().array().to_vector<float>();
  for (const size_t o : {0u, 3u, 6u, 9u, 12u, 15u}) {
    for (const size_t i : {0u, 5u, 10u, 15u}) {
      double sum = 0;  // in the middle of the filter: every position
      for (size_t k = 0; k < static_cast<size_t>(n); ++k)
        for (size_t p = 0; p < 64; ++p)
          sum += static_cast<double>(xs[(k * 16 + i) * 64 + p]) *
                 static_cast<double>(ys[(k * 16 + o) * 64 + p]);
      const double got = static_cast<double>(found[(o * 16 + i) * 9 + 4]);
      CHECK(std::abs(got / sum - 1) < 3e-6);  // in one chain: 1.3e-5
    }
  }
}

TEST_CASE("what plans hold is counted") {
  if (!has_blocks()) return;
  Context ctx(ContextOptions{.device = "intel64", .threads = 1});
  const uint64_t before = ctx.memory().used;
  {
    const Variable x = filled({32, 16, 8, 8}, 1), w = filled({16, 16, 3, 3}, 2);
    Variable y = F::convolution_2d(x, w, {.pad = 1});
    y.set_grad(filled(y.shape(), 3));
    y.backward();
  }
  // The places that meet in the elements of the filters: two lists of int32 for each of the 192
  // positions of 3 images and 9 taps, less those at the borders.
  CHECK(ctx.memory().used - before > 2 * 9 * 192 * 4 * 3 / 4);
}
