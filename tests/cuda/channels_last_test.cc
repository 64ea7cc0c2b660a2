// 16-bit images whose channels lie last: convolutions give them so, batch normalization and
// expressions leave them so, and whoever looks at them sees plain strides.
#include "dnn_support.h"

using namespace catena;
using cuda_test::compare, cuda_test::FakeDnn, cuda_test::Floats, cuda_test::has;
using cuda_test::kernel_log, cuda_test::values;

namespace {

constexpr ctn_dtype kBfloat16 = {CTN_DT_BFLOAT, 16, 1};

template <class Body>
void both(const char* name, const std::vector<Shape>& shapes, const Body& body,
          const std::vector<ctn_dtype>& dtypes = {float16, kBfloat16}) {
  const FakeDnn fake;
  fake.computes([&] {
    for (const ctn_dtype dtype : dtypes) compare(name, shapes, body, {dtype});
  });
}

int64_t times(const std::string& text, const std::string& part) {
  int64_t n = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
  return n;
}

Variable half(const Shape& shape, int seed) { return Variable(values(shape, float16, seed)); }

}  // namespace

TEST_CASE("a block of layers gives what the cpu gives") {
  for (const int64_t channels : {3, 8}) {
    both("block", {{2, 3, 5, 4}, {channels, 3, 3, 3}, {channels}, {channels}, {2, channels, 1, 1}},
         [](auto v) {
           const Variable h = F::convolution_2d(v[0] * 0.25f, v[1] * 0.25f, {.pad = 1});
           const Variable n = F::relu(F::batch_normalization(h, v[2], v[3], {.eps = 0.01}));
           return F::convolution_2d(n + h, v[4]);
         },
         {float16});
  }
}

TEST_CASE("batch normalization of what a convolution gives") {
  for (const Shape& x : {Shape{2, 4, 3, 3}, Shape{3, 5, 9, 8}, Shape{2, 132, 6, 6}}) {
    const int64_t c = x[1];
    both("training", {x, {c, 1, 1, 1}, {c}, {c}}, [c](auto v) {
      const Variable h = F::convolution_2d(v[0], v[1], {.groups = c});
      return F::batch_normalization(h, v[2], v[3], {.eps = 0.1}) * 0.25f;
    });
  }
  both("given", {{2, 4, 3, 3}, {4, 4, 1, 1}, {4}, {4}, {4}, {4}}, [](auto v) {
    const Variable h = F::convolution_2d(v[0], v[1] * 0.25f);
    return F::fixed_batch_normalization(h, v[2], v[3], v[4], F::square(v[5]) + 0.5f);
  });
}

TEST_CASE("running averages of arrays with the channels last") {
  const auto averages = [](const std::string& device) {
    const Context ctx(device);
    const Variable h = F::convolution_2d(half({2, 4, 6, 7}, 1), half({8, 4, 3, 3}, 2) * 0.25f);
    const Variable mean(Array::full({8}, 0.25)), var(Array::full({8}, 0.5));
    F::batch_normalization(h, half({8}, 3), half({8}, 4), mean, var, {.decay = 0.5});
    auto out = mean.array().to_vector<float>();
    for (const float v : var.array().to_vector<float>()) out.push_back(v);
    return out;
  };
  const Floats want = averages("cpu"), got = averages("cuda");
  CHECK(cuda_test::difference(got, want, 1e-3) == "");
}

TEST_CASE("pooling of what a convolution gives") {
  for (const int64_t channels : {3, 16}) {
    const auto pooled = [&](const char* name, const auto& pool) {
      both(name, {{2, 2, 7, 9}, {channels, 2, 1, 1}},
           [&](auto v) { return pool(F::convolution_2d(v[0], v[1] * 0.25f)) * 0.5f; });
    };
    pooled("maximum", [](const Variable& h) { return F::max_pooling_2d(h, 2); });
    pooled("maximum of overlapping windows",
           [](const Variable& h) { return F::max_pooling_2d(h, 3, {.stride = 2, .pad = 1}); });
    pooled("maximum of oblong windows to the end", [](const Variable& h) {
      return F::max_pooling_2d(h, Value({2, 3}), {.stride = Value({3, 2}), .pad = Value({0, 1})});
    });
    pooled("average", [](const Variable& h) { return F::average_pooling_2d(h, 3, {.stride = 2}); });
    pooled("average with a border",
           [](const Variable& h) { return F::average_pooling_2d(h, 3, {.stride = 2, .pad = 1}); });
    pooled("average of all", [](const Variable& h) {
      return F::average_pooling_2d(h, Value({7, 9}));
    });
  }
}

