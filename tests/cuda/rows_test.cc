// Kernels that go along rows and columns (softmax, losses, labels, dropout) on the false GPU beside
// the cpu: lines of all lengths around those of a warp and a block, views, no elements at all.
#include <algorithm>
#include <limits>
#include <memory>

#include "compare.h"

using namespace catena;
using cuda_test::compare;
using cuda_test::Floats;

namespace {

constexpr int64_t kLengths[] = {1, 31, 33, 1000, 70000};

Variable labels(int64_t n, int64_t classes, bool ignore = true) {
  std::vector<int32_t> t;
  for (int64_t k = 0; k < n; ++k)
    t.push_back(ignore && k % 5 == 3 ? -1 : static_cast<int32_t>(k * 7 % classes));
  return Variable(Array::from<int32_t>(t, {n}), false);
}

std::vector<ctn_dtype> dtypes_for(int64_t n) {
  if (n > 1000) return {float32};
  return {float16, float32, float64, {CTN_DT_BFLOAT, 16, 1}};
}

}  // namespace

TEST_CASE("softmax") {
  for (const int64_t n : kLengths) {
    CAPTURE(n);
    const int64_t count = n > 1000 ? 1 : 3;
    const auto dtypes = dtypes_for(n);
    compare(
        "rows", {{count, n}}, [](auto v) { return F::softmax(v[0]); }, dtypes);
    compare(
        "log of rows", {{count, n}}, [](auto v) { return F::log_softmax(v[0]); }, dtypes);
    compare(
        "columns", {{n, 5}}, [](auto v) { return F::softmax(v[0], {.axis = 0}); }, dtypes);
    compare(
        "columns of stacks", {{2, n, 3}}, [](auto v) { return F::log_softmax(v[0]); }, dtypes);
    compare(
        "views", {{n, count}}, [](auto v) { return F::softmax(F::transpose(v[0])); }, dtypes);
  }
  compare("many short rows", {{3000, 10}}, [](auto v) { return F::softmax(v[0]); }, {float32});
  compare("no rows", {{0, 4}}, [](auto v) { return F::softmax(v[0]); });
  compare("rows of nothing", {{4, 0}}, [](auto v) { return F::softmax(v[0]); });
}

TEST_CASE("softmax of what is not finite") {
  constexpr float kInf = std::numeric_limits<float>::infinity(),
                  kNan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<Floats> rows = {{-kInf, 1, 2, -kInf, 3},
                                    {-kInf, -kInf, -kInf, -kInf, -kInf},
                                    {1, kInf, 2, 3, kInf},
                                    {1, 2, kNan, 4, 5},
                                    {1e30f, -1e30f, 1e30f, 0, 1}};
  const auto softmax = [&](const char* device) {
    const Context ctx(device);
    std::vector<Floats> out;
    for (const Floats& row : rows) {
      const Variable x(Array::from<float>(row, {1, 5}), false);
      out.push_back(F::softmax(x).array().to_vector<float>());
      out.push_back(F::log_softmax(x).array().to_vector<float>());
    }
    return out;
  };
  const auto want = softmax("cpu"), got = softmax("cuda");
  for (size_t k = 0; k < want.size(); ++k) {
    CAPTURE(k);
    CHECK(cuda_test::difference(got[k], want[k], 1e-6) == "");
  }
}

TEST_CASE("softmax cross entropy") {
  for (const int64_t n : kLengths) {
    CAPTURE(n);
    const int64_t batch = n > 1000 ? 1 : 8;
    const auto dtypes = dtypes_for(n);
    for (const bool normalize : {true, false}) {
      compare(
          "mean", {{batch, n}},
          [&](auto v) {
            return F::softmax_cross_entropy(v[0], labels(batch, n), {.normalize = normalize});
          },
          dtypes);
      compare(
          "each", {{batch, n}},
          [&](auto v) {
            return F::softmax_cross_entropy(v[0], labels(batch, n, false),
                                            {.normalize = normalize, .reduce = "no"});
          },
          dtypes);
    }
    compare(
        "weights of classes", {{batch, n}},
        [&](auto v) {
          const Variable weight(cuda_test::values({n}, float32, 3).astype(v[0].array().dtype()),
                                false);
          return F::softmax_cross_entropy(v[0], labels(batch, n), weight);
        },
        dtypes);
  }
  compare("pixels", {{2, 5, 7, 9}}, [](auto v) {
    return F::softmax_cross_entropy(v[0], F::reshape(labels(126, 5), {2, 7, 9}));
  });
  compare("a batch of nothing", {{0, 5}},
          [](auto v) { return F::softmax_cross_entropy(v[0], labels(0, 5)); });
  compare("all ignored", {{2, 3}}, [](auto v) {
    return F::softmax_cross_entropy(v[0], Variable(Array::of<int32_t>({-1, -1}), false));
  });
  // through the kernel that says what each label counts
  compare("gradient of the gradient", {{4, 6}}, [](auto v) {
    const Variable loss = F::softmax_cross_entropy(v[0], labels(4, 6));
    return grad({loss}, {v[0]}, {.enable_double_backprop = true})[0];
  });
}

