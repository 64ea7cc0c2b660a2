// The kernels of the intel64 backend beside those of the cpu: values and gradients on shapes that
// they take, that they did take them, equal bits on any number of threads, models that change
// backends.
#include <catena/catena.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>

#include "support.h"

using namespace catena;
using namespace intel64_test;

namespace {

struct Row {
  const char* name;
  std::vector<Shape> shapes;
  Variable (*call)(const Inputs& in);
  std::vector<std::string> kernels;  // that must run on intel64
};

const std::vector<std::string> kConv = {"convolution_2d", "convolution_2d_weights",
                                        "deconvolution_2d"};
const std::vector<std::string> kFirst = {"convolution_2d", "convolution_2d_weights"};
const std::vector<std::string> kTransposed = {"deconvolution_2d", "convolution_2d_weights",
                                              "convolution_2d_sized"};

const Row kRows[] = {
    {"3 x 3",
     {{3, 32, 12, 14}, {48, 32, 3, 3}, {48}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], in[2], {.pad = 1}); },
     kConv},
    {"3 x 3, tiles of 14, parts of images",
     {{5, 32, 30, 42}, {64, 32, 3, 3}, {64}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], in[2], {.pad = 1}); },
     kConv},
    {"3 x 3, one tile of 14",
     {{9, 64, 14, 14}, {32, 64, 3, 3}, {32}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], in[2], {.pad = 1}); },
     kConv},
    {"3 x 3, tiles of 8",
     {{3, 32, 9, 24}, {96, 32, 3, 3}, {96}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], in[2], {.pad = 1}); },
     kConv},
    {"3 x 3, a tile of 7",
     {{11, 96, 7, 7}, {64, 96, 3, 3}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.pad = 1}); },
     kConv},
    {"3 x 3, small images by eight",
     {{16, 64, 4, 4}, {96, 64, 3, 3}, {96}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], in[2], {.pad = 1}); },
     kConv},
    {"3 x 3, images of two by three",
     {{24, 96, 2, 3}, {64, 96, 3, 3}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.pad = 1}); },
     kConv},
    {"3 x 3, images of two rows",
     {{7, 32, 2, 16}, {32, 32, 3, 3}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.pad = 1}); },
     kConv},
    {"3 x 3, images of one row",
     {{3, 64, 1, 28}, {64, 64, 3, 3}, {64}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], in[2], {.pad = 1}); },
     kConv},
    {"3 x 3, one image in parts of rows",
     {{1, 64, 56, 56}, {64, 64, 3, 3}, {64}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], in[2], {.pad = 1}); },
     kConv},
    {"3 x 3, many images in squares of 4",
     {{8, 32, 29, 28}, {64, 32, 3, 3}, {64}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], in[2], {.pad = 1}); },
     kConv},
    {"3 x 3, squares of 4 and no border",
     {{6, 32, 30, 30}, {64, 32, 3, 3}, {64}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], in[2]); },
     kConv},
    {"3 x 3, squares of 4 of small images",
     {{70, 64, 8, 8}, {32, 64, 3, 3}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.pad = 1}); },
     kConv},
    {"3 x 3 of a deconvolution, in squares of 4",
     {{5, 64, 28, 28}, {64, 32, 3, 3}, {32}},
     [](const Inputs& in) { return F::deconvolution_2d(in[0], in[1], in[2], {.pad = 1}); },
     kTransposed},
    {"3 x 3 of a deconvolution",
     {{4, 48, 12, 14}, {48, 32, 3, 3}, {32}},
     [](const Inputs& in) { return F::deconvolution_2d(in[0], in[1], in[2], {.pad = 1}); },
     kTransposed},
    {"1 x 1, odd number of images",
     {{11, 16, 9, 9}, {16, 16, 1, 1}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1]); },
     kConv},
    {"strides, dilation, uneven borders",
     {{2, 16, 21, 17}, {32, 16, 3, 5}, {32}},
     [](const Inputs& in) {
       return F::convolution_2d(
           in[0], in[1], in[2],
           {.stride = Value({2, 3}), .pad = Value({2, 4}), .dilate = Value({2, 1})});
     },
     {}},
    {"strides, uneven borders",
     {{2, 16, 21, 17}, {32, 16, 3, 5}, {32}},
     [](const Inputs& in) {
       return F::convolution_2d(in[0], in[1], in[2], {.stride = 2, .pad = Value({1, 2})});
     },
     kFirst},
    {"windows that reach far beyond x",
     {{2, 64, 14, 14}, {64, 64, 3, 7}},
     [](const Inputs& in) {
       return F::convolution_2d(in[0], in[1], {.pad = Value({1, 0})});
     },
     kFirst},
    {"dilated windows that reach beyond both ends of y",
     {{1, 71, 28, 36}, {64, 71, 3, 1}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.dilate = 8}); },
     kFirst},
    {"gradients of 16 filters over many rows",
     {{2, 32, 40, 24}, {16, 32, 3, 3}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.pad = 1}); },
     kConv},
    {"gradients of an odd number of blocks of filters",
     {{2, 32, 30, 24}, {80, 32, 3, 3}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.pad = 1}); },
     kConv},
    {"gradients over long rows",
     {{2, 64, 1, 700}, {48, 64, 1, 5}},
     [](const Inputs& in) {
       return F::convolution_2d(in[0], in[1], {.pad = {0, 2}});
     },
     kConv},
    {"a wide dilation, one image",
     {{1, 16, 33, 33}, {256, 16, 3, 3}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.pad = 12, .dilate = 12}); },
     {}},
    {"a wide dilation, one image, many channels",
     {{1, 128, 24, 13}, {256, 128, 3, 3}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.dilate = 4}); },
     {}},
    {"a wide dilation, images of two rows",
     {{3, 256, 2, 33}, {96, 256, 3, 3}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.pad = 12, .dilate = 12}); },
     {}},
    {"wide filters",
     {{2, 96, 9, 20}, {96, 96, 1, 11}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1]); },
     {}},
    {"windows beyond the end",
     {{2, 16, 14, 14}, {16, 16, 4, 4}},
     [](const Inputs& in) {
       return F::convolution_2d(in[0], in[1], {.stride = 3, .cover_all = true});
     },
     kConv},
    {"channels that do not fill a block",
     {{4, 24, 10, 10}, {40, 24, 3, 3}, {40}},
     [](const Inputs& in) { return F::relu(F::convolution_2d(in[0], in[1], in[2])); },
     kConv},
    {"one image, in parts of filters",
     {{1, 64, 20, 20}, {80, 64, 3, 3}, {80}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], in[2], {.pad = 1}); },
     kConv},
    {"one image, 5 x 5, steps",
     {{1, 64, 23, 26}, {192, 64, 5, 5}, {192}},
     [](const Inputs& in) {
       return F::convolution_2d(in[0], in[1], in[2], {.stride = 2, .pad = 2});
     },
     kConv},
    {"one image, large",
     {{1, 64, 56, 56}, {192, 64, 3, 3}, {192}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], in[2], {.pad = 1}); },
     kConv},
    {"one image, filters that do not fill a block",
     {{1, 48, 12, 56}, {41, 48, 3, 3}, {41}},
     [](const Inputs& in) {
       return F::convolution_2d(in[0], in[1], in[2], {.pad = Value({1, 0})});
     },
     kConv},
    {"one image, large filters that do not fill a block",
     {{1, 80, 9, 56}, {89, 80, 9, 9}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.pad = 4}); },
     kConv},
    {"one image, 1 x 1",
     {{1, 256, 14, 14}, {1024, 256, 1, 1}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1]); },
     kConv},
    {"one image, 1 x 1, parts of channels",
     {{1, 480, 14, 14}, {192, 480, 1, 1}, {192}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], in[2]); },
     kConv},
    {"one image, 1 x 1, steps",
     {{1, 512, 28, 28}, {1024, 512, 1, 1}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.stride = 2}); },
     kConv},
    {"one image, a first layer",
     {{1, 3, 64, 64}, {64, 3, 7, 7}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.stride = 2, .pad = 3}); },
     kFirst},
    {"small images, 1 x 1",
     {{8, 128, 7, 7}, {96, 128, 1, 1}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1]); },
     kConv},
    {"images of 14 x 14",
     {{3, 48, 14, 14}, {80, 48, 3, 3}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.pad = 1}); },
     kConv},
    {"a first layer",
     {{4, 3, 20, 20}, {16, 3, 7, 7}, {16}},
     [](const Inputs& in) {
       return F::convolution_2d(in[0], in[1], in[2], {.stride = 2, .pad = 3});
     },
     kFirst},
    {"groups",
     {{2, 64, 9, 9}, {32, 32, 3, 3}, {32}},
     [](const Inputs& in) {
       return F::convolution_2d(in[0], in[1], in[2], {.pad = 1, .groups = 2});
     },
     kConv},
    {"depthwise",
     {{4, 48, 20, 20}, {48, 1, 3, 3}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.pad = 1, .groups = 48}); },
     kConv},
    {"small images",
     {{37, 48, 4, 4}, {80, 48, 3, 3}},
     [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.pad = 1}); },
     kConv},
    {"small images, strides, dilation",
     {{20, 32, 9, 8}, {16, 32, 2, 3}},
     [](const Inputs& in) {
       return F::convolution_2d(in[0], in[1],
                                {.stride = Value({2, 1}), .pad = 1, .dilate = Value({1, 2})});
     },
     kFirst},
    {"deconvolution",
     {{2, 32, 9, 9}, {32, 16, 4, 4}, {16}},
     [](const Inputs& in) {
       return F::deconvolution_2d(in[0], in[1], in[2], {.stride = 2, .pad = 1});
     },
     kTransposed},
    {"batch normalization",
     {{5, 32, 14, 14}, {32}, {32}},
     [](const Inputs& in) { return F::batch_normalization(in_blocks(in[0]), in[1], in[2]); },
     {"batch_norm", "batch_norm_grad"}},
    {"batch normalization in pieces",
     {{24, 16, 40, 40}, {16}, {16}},
     [](const Inputs& in) { return F::batch_normalization(in_blocks(in[0]), in[1], in[2]); },
     {"batch_norm", "batch_norm_grad"}},
    {"batch normalization with given statistics",
     {{5, 32, 14, 14}, {32}, {32}, {32}, {32}},
     [](const Inputs& in) {
       return F::fixed_batch_normalization(in_blocks(in[0]), in[1], in[2], in[3], F::square(in[4]));
     },
     {"fixed_batch_normalization"}},
    {"maximum pooling",
     {{3, 32, 13, 14}},
     [](const Inputs& in) {
       return F::max_pooling_2d(in_blocks(in[0]), 3, {.stride = 2, .pad = 1});
     },
     {"max_pooling_2d_indexed", "pooling_scatter_2d"}},
    {"mean pooling",
     {{3, 32, 13, 14}},
     [](const Inputs& in) {
       return in_blocks(F::average_pooling_2d(in_blocks(in[0]), Value({3, 2}),
                                              {.stride = Value({2, 1}), .pad = 1}));
     },
     {"average_pooling_2d", "average_pooling_2d_grad"}},
    {"mean of whole planes",
     {{3, 32, 13, 14}},
     [](const Inputs& in) {
       return F::average_pooling_2d(in_blocks(in[0]), Value({13, 14}));
     },
     {"average_pooling_2d", "average_pooling_2d_grad"}},
    {"joined channels",
     {{3, 32, 10, 10}, {3, 16, 10, 10}},
     [](const Inputs& in) {
       return F::relu(F::concat({in_blocks(in[0]), in_blocks(in[1]), in_blocks(in[0])}));
     },
     {"concat"}},
    {"local response normalization",
     {{2, 48, 11, 13}},
     [](const Inputs& in) {
       return F::local_response_normalization(in_blocks(in[0]), {.n = 5, .k = 1, .alpha = 0.1});
     },
     {"local_response_normalization", "local_response_normalization_grad"}},
    {"dropout",
     {{3, 32, 10, 10}},
     [](const Inputs& in) { return F::dropout(in_blocks(in[0]), {.ratio = 0.3}); },
     {"dropout_random"}},
};

