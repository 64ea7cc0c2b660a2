// Links of convolutions: the ways to give their channels that Chainer documents, shapes and start
// values of parameters, and what they refuse.
#include <catena/catena.hpp>

#include <cmath>

#include "backend.h"
#include "main.h"

using namespace catena;

namespace {

Variable image(const Shape& shape) { return Variable(Array::full(shape, 1)); }

void refused(ctn_status status, const std::string& text, const std::function<void()>& body) {
  try {
    body();
    FAIL("nothing was refused: " << text);
  } catch (const Error& e) {
    CHECK_MESSAGE(e.status() == status, e.what());
    CHECK_MESSAGE(std::string(e.what()).find(text) != std::string::npos, e.what());
  }
}

// Standard deviation of what a parameter starts from.
double deviation(const Variable& p) {
  const std::vector<float> v = p.array().to_vector<float>();
  double squares = 0;
  for (const float x : v) squares += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(squares / static_cast<double>(v.size()));
}

}  // namespace

TEST_CASE("Deconvolution2D takes its channels in the documented ways") {
  const Context ctx(ContextOptions{.device = catena_test::backend(), .seed = 3});
  const Variable x = image({1, 3, 10, 10});
  CHECK(L::Deconvolution2D(3, 7, 4)(x).shape() == Shape{1, 7, 13, 13});
  CHECK(L::Deconvolution2D(7, 4)(x).shape() == Shape{1, 7, 13, 13});
  const L::Deconvolution2D lazy(none, 7, 4, {.stride = 2, .pad = 1});
  CHECK(lazy.param("b").shape() == Shape{7});
  CHECK(lazy(x).shape() == Shape{1, 7, 20, 20});
  CHECK(lazy.param("W").shape() == Shape{3, 7, 4, 4});
  CHECK(L::Deconvolution2D(7, 4, {}, {.stride = 2, .pad = 1})(x).shape() == Shape{1, 7, 20, 20});
  const L::Deconvolution2D sized(3, 2, 3, {.stride = 2, .outsize = Shape{22, 21}});
  CHECK(sized(x).shape() == Shape{1, 2, 22, 21});
  refused(CTN_EINVAL, "Deconvolution2D: out_channels or ksize is not given",
          [] { L::Deconvolution2D(none, 4); });
  refused(CTN_ESHAPE, "Deconvolution2D: an input of shape", [] {
    L::Deconvolution2D(none, 7, 4)(image({3, 10}));
  });
}

TEST_CASE("DilatedConvolution2D takes its channels in the documented ways") {
  const Context ctx(ContextOptions{.device = catena_test::backend(), .seed = 3});
  const Variable x = image({1, 3, 10, 10});
  CHECK(L::DilatedConvolution2D(3, 7, 5)(x).shape() == Shape{1, 7, 6, 6});
  CHECK(L::DilatedConvolution2D(7, 5)(x).shape() == Shape{1, 7, 6, 6});
  CHECK(L::DilatedConvolution2D(none, 7, 5)(x).shape() == Shape{1, 7, 6, 6});
  const L::DilatedConvolution2D lazy(7, 5, {}, {.stride = 1, .pad = 0, .dilate = 2});
  CHECK(lazy(x).shape() == Shape{1, 7, 2, 2});
  CHECK(lazy.param("W").shape() == Shape{7, 3, 5, 5});
  refused(CTN_EINVAL, "DilatedConvolution2D: out_channels or ksize is not given",
          [] { L::DilatedConvolution2D(none, 5); });
}

TEST_CASE("filters of groups see the channels of their group") {
  const Context ctx(ContextOptions{.device = catena_test::backend(), .seed = 3});
  const Variable x = image({2, 6, 8, 8});
  const L::Convolution2D conv(none, 90, 3, {.groups = 3});
  CHECK(conv(x).shape() == Shape{2, 90, 6, 6});
  CHECK(conv.param("W").shape() == Shape{90, 2, 3, 3});
  CHECK(deviation(conv.param("W")) == doctest::Approx(std::sqrt(1.0 / 18)).epsilon(0.1));
  const L::Deconvolution2D deconv(none, 90, 3, {.nobias = true, .groups = 3});
  CHECK(deconv(x).shape() == Shape{2, 90, 10, 10});
  CHECK(deconv.param("W").shape() == Shape{6, 30, 3, 3});
  CHECK(deviation(deconv.param("W")) == doctest::Approx(std::sqrt(1.0 / 270)).epsilon(0.1));
  CHECK(deconv.namedparams().size() == 1);
  const std::string text = "channels must be divisible by the number of groups";
  for (const int groups : {0, -1, 4}) {
    refused(CTN_EINVAL, "output " + text, [&] { L::Convolution2D(6, 9, 3, {.groups = groups}); });
    refused(CTN_EINVAL, "output " + text, [&] { L::Deconvolution2D(6, 9, 3, {.groups = groups}); });
  }
  refused(CTN_EINVAL, "input " + text, [] { L::Deconvolution2D(6, 8, 3, {.groups = 4}); });
  refused(CTN_EINVAL, "input " + text, [&] { L::Deconvolution2D(none, 8, 3, {.groups = 4})(x); });
  refused(CTN_EINVAL, "-2 input channels", [] { L::Convolution2D(-2, 8, 3); });
}

TEST_CASE("start values are those given") {
  const Context ctx(catena_test::backend());
  const L::Deconvolution2D link(1, 2, 1,
                                {.initialW = 3.0, .initial_bias = Array::of({1.0f, 2.0f})});
  const std::vector<float> y = link(image({1, 1, 1, 1})).array().to_vector<float>();
  CHECK(y == std::vector<float>{4, 5});
  const L::DilatedConvolution2D none_given(2, 3, 1);
  CHECK(none_given.param("b").array().to_vector<float>() == std::vector<float>(3, 0));
}