TEST_CASE("the largest of special values, channels last") {
  const auto largest = [](const std::string& device) {
    const Context ctx(device);
    const Floats special = {NAN, -INFINITY, 1, -INFINITY, INFINITY, NAN, 2, 2, -INFINITY};
    const Variable x(Array::from<float>(special, {1, 1, 3, 3}).astype(float16), false);
    const Variable one(Array::full({8, 1, 1, 1}, 1).astype(float16), false);
    return F::max_pooling_2d(F::convolution_2d(x, one), 2, {.stride = 1})
        .array()
        .astype(float32)
        .to_vector<float>();
  };
  CHECK(cuda_test::difference(largest("cuda"), largest("cpu"), 0) == "");
}

TEST_CASE("arrays stay as they are from op to op") {
  const std::string log = kernel_log([] {
    const Variable x = half({2, 4, 5, 5}, 1), w = half({4, 4, 3, 3}, 2);
    const Variable gamma = half({4}, 3), beta = half({4}, 4);
    const Variable h = F::relu(F::batch_normalization(F::convolution_2d(x, w), gamma, beta));
    F::sum(F::square(F::convolution_2d(h, w))).backward();
  });
  CHECK(has(log, "batch_norm: cuda priority 200 runs"));
  CHECK(has(log, "batch_norm_grad: cuda priority 200 runs"));
  const std::string pooled = kernel_log([] {
    const Variable h = F::convolution_2d(half({2, 4, 5, 5}, 1), half({8, 4, 3, 3}, 2));
    F::sum(F::convolution_2d(F::max_pooling_2d(h, 2), half({4, 8, 1, 1}, 3))).backward();
    F::sum(F::convolution_2d(F::average_pooling_2d(h, 2), half({4, 8, 1, 1}, 3))).backward();
  });
  for (const char* op : {"max_pooling_2d_indexed", "pooling_scatter_2d", "average_pooling_2d",
                         "average_pooling_2d_grad"})
    CHECK(has(pooled, std::string(op) + ": cuda priority 200 runs"));
  const std::string plain = kernel_log([] {
    const using_config never("use_cudnn_tensor_core", "never");
    const Variable x = half({2, 4, 5, 5}, 1), w = half({4, 4, 3, 3}, 2);
    F::batch_normalization(F::convolution_2d(x, w), half({4}, 3), half({4}, 4));
  });
  CHECK(has(plain, "batch_norm: cuda priority 200 declined: x is plain"));
  CHECK(has(plain, "batch_norm: cuda priority 100 runs"));
  CHECK(times(plain, "convolution_2d: cuda priority 100 runs") == 1);
}

TEST_CASE("whoever looks sees plain strides, of any dtype") {
  const auto looks = [](const std::string& device) {
    const Context ctx(device);
    // A filter for each channel that passes it on, so that nothing is rounded.
    const Variable one(Array::full({5, 1, 1, 1}, 1).astype(float16));
    const Variable h = F::convolution_2d(half({2, 5, 7, 33}, 1), one, {.groups = 5});
    std::vector<Floats> out;
    const auto add = [&](const Variable& v) {
      out.push_back(v.array().astype(float32).to_vector<float>());
    };
    // before anybody has looked at all of it
    for (const Variable& part : F::split_axis(h, {1, 3}, 1)) add(part);
    add(h);
    add(F::cast(h, float32) * 2.0f);
    add(F::cast(F::cast(h, float64) + 1.0f, float16));
    add(F::transpose(h));
    add(F::reshape(h, {10, 231}));
    add(F::get_item(h, {Value(1)}));
    add(F::concat({h, h}, {.axis = 1}));
    return out;
  };
  const auto want = looks("cpu"), got = looks("cuda");
  for (size_t k = 0; k < want.size(); ++k) {
    CAPTURE(k);
    CHECK(cuda_test::difference(got[k], want[k], 0) == "");
  }
}

TEST_CASE("a step of training in the layout gives what the cpu gives") {
  const auto train = [](const std::string& device) {
    const Context ctx(device);
    Variable w = half({8, 4, 3, 3}, 2);
    const Variable x = half({2, 4, 6, 6}, 1);
    for (int step = 0; step < 3; ++step) {
      w.cleargrad();
      (F::sum(F::square(F::convolution_2d(x, w * 0.25f))) / 500.0f).backward();
      w.array().assign((w - w.grad() * 0.125f).array());
    }
    return w.array().astype(float32).to_vector<float>();
  };
  CHECK(cuda_test::difference(train("cuda"), train("cpu"), 1e-2) == "");
}
