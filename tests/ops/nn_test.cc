// Softmax, losses, batch normalization, dropout and embed_id through the C interface: extremes,
// what is refused, and that results do not depend on the number of threads.
#include <catena/catena.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "backend.h"
#include "main.h"

namespace {

using Shape = std::vector<int64_t>;
using Floats = std::vector<float>;
using Labels = std::vector<int32_t>;

constexpr float kInf = std::numeric_limits<float>::infinity();

ctn_str str(std::string_view s) { return {s.data(), s.size()}; }

#define OK(call) REQUIRE_MESSAGE((call) == CTN_OK, std::string(ctn_error_message()))

ctn_attr number(std::string_view name, double f) {
  ctn_attr a{str(name), {CTN_FLOAT, 0, {}}};
  a.value.u.f = f;
  return a;
}
ctn_attr whole(std::string_view name, int64_t i) {
  ctn_attr a{str(name), {CTN_INT, 0, {}}};
  a.value.u.i = i;
  return a;
}
ctn_attr flag(std::string_view name, bool b) {
  ctn_attr a{str(name), {CTN_BOOL, 0, {}}};
  a.value.u.i = b;
  return a;
}
ctn_attr word(std::string_view name, std::string_view s) {
  ctn_attr a{str(name), {CTN_STR, static_cast<uint32_t>(s.size()), {}}};
  a.value.u.s = s.data();
  return a;
}

// A context and the handles that are released with it.
struct Case {
  ctn_context ctx = nullptr;
  std::vector<ctn_variable> variables;

  explicit Case(int32_t threads = 0) {
    ctn_context_options options{};
    options.size = sizeof options;
    options.device = str(catena_test::backend());
    options.threads = threads;
    options.seed = 7;
    OK(ctn_context_create(&options, &ctx));
  }
  Case(const Case&) = delete;
  ~Case() {
    for (ctn_variable v : variables) ctn_variable_release(v);
    ctn_context_release(ctx);
  }
  ctn_variable keep(ctn_variable v) {
    if (v) variables.push_back(v);
    return v;
  }
  ctn_variable make(const Shape& shape, ctn_dtype dtype, const void* data, bool gradient) {
    ctn_array a = nullptr;
    ctn_variable v = nullptr;
    OK(ctn_array_from_host(ctx, dtype, static_cast<int32_t>(shape.size()), shape.data(), data, &a));
    const ctn_status status = ctn_variable_new(a, gradient, &v);
    ctn_array_release(a);
    OK(status);
    return keep(v);
  }
  ctn_variable floats(const Shape& shape, const Floats& values) {
    return make(shape, {CTN_DT_FLOAT, 32, 1}, values.data(), true);
  }
  ctn_variable labels(const Shape& shape, const Labels& values) {
    return make(shape, {CTN_DT_INT, 32, 1}, values.data(), false);
  }
  ctn_status try_call(std::string_view op, const std::vector<ctn_variable>& in,
                      const std::vector<ctn_attr>& attrs, ctn_variable* out) {
    return ctn_call_named(ctx, str(op), in.data(), static_cast<int32_t>(in.size()), attrs.data(),
                          static_cast<int32_t>(attrs.size()), out, 1);
  }
  ctn_variable call(std::string_view op, const std::vector<ctn_variable>& in,
                    const std::vector<ctn_attr>& attrs = {}) {
    ctn_variable y = nullptr;
    OK(try_call(op, in, attrs, &y));
    return keep(y);
  }
  // At once, or, where only the device sees the numbers, when somebody waits for it.
  void refused(std::string_view op, const std::vector<ctn_variable>& in,
               const std::vector<ctn_attr>& attrs, ctn_status status, std::string_view text) {
    ctn_variable y = nullptr;
    ctn_status got = try_call(op, in, attrs, &y);
    CHECK((got == CTN_OK) == (y != nullptr));
    if (got == CTN_OK) got = ctn_synchronize(ctx);
    CHECK(got == status);
    CHECK_MESSAGE(std::string_view(ctn_error_message()).find(text) != text.npos,
                  ctn_error_message());
    ctn_variable_release(y);
  }
  Floats values(ctn_variable v) {
    ctn_dltensor t;
    OK(ctn_variable_view(v, &t));
    REQUIRE(t.dtype.bits == 32);
    size_t n = 1;
    for (int32_t k = 0; k < t.ndim; ++k) n *= static_cast<size_t>(t.shape[k]);
    Floats out(n);
    ctn_array a = nullptr;
    OK(ctn_variable_array(v, &a));
    const ctn_status status = ctn_array_to_host(a, out.data(), n * sizeof(float));
    ctn_array_release(a);
    OK(status);
    return out;
  }
  // From gy, or from ones where y is a scalar.
  Floats gradient(ctn_variable y, ctn_variable x, ctn_variable gy = nullptr) {
    ctn_grad_options options{};
    options.size = sizeof options;
    if (gy) options.grad_outputs = &gy;
    ctn_variable gx = nullptr;
    OK(ctn_grad_of(&y, 1, &x, 1, &options, &gx));
    REQUIRE(gx != nullptr);
    return values(keep(gx));
  }
};

Floats random_floats(size_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> d(-2, 2);
  Floats v(n);
  for (float& x : v) x = d(engine);
  return v;
}

Labels random_labels(size_t n, int32_t low, int32_t high, unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_int_distribution<int32_t> d(low, high);
  Labels v(n);
  for (int32_t& x : v) x = d(engine);
  return v;
}

}  // namespace