struct Result {
  std::vector<Floats> arrays;  // y, then the gradients of the inputs
  std::set<std::string> kernels;
};

Result run(const Row& row, const char* device, int threads = 2, const char* winograd = "auto") {
  Result result;
  std::function<void(int, std::string_view, std::string_view)> log = [&](int, std::string_view,
                                                                         std::string_view text) {
    const size_t colon = text.find(": intel64 priority ");
    if (colon != std::string_view::npos && text.ends_with(" runs"))
      result.kernels.insert(std::string(text.substr(0, colon)));
  };
  const Context ctx(ContextOptions{
      .device = device, .threads = threads, .seed = 7, .log = &log, .log_level = CTN_LOG_DEBUG});
  const using_config scope("use_winograd", winograd);
  const Inputs in = filled(row.shapes);
  Variable y = row.call(in);
  y.set_grad(filled(y.shape(), 99));
  y.backward();
  result.arrays.push_back(y.array().to_vector<float>());
  for (const Variable& x : in) result.arrays.push_back(x.grad().array().to_vector<float>());
  return result;
}

}  // namespace

TEST_CASE("values and gradients are those of the cpu backend") {
  for (const Row& row : kRows) {
    INFO(std::string(row.name));
    const Result reference = run(row, "cpu");
    for (const char* winograd : {"auto", "never"}) {
      INFO("use_winograd ", std::string(winograd));
      const Result ours = run(row, "intel64", 2, winograd);
      REQUIRE(ours.arrays.size() == reference.arrays.size());
      for (size_t k = 0; k < ours.arrays.size(); ++k) {
        INFO("array " << k);
        CHECK(distance(ours.arrays[k], reference.arrays[k]) < 1e-5);
      }
      for (const std::string& kernel : row.kernels) {
        INFO(kernel);
        CHECK(ours.kernels.count(kernel) == 1);
      }
    }
  }
}

