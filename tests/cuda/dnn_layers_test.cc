// Batch normalization, average pooling and softmax through the false cuDNN, beside the cpu's.
#include "dnn_support.h"

using namespace catena;
using cuda_test::compare, cuda_test::FakeDnn, cuda_test::has, cuda_test::kernel_log;
using cuda_test::values;

namespace {

constexpr ctn_dtype kBfloat16 = {CTN_DT_BFLOAT, 16, 1};

template <class Body>
void both(const char* name, const std::vector<Shape>& shapes, const Body& body) {
  const FakeDnn fake;
  fake.computes([&] { compare(name, shapes, body); });
}

// Why cuDNN does not take the calls of body().
template <class Body>
std::string reasons(Body&& body) {
  return kernel_log([&] {
    try {
      body();
    } catch (const Error&) {  // there may be no other kernel
    }
  });
}

}  // namespace

TEST_CASE("batch normalization") {
  const auto norm = [](auto v) { return F::batch_normalization(v[0], v[1], v[2], {.eps = 1e-3}); };
  both("of images", {{3, 4, 5, 2}, {4}, {4}}, norm);
  both("of vectors", {{6, 5}, {5}, {5}}, norm);
  both("of sequences", {{2, 3, 7}, {3}, {3}}, norm);
  both("of every element apart", {{4, 2, 3, 2}, {2, 3, 2}, {2, 3, 2}}, norm);
  both("of channels in a grid", {{3, 2, 3, 4}, {2, 3}, {2, 3}}, norm);
  both("with a given mean and variance", {{2, 3, 2, 2}, {3}, {3}, {3}, {3}}, [](auto v) {
    return F::fixed_batch_normalization(v[0], v[1], v[2], v[3], F::square(v[4]) + 0.5f);
  });
}

TEST_CASE("running averages are those of the cpu") {
  const auto averages = [](const std::string& device, ctn_dtype dtype) {
    const Context ctx(device);
    const Variable x(values({3, 2, 4, 5}, dtype, 1));
    const Variable gamma(values({2}, dtype, 2)), beta(values({2}, dtype, 3));
    const Variable mean(Array::full({2}, 0.25)), var(Array::full({2}, 0.5));
    F::batch_normalization(x, gamma, beta, mean, var, {.decay = 0.5});
    auto out = mean.array().to_vector<float>();
    for (const float v : var.array().to_vector<float>()) out.push_back(v);
    return out;
  };
  for (const ctn_dtype dtype : {float16, float32}) {
    const auto want = averages("cpu", dtype), got = averages("cuda", dtype);
    REQUIRE(got.size() == want.size());
    for (size_t k = 0; k < got.size(); ++k) CHECK(got[k] == doctest::Approx(want[k]).epsilon(1e-5));
  }
}

TEST_CASE("cudnn_fast_batch_normalization") {
  const FakeDnn fake;
  const Context ctx("cuda");
  const auto mode = [&](ctn_dtype dtype, bool fast) {
    const using_config config("cudnn_fast_batch_normalization", fast);
    F::batch_normalization(Variable(values({2, 3, 2, 2}, dtype, 1)),
                           Variable(values({3}, dtype, 2)), Variable(values({3}, dtype, 3)));
    return fake.get("norm");
  };
  constexpr int64_t kSpatial = 1, kPersistent = 2;
  CHECK(mode(float16, false) == kSpatial);
  CHECK(mode(float16, true) == kPersistent);
  CHECK(mode(float32, true) == kSpatial);
}

TEST_CASE("average pooling") {
  both("plain", {{2, 3, 6, 4}}, [](auto v) { return F::average_pooling_2d(v[0], 2); });
  both("overlapping, with a border", {{1, 2, 7, 6}}, [](auto v) {
    return F::average_pooling_2d(v[0], Value({3, 2}), {.stride = Value({2, 1}), .pad = 1});
  });
  both("with gaps", {{1, 2, 8, 9}},
       [](auto v) { return F::average_pooling_2d(v[0], 2, {.stride = 3}); });
  both("of all", {{2, 5, 3, 4}}, [](auto v) { return F::average_pooling_2d(v[0], Value({3, 4})); });
  const std::string log = reasons([] {
    F::average_pooling_2d(Variable(values({1, 1, 4, 4}, float32, 1)), 2, {.pad = 2});
  });
  CHECK(has(log, "average_pooling_2d: cuda priority 100 declined: windows within the border"));
}

TEST_CASE("softmax") {
  both("of the second axis", {{4, 7}}, [](auto v) { return F::softmax(v[0]); });
  both("of images", {{2, 3, 4, 2}}, [](auto v) { return F::softmax(v[0]); });
  both("of the first axis", {{5, 2, 3}}, [](auto v) { return F::softmax(v[0], {.axis = 0}); });
  both("of the last axis", {{2, 3, 5}}, [](auto v) { return F::softmax(v[0], {.axis = -1}); });
  both("its logarithm", {{4, 6}}, [](auto v) { return F::log_softmax(v[0]); });
  both("its logarithm, of images", {{2, 5, 2, 3}}, [](auto v) { return F::log_softmax(v[0]); });
}

TEST_CASE("what cuDNN may not take is declined") {
  const FakeDnn fake;
  const int64_t computed = fake.get("computed");
  CHECK(has(reasons([] {
              F::softmax(Variable(values({2, 3}, kBfloat16, 1)));
            }),
            "softmax: cuda priority 100 declined: bfloat16"));
  CHECK(has(reasons([] {
              F::softmax(Variable(values({2, 0}, float32, 1)));
            }),
            "softmax: cuda priority 100 declined: nothing to add up"));
  CHECK(has(reasons([] {
              F::batch_normalization(Variable(values({1, 3}, float32, 1)),
                                     Variable(values({3}, float32, 2)),
                                     Variable(values({3}, float32, 3)));
            }),
            "batch_norm: cuda priority 100 declined: one element for each channel"));
  CHECK(fake.get("computed") == computed);
}

TEST_CASE("one plan serves calls of a kind, and nothing is left of it") {
  const FakeDnn fake;
  {
    const Context ctx("cuda");
    const Variable x(values({2, 3, 4, 4}, float16, 1));
    const Variable gamma(values({3}, float16, 2)), beta(values({3}, float16, 3));
    const auto step = [&] {
      const Variable y = F::average_pooling_2d(F::batch_normalization(x, gamma, beta), 2);
      F::sum(F::square(F::softmax(y))).backward();
    };
    step();
    const int64_t made = fake.get("made"), streams = fake.get("streams");
    for (int k = 0; k < 3; ++k) step();
    CHECK(fake.get("made") == made);
    CHECK(fake.get("streams") == streams);
  }
  CHECK(fake.get("alive") == 0);
}