TEST_CASE("softmax cross entropy of extremes") {
  Case c;
  const ctn_variable x = c.floats({2, 3}, {1e30f, -kInf, 0, -1e30f, 1e30f, 1e30f});
  const ctn_variable hit = c.call("softmax_cross_entropy", {x, c.labels({2}, {0, 1})});
  CHECK(c.values(hit)[0] == doctest::Approx(std::log(2.0) / 2));
  CHECK(c.gradient(hit, x) == Floats{0, 0, 0, 0, -0.25f, 0.25f});
  const ctn_variable miss =
      c.call("softmax_cross_entropy", {x, c.labels({2}, {1, 0})}, {word("reduce", "no")});
  CHECK(c.values(miss) == Floats{kInf, 2e30f});
}

TEST_CASE("softmax cross entropy of ignored, absent and wrong labels") {
  Case c;
  const ctn_variable x = c.floats({2, 3}, {kInf, kInf, 0, 1, 2, std::nanf("")});
  const ctn_variable none = c.call("softmax_cross_entropy", {x, c.labels({2}, {-1, -1})});
  CHECK(c.values(none)[0] == 0.0f);
  CHECK(c.gradient(none, x) == Floats(6, 0.0f));
  const ctn_variable empty = c.floats({0, 3}, {});
  const ctn_variable nothing = c.call("softmax_cross_entropy", {empty, c.labels({0}, {})});
  CHECK(c.values(nothing)[0] == 0.0f);
  CHECK(c.gradient(nothing, empty).empty());
  c.refused("softmax_cross_entropy", {x, c.labels({2}, {0, 3})}, {}, CTN_EINVAL,
            "0 <= t < 3 or t == -1`, got 3");
  c.refused("softmax_cross_entropy", {x, c.labels({2}, {0, -2})}, {}, CTN_EINVAL, "got -2");
  c.refused("softmax_cross_entropy", {x, c.labels({3}, {0, 0, 0})}, {}, CTN_ESHAPE,
            "in_types[0].shape[0] == in_types[1].shape[0]");
  c.refused("softmax_cross_entropy", {x, c.labels({2}, {0, 0})}, {word("reduce", "sum")},
            CTN_EINVAL, "only 'mean' and 'no' are valid for 'reduce', but 'sum' is given");
  c.refused("select_item", {x, c.labels({2}, {0, 3})}, {}, CTN_EINVAL, "got 3");
}

TEST_CASE("the softmax cross entropy of side by side columns ignores them as rows do") {
  Case c;
  const ctn_variable x = c.floats({1, 2, 3}, {0, kInf, 1, 0, 1, 1});
  const ctn_variable loss = c.call("softmax_cross_entropy", {x, c.labels({1, 3}, {0, -1, 1})});
  CHECK(c.values(loss)[0] == doctest::Approx(std::log(2.0)));
  CHECK(c.gradient(loss, x) == Floats{-0.25f, 0, 0.25f, 0.25f, 0, -0.25f});
}