TEST_CASE("bits do not depend on the number of threads") {
  for (const Row& row : kRows) {
    INFO(std::string(row.name));
    for (const char* winograd : {"auto", "never"}) {
      INFO("use_winograd ", std::string(winograd));
      const Result one = run(row, "intel64", 1, winograd);
      for (const int threads : {2, 3, 8})
        CHECK(run(row, "intel64", threads, winograd).arrays == one.arrays);
    }
  }
}

TEST_CASE("what oneDNN has but slow or wrong loops for is the cpu's work") {
  const Row wide = {"borders wider than filters",
                    {{2, 16, 20, 20}, {16, 16, 3, 3}},
                    [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.pad = 4}); },
                    {}};
  const Row apart = {
      "steps along with dilation",
      {{2, 16, 33, 33}, {16, 16, 3, 3}},
      [](const Inputs& in) { return F::convolution_2d(in[0], in[1], {.stride = 2, .dilate = 2}); },
      {}};
  const Row far = {"windows that reach far beyond x",
                   {{2, 64, 14, 14}, {64, 64, 3, 7}},
                   [](const Inputs& in) { return F::convolution_2d(in[0], in[1]); },
                   {}};
  CHECK(run(far, "intel64").kernels.count("deconvolution_2d") == 0);
  CHECK(run(wide, "intel64").kernels.count("convolution_2d") == 0);
  CHECK(run(apart, "intel64").kernels.count("deconvolution_2d") == 0);
  CHECK(run(apart, "intel64").kernels.count("convolution_2d") == 1);
}