TEST_CASE("elements by label") {
  for (const int64_t n : kLengths) {
    CAPTURE(n);
    compare(
        "select_item", {{6, n}}, [&](auto v) { return F::select_item(v[0], labels(6, n, false)); },
        dtypes_for(n));
  }
  for (const uint8_t bits : {8, 16, 32, 64})
    compare("labels of other types", {{6, 4}}, [&](auto v) {
      const Array t = labels(6, 4, false).array().astype({CTN_DT_INT, bits, 1});
      return F::select_item(v[0], Variable(t, false));
    });
}

TEST_CASE("accuracy") {
  const auto accuracy = [](const Shape& shape, const Variable& t, const Value& ignore) {
    return F::accuracy(Variable(cuda_test::values(shape, float32, 1), false), t,
                       {.ignore_label = ignore})
        .array()
        .to_vector<float>();
  };
  const auto both = [&](const char* device) {
    const Context ctx(device);
    Floats out;
    for (const int64_t n : kLengths)
      for (const int64_t batch : {0, 1, 70})
        for (const bool ignore : {true, false})
          out.push_back(
              accuracy({batch, n}, labels(batch, n, ignore), ignore ? Value(-1) : Value())[0]);
    out.push_back(accuracy({2, 5, 3}, F::reshape(labels(6, 5), {2, 3}), Value(-1))[0]);
    const Variable nan(Array::from<float>({1, std::nanf(""), 3, std::nanf("")}, {1, 4}), false);
    out.push_back(F::accuracy(nan, Variable(Array::of<int32_t>({1}), false)).item());
    return out;
  };
  CHECK(cuda_test::difference(both("cuda"), both("cpu"), 0) == "");
}

TEST_CASE("a label out of bounds is an error of who waits, once") {
  Context ctx("cuda");
  const Variable x(Array::full({2, 3}, 1));
  const Variable bad(Array::of<int32_t>({1, 3}), false);
  const Variable loss = F::softmax_cross_entropy(x, bad);
  CHECK_THROWS_WITH_AS(ctx.synchronize(),
                       doctest::Contains("Each label `t` need to satisfy `0 <= t < 3 or t == -1`, "
                                         "got 3 ("),
                       InvalidArgument);
  const Variable item = F::select_item(x, bad);
  CHECK_THROWS_WITH_AS(item.array().to_vector<float>(),
                       doctest::Contains("`0 <= t < 3`, got 3 (pick)"), InvalidArgument);
  ctx.synchronize();
}

TEST_CASE("dropout draws what the cpu draws") {
  const auto dropped = [](const char* device) {
    const Context ctx(ContextOptions{.device = device, .seed = 11});
    std::vector<Floats> out;
    for (const int64_t n : {1, 2, 33, 0, 1001, 5})
      for (const ctn_dtype dtype : {float32, float16, float64}) {
        const Variable x(cuda_test::values({n}, dtype, 2), false);
        out.push_back(F::dropout(x, {.ratio = 0.3}).array().astype(float32).to_vector<float>());
      }
    std::vector<double> numbers(3);  // the stream goes on where the last mask ended
    check(ctn_random_draw(ctx.get(), CTN_RANDOM_UNIFORM, numbers.data(), 3));
    out.emplace_back(numbers.begin(), numbers.end());
    return out;
  };
  CHECK(dropped("cuda") == dropped("cpu"));  // to the bit
  compare("dropout", {{300}}, [](auto v) { return F::dropout(v[0]); });
}

TEST_CASE("a context that draws its own random numbers is asked for them") {
  const auto dropped = [](const char* device) {
    double last = 0;
    ctn_random own{};
    own.size = sizeof own;
    own.user = &last;
    own.draw = [](void* user, int32_t, void* dst, int64_t n) -> ctn_status {
      double& at = *static_cast<double*>(user);
      for (int64_t k = 0; k < n; ++k)
        static_cast<double*>(dst)[k] = at = at * 0.5 + (at < 0.7) / 2.0;
      return CTN_OK;
    };
    ctn_context_options o{};
    o.size = sizeof o;
    o.device = detail::str(device);
    o.random = &own;
    ctn_context made = nullptr;
    check(ctn_context_create(&o, &made));
    const std::unique_ptr<ctn_context_s, void (*)(ctn_context)> owner(made, ctn_context_release);
    const Variable x(Array::full({100'000}, 2, float32, made), false);
    return F::dropout(x).array().to_vector<float>();
  };
  const Floats got = dropped("cuda");
  CHECK(got == dropped("cpu"));
  const auto zeros = std::count(got.begin(), got.end(), 0.0f);
  CHECK(zeros > 0);
  CHECK(zeros < static_cast<int64_t>(got.size()));
}
