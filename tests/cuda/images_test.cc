// Kernels for images (convolution, pooling, batch and local response normalization) without cuDNN,
// on the false GPU beside the cpu: strides, padding, dilation and groups, one image and none, more
// than the scratch memory holds at once.
#include <limits>

#include "compare.h"

using namespace catena;
using cuda_test::compare, cuda_test::compare_mixed, cuda_test::Floats;

namespace {

constexpr ctn_dtype kBfloat16{CTN_DT_BFLOAT, 16, 1};
const std::vector<ctn_dtype> kAll = {float16, float32, float64, kBfloat16};

}  // namespace

TEST_CASE("convolution") {
  struct Case {
    const char* name;
    Shape x, w;
    F::convolution_2d_options options;
  };
  const Case cases[] = {
      {"plain", {2, 3, 7, 5}, {4, 3, 3, 3}, {}},
      {"an image as it is", {3, 4, 5, 6}, {5, 4, 1, 1}, {}},
      {"groups of images as they are", {2, 4, 5, 6}, {6, 2, 1, 1}, {.groups = 2}},
      {"one image", {1, 2, 9, 9}, {3, 2, 5, 1}, {}},
      {"strides and padding", {2, 3, 9, 8}, {4, 3, 3, 2}, {.stride = {2, 3}, .pad = {1, 2}}},
      {"to the end", {2, 3, 6, 7}, {2, 3, 2, 3}, {.stride = 2, .pad = 1, .cover_all = true}},
      {"dilated", {2, 2, 9, 9}, {3, 2, 3, 3}, {.pad = 2, .dilate = {2, 3}}},
      {"groups", {3, 6, 5, 5}, {4, 3, 3, 3}, {.pad = 1, .groups = 2}},
      {"depthwise", {2, 5, 6, 6}, {10, 1, 3, 3}, {.groups = 5}},
  };
  for (const Case& c : cases) {
    compare(
        c.name, {c.x, c.w, {c.w[0]}},
        [&](auto v) { return F::convolution_2d(v[0], v[1], v[2], c.options); }, kAll);
    compare(c.name, {c.x, c.w}, [&](auto v) { return F::convolution_2d(v[0], v[1], c.options); },
            {float32});
  }
  compare_mixed("two dtypes", {{2, 3, 5, 5}, {4, 3, 3, 3}},
                [](auto v) { return F::convolution_2d(v[0], v[1]); }, {float32, float64});
  compare("views", {{5, 3, 2, 6}, {3, 4, 3, 3}}, [](auto v) {
    return F::convolution_2d(F::transpose(v[0], {.axes = {2, 1, 0, 3}}),
                             F::transpose(v[1], {.axes = {1, 0, 2, 3}}));
  });
  compare("no images", {{0, 3, 5, 5}, {4, 3, 3, 3}, {4}},
          [](auto v) { return F::convolution_2d(v[0], v[1], v[2]); });
  compare("no channels", {{2, 0, 5, 5}, {4, 0, 3, 3}, {4}},
          [](auto v) { return F::convolution_2d(v[0], v[1], v[2]); });
  compare("gradient of the gradient", {{2, 3, 6, 5}, {4, 3, 3, 2}},
          [](auto v) {
            const Variable y = F::convolution_2d(v[0], v[1], {.stride = 2, .pad = 1});
            const auto g = grad({F::sum(y * y)}, {v[0], v[1]}, true);
            return F::sum(g[0] * g[0]) + F::sum(g[1] * g[1]);
          },
          {float64});
}

// 32 MiB of columns: an image of 41 MB goes by rows, of three images of 14 MB two at once.
TEST_CASE("convolution of more than the scratch memory holds") {
  const auto body = [](auto v) { return F::convolution_2d(v[0], v[1], {.pad = 2}); };
  // sums of 200,000 terms of either sign, in another order
  compare("rows of an image", {{2, 4, 320, 321}, {1, 4, 5, 5}}, body, {float32}, 30);
  compare("rows of an image in 16 bits", {{1, 8, 320, 321}, {8, 4, 5, 5}},
          [](auto v) { return F::deconvolution_2d(v[0], v[1], {.pad = 2, .groups = 1}) * 0.01f; },
          {float16});
  compare("some images", {{3, 4, 187, 187}, {1, 4, 5, 5}}, body, {float32}, 30);
}

TEST_CASE("deconvolution") {
  struct Case {
    const char* name;
    Shape x, w;
    F::deconvolution_2d_options options;
  };
  const Case cases[] = {
      {"plain", {2, 3, 4, 5}, {3, 2, 3, 3}, {}},
      {"an image as it is", {2, 3, 4, 5}, {3, 2, 1, 1}, {}},
      {"strides and padding", {2, 3, 4, 5}, {3, 2, 4, 3}, {.stride = {3, 2}, .pad = 1}},
      {"a size", {2, 3, 4, 5}, {3, 2, 3, 3}, {.stride = 2, .pad = 1, .outsize = {8, 10}}},
      {"dilated", {1, 3, 4, 5}, {3, 2, 3, 3}, {.pad = 1, .dilate = {2, 1}}},
      {"groups", {3, 4, 4, 3}, {4, 3, 3, 3}, {.stride = 2, .groups = 2}},
  };
  for (const Case& c : cases)
    compare(
        c.name, {c.x, c.w, {c.w[1] * (c.options.groups ? *c.options.groups : 1)}},
        [&](auto v) { return F::deconvolution_2d(v[0], v[1], v[2], c.options); }, kAll);
  compare("no images", {{0, 3, 4, 5}, {3, 2, 3, 3}, {2}},
          [](auto v) { return F::deconvolution_2d(v[0], v[1], v[2]); });
}