TEST_CASE("filters serve convolutions of different numbers of groups") {
  const Shape shape = {32, 16, 3, 3};
  const auto slope = [&](int64_t groups) {  // of filters: in blocks as those groups have them
    Variable w = filled(shape, 1);
    Variable y = F::convolution_2d(filled({2, 16 * groups, 12, 12}, 2), w, {.groups = groups});
    y.set_grad(filled(y.shape(), 3));
    y.backward();
    return w.grad();
  };
  std::vector<Floats> all;
  for (const char* device : {"cpu", "intel64"}) {
    const Context ctx(device);
    Floats both;
    for (const int64_t groups : {1, 2}) {
      const int64_t other = 3 - groups;
      const Floats y =
          F::convolution_2d(filled({2, 16 * other, 12, 12}, 4), slope(groups), {.groups = other})
              .array()
              .to_vector<float>();
      both.insert(both.end(), y.begin(), y.end());
    }
    all.push_back(both);
  }
  CHECK(distance(all[1], all[0]) < 1e-5);
}

TEST_CASE("reshaped and converted arrays are those of the cpu backend") {
  std::vector<Floats> all;
  for (const char* device : {"cpu", "intel64"}) {
    const Context ctx(device);
    const Variable x = in_blocks(filled({2, 32, 12, 12}, 1));
    const Variable view = F::reshape(x, Value({2, 16, 24, 12}));
    Floats numbers_of;
    for (const Variable& y : {F::max_pooling_2d(view, 2), view + filled({2, 16, 24, 12}, 5),
                              F::relu(F::reshape(x, Value({2, -1}))),
                              F::cast(F::cast(x, Value(float64)), Value(float32))}) {
      const Floats v = y.array().to_vector<float>();
      numbers_of.insert(numbers_of.end(), v.begin(), v.end());
    }
    all.push_back(numbers_of);
  }
  CHECK(all[1] == all[0]);
}