TEST_CASE("softmax of arrays without elements") {
  Case c;
  for (const Shape& shape : {Shape{0, 3}, Shape{3, 0}, Shape{2, 3, 0}}) {
    CHECK(c.values(c.call("softmax", {c.floats(shape, {})})).empty());
    CHECK(c.values(c.call("log_softmax", {c.floats(shape, {})})).empty());
  }
  c.refused("softmax", {c.floats({2, 3}, Floats(6))}, {whole("axis", 2)}, CTN_ESHAPE, "axis");
}

TEST_CASE("accuracies count what they should") {
  Case c;
  const float nan = std::nanf("");
  const ctn_variable y = c.floats({4, 2}, {1, 1, nan, 9, 0, nan, -kInf, -kInf});
  CHECK(c.values(c.call("accuracy", {y, c.labels({4}, {0, 0, 1, 1})}))[0] == 0.75f);
  CHECK(c.values(c.call("accuracy", {y, c.labels({4}, {0, 5, 5, 5})},
                        {whole("ignore_label", 5)}))[0] == 1.0f);
  CHECK(c.values(c.call("binary_accuracy",
                        {c.floats({3}, {0, -1, 4}), c.labels({3}, {1, 1, -1})}))[0] == 0.5f);
}

// y and gx of channel 0 of two, in float64.
static void expect_normalized(const Floats& x, const Floats& gy, const Shape& shape,
                              const Floats& got_y, const Floats& got_gx, double tolerance) {
  const int64_t n = shape[0], inner = shape[2];
  const auto mean = [&](auto&& fn) {
    double sum = 0;
    for (int64_t b = 0; b < n; ++b)
      for (int64_t i = 0; i < inner; ++i) sum += fn(static_cast<size_t>(b * 2 * inner + i));
    return sum / static_cast<double>(n * inner);
  };
  const auto at = [](const Floats& v, size_t i) { return static_cast<double>(v[i]); };
  const double m = mean([&](size_t i) { return at(x, i); });
  const double var = mean([&](size_t i) { return std::pow(at(x, i) - m, 2); });
  const double s = 1 / std::sqrt(var + 2e-5);
  const auto normal = [&](size_t i) { return (at(x, i) - m) * s; };
  const double g = mean([&](size_t i) { return at(gy, i); });
  const double along = mean([&](size_t i) { return at(gy, i) * normal(i); });
  const double error_y = mean([&](size_t i) { return std::abs(at(got_y, i) - normal(i)); });
  const double error_gx = mean(
      [&](size_t i) { return std::abs(at(got_gx, i) - s * (at(gy, i) - g - normal(i) * along)); });
  CHECK(error_y < tolerance);
  CHECK(error_gx < tolerance);
}

TEST_CASE("batch normalization beside a large mean, and of nothing") {
  Case c;
  // columns, channels in one piece, channels in several pieces
  for (const Shape& shape :
       {Shape{200, 2, 1}, Shape{3000, 2, 3}, Shape{200, 2, 100}, Shape{40, 2, 8192}}) {
    CAPTURE(shape[2]);
    const auto n = static_cast<size_t>(shape[0] * shape[1] * shape[2]);
    for (const float offset : {0.0f, 5000.0f}) {
      Floats x = random_floats(n, 1);
      const Floats gy = random_floats(n, 2);
      for (float& v : x) v += offset;
      const ctn_variable in = c.floats(shape, x);
      const ctn_variable y =
          c.call("batch_normalization", {in, c.floats({2}, {1, 1}), c.floats({2}, {0, 0})});
      // 5000 has a last digit of 2^-11
      expect_normalized(x, gy, shape, c.values(y), c.gradient(y, in, c.floats(shape, gy)),
                        offset > 0 ? 3e-4 : 1e-6);
    }
  }
  const ctn_variable none = c.call(
      "batch_normalization", {c.floats({0, 2}, {}), c.floats({2}, {1, 1}), c.floats({2}, {0, 0})});
  CHECK(c.values(none).empty());
  c.refused("batch_normalization",
            {c.floats({2, 3}, Floats(6)), c.floats({2}, {1, 1}), c.floats({2}, {0, 0})}, {},
            CTN_ESHAPE,
            "Expect: in_types[0].shape[1:2] == in_types[1].shape\nActual: (3,) != (2,)");
}