TEST_CASE("pooling") {
  const Shape x = {2, 3, 9, 7};
  for (const bool all : {true, false}) {
    compare(
        "max, apart", {x}, [&](auto v) { return F::max_pooling_2d(v[0], 2, {.cover_all = all}); },
        kAll);
    compare("max, overlapping", {x}, [&](auto v) {
      return F::max_pooling_2d(v[0], {3, 4}, {.stride = {2, 1}, .pad = 1, .cover_all = all});
    });
    compare("max, gaps", {x}, [&](auto v) {
      return F::max_pooling_2d(v[0], 2, {.stride = {3, 4}, .cover_all = all});
    });
  }
  compare(
      "average, apart", {x}, [](auto v) { return F::average_pooling_2d(v[0], 2); }, kAll);
  compare("average, overlapping", {x}, [](auto v) {
    return F::average_pooling_2d(v[0], {4, 3}, {.stride = {1, 2}, .pad = {2, 1}});
  });
  compare("average, gaps", {x},
          [](auto v) { return F::average_pooling_2d(v[0], 2, {.stride = 4}); });
  compare("the whole image", {{1, 4, 33, 31}}, [](auto v) {
    return F::average_pooling_2d(v[0], {33, 31});
  });
  compare("no images", {{0, 3, 4, 4}}, [](auto v) { return F::max_pooling_2d(v[0], 2); });
  compare("gradient of the gradient", {{2, 2, 5, 5}}, [](auto v) {
    const Variable y = F::max_pooling_2d(v[0], 3, {.stride = 2});
    const Variable g = grad({F::sum(y * y * y)}, {v[0]}, true)[0];
    return F::sum(g * g);
  });
}

TEST_CASE("max pooling of what is not a number, and of ties") {
  const auto pooled = [](const char* device) {
    const Context ctx(device);
    const float nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
    const Array x =
        Array::from<float>({1, 1, 2,   nan, 3,   nan, -inf, -inf, -inf, -inf, 0,     -0.0f,  //
                            1, 1, nan, 9,   nan, 3,   -inf, -inf, -inf, -inf, -0.0f, 0},
                           {1, 1, 2, 12});
    const auto y = F::max_pooling_2d_outputs(Variable(x, false), 2);
    return std::make_pair(y[0].array().to_vector<float>(), y[1].array().to_vector<int64_t>());
  };
  const auto want = pooled("cpu"), got = pooled("cuda");
  CHECK(cuda_test::difference(got.first, want.first, 0) == "");
  CHECK(got.second == want.second);
}

TEST_CASE("batch normalization") {
  const Shape shapes[] = {{5, 3},       {1, 4},          {300, 70},  {6, 3, 2, 2}, {2, 3, 33, 31},
                          {1, 1, 1000}, {3, 2, 150, 70}, {70000, 2}, {0, 3, 2}};
  for (const Shape& shape : shapes) {
    CAPTURE(shape[0]);
    const Shape channels = {shape[1]};
    // weighted, for the gradient of x would be 0 otherwise
    const auto weighted = [&](const Variable& y) {
      return (y + 0.5f) * Variable(cuda_test::values(shape, y.array().dtype(), 7), false);
    };
    compare(
        "training", {shape, channels, channels},
        [&](auto v) { return weighted(F::batch_normalization(v[0], v[1], v[2], {.eps = 0.1})); },
        shape[0] > 1000 ? std::vector<ctn_dtype>{float32} : kAll, 10);
    compare(
        "fixed", {shape, channels, channels, channels},
        [&](auto v) {
          const Variable var = v[3] * v[3] + 0.5f;
          return weighted(F::fixed_batch_normalization(v[0], v[1], v[2], v[3], var));
        },
        {float32, float64}, 10);
  }
  compare("of two axes", {{4, 3, 2, 5}, {3, 2}, {3, 2}},
          [](auto v) { return F::batch_normalization(v[0], v[1], v[2]); });
}

TEST_CASE("a variance that is small beside the mean") {
  const auto normalized = [](const char* device) {
    const Context ctx(device);
    Floats v(40'000);
    for (size_t k = 0; k < v.size(); ++k) v[k] = 10'000 + static_cast<float>(k * 7 % 13) / 8;
    v[0] = 0;
    const Variable x(Array::from<float>(v, {200, 1, 200}), false);
    const Variable gamma(Array::full({1}, 1), false), beta(Array::full({1}, 0), false);
    return F::batch_normalization(x, gamma, beta).array().to_vector<float>();
  };
  CHECK(cuda_test::difference(normalized("cuda"), normalized("cpu"), 1e-3) == "");
}

TEST_CASE("local response normalization") {
  const Shape shapes[] = {{2, 6, 3, 2}, {1, 1, 4}, {3, 5}, {2, 40, 7, 9}, {0, 3, 2}};
  for (const Shape& shape : shapes)
    for (const double beta : {0.75, 0.5, 0.0})
      compare(
          "window of 5", {shape},
          [&](auto v) {
            return F::local_response_normalization(v[0],
                                                   {.n = 5, .k = 1.5, .alpha = 0.1, .beta = beta});
          },
          kAll);
  compare("gradient of the gradient", {{2, 4, 3}},
          [](auto v) {
            const Variable y = F::local_response_normalization(v[0], {.n = 3, .alpha = 0.1});
            const Variable g = grad({F::sum(y * y)}, {v[0]}, true)[0];
            return F::sum(g * g);
          },
          {float64});
}