TEST_CASE("an index out of its window is refused") {
  const Context ctx("intel64");
  const Variable x = in_blocks(filled({2, 16, 20, 20}, 1));
  std::vector<int32_t> index(2 * 16 * 20 * 20, 4);
  const Variable places(Array::from(index, {2, 16, 20, 20}), false);
  const std::vector<Value> attrs = {Value({40, 40}), 2, 2, 0};
  std::vector<ctn_value> c;
  for (const Value& v : attrs) c.push_back(v.c());
  const ctn_variable in[] = {x.get(), places.get()};
  CHECK_THROWS_WITH_AS(detail::call1(detail::find_op("pooling_scatter_2d"), in, 2, c.data(), 4),
                       doctest::Contains("not within a window of 2 x 2"), const InvalidArgument&);
}

TEST_CASE("maxima of NaN, of equals and of windows that are all padding") {
  Floats v = numbers({1, 16, 20, 20}, 3);
  v[5] = std::numeric_limits<float>::quiet_NaN();
  v[44] = v[45] = 2;
  std::vector<Floats> all;
  for (const char* device : {"cpu", "intel64"}) {
    const Context ctx(device);
    const Variable x = in_blocks(Variable(Array::from(v, {1, 16, 20, 20})));
    Variable y = F::max_pooling_2d(x, 2, {.stride = 4, .pad = 1});
    y.set_grad(Variable(Array::full(y.shape(), 1)));
    y.backward();
    all.push_back(y.array().to_vector<float>());
  }
  for (size_t i = 0; i < all[0].size(); ++i) {
    INFO(i);
    CHECK((all[0][i] == all[1][i] || (std::isnan(all[0][i]) && std::isnan(all[1][i]))));
  }
}

TEST_CASE("a model trains the same numbers on both backends") {
  std::vector<Floats> weights;
  for (const char* device : {"cpu", "intel64"}) {
    const Context ctx(ContextOptions{.device = device, .seed = 3});
    struct Net : Chain {
      L::Convolution2D c1 = child("c1", L::Convolution2D(3, 32, 3, {.pad = 1}));
      L::BatchNormalization b1 = child("b1", L::BatchNormalization(32));
      L::Convolution2D c2 = child("c2", L::Convolution2D(32, 32, 3, {.pad = 1}));
      L::Linear out = child("out", L::Linear(32 * 16, 10));
      Variable operator()(const Variable& x) const {
        Variable h = F::max_pooling_2d(F::relu(b1(c1(x))), 2);
        return out(F::max_pooling_2d(F::relu(c2(h)), 2));
      }
    } net;
    uint32_t seed = 50;
    for (auto& [path, p] : net.namedparams()) p.set_array(filled(p.shape(), seed++).array());
    optimizers::MomentumSGD sgd({.lr = 0.05});
    sgd.setup(net);
    std::vector<int32_t> labels = {0, 1, 2, 3, 4, 5, 6, 7};
    for (int step = 0; step < 5; ++step) {
      net.cleargrads();
      const Variable loss = F::softmax_cross_entropy(net(filled({8, 3, 16, 16}, 60)),
                                                     Variable(Array::from(labels, {8}), false));
      loss.backward();
      sgd.update();
    }
    Floats all;
    for (const auto& [path, p] : net.namedparams()) {
      const Floats w = p.array().to_vector<float>();
      all.insert(all.end(), w.begin(), w.end());
    }
    weights.push_back(all);
  }
  CHECK(distance(weights[1], weights[0]) < 2e-4);
}