TEST_CASE("dropout drops its share, and nothing outside training") {
  Case c;
  const ctn_variable x = c.floats({100000}, Floats(100000, 1.0f));
  for (const double ratio : {0.2, 0.5}) {
    const ctn_variable y = c.call("dropout", {x}, {number("ratio", ratio)});
    const Floats got = c.values(y);
    size_t dropped = 0;
    for (const float v : got) {
      CHECK((v == 0 || v == static_cast<float>(1 / (1 - ratio))));
      dropped += v == 0;
    }
    CHECK(std::abs(static_cast<double>(dropped) / 1e5 - ratio) < 0.01);
    CHECK(c.gradient(y, x, x) == got);  // the same mask
  }
  c.refused("dropout", {x}, {number("ratio", 1.0)}, CTN_EINVAL, "[0, 1)");
  ctn_value off{CTN_BOOL, 0, {}};
  OK(ctn_config_set(c.ctx, str("train"), &off));
  CHECK(c.values(c.call("dropout", {x}, {flag("return_mask", true)})) == Floats(100000, 1.0f));
}

TEST_CASE("embed_id refuses what W does not have and leaves out what is ignored") {
  Case c;
  const ctn_variable w = c.floats({3, 2}, {1, 2, 3, 4, 5, 6});
  const ctn_variable y =
      c.call("embed_id", {c.labels({4}, {-1, 2, -3, 2}), w}, {whole("ignore_label", -1)});
  CHECK(c.values(y) == Floats{0, 0, 5, 6, 1, 2, 5, 6});
  const ctn_variable gy = c.floats({4, 2}, {9, 9, 1, 2, 3, 4, 10, 20});
  CHECK(c.gradient(y, w, gy) == Floats{3, 4, 0, 0, 11, 22});
  c.refused("embed_id", {c.labels({1}, {3}), w}, {}, CTN_EINVAL, "id 3 is out of bounds");
}

TEST_CASE("bits do not depend on the number of threads") {
  const auto all = [](int32_t threads) {
    Case c(threads);
    std::vector<Floats> r;
    const auto add = [&](ctn_variable y, ctn_variable x, ctn_variable gy) {
      r.push_back(c.values(y));
      r.push_back(c.gradient(y, x, gy));
    };
    const ctn_variable scores = c.floats({5000, 37}, random_floats(5000 * 37, 1));
    add(c.call("softmax", {scores}), scores, scores);
    add(c.call("softmax_cross_entropy", {scores, c.labels({5000}, random_labels(5000, -1, 36, 2))}),
        scores, nullptr);
    const ctn_variable gamma = c.floats({3}, {1, 2, 3}), beta = c.floats({3}, {0, 1, 2});
    // channels in one piece, in several pieces, and as columns
    for (const Shape& shape : {Shape{6, 3, 900}, Shape{40, 3, 8192}, Shape{40000, 3, 2}}) {
      const size_t n = static_cast<size_t>(shape[0] * shape[1] * shape[2]);
      const ctn_variable x = c.floats(shape, random_floats(n, 3));
      const ctn_variable gy = c.floats(shape, random_floats(n, 4));
      add(c.call("batch_normalization", {x, gamma, beta}), x, gy);
      add(c.call("local_response_normalization", {x}), x, gy);
    }
    const ctn_variable w = c.floats({500, 64}, random_floats(500 * 64, 5));
    const ctn_variable e =
        c.call("embed_id", {c.labels({9000}, random_labels(9000, 0, 499, 6)), w});
    add(e, w, c.floats({9000, 64}, random_floats(9000 * 64, 7)));
    return r;
  };
  const std::vector<Floats> one = all(1), four = all(4);
  REQUIRE(one.size() == four.size());
  for (size_t k = 0; k < one.size(); ++k) {
    CAPTURE(k);
    CHECK(one[k] == four[k]);
  }
}
