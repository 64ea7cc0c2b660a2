// Kernels beyond expressions on the false GPU: what they give, and their gradients, beside the
// cpu's.
#include "compare.h"

using namespace catena;
using cuda_test::compare, cuda_test::compare_mixed, cuda_test::Floats;

TEST_CASE("products") {
  compare("linear", {{5, 7}, {3, 7}, {3}}, [](auto v) { return F::linear(v[0], v[1], v[2]); });
  compare("linear without bias", {{4, 2, 3}, {5, 6}}, [](auto v) { return F::linear(v[0], v[1]); });
  compare("matmul of vectors", {{9}, {9}}, [](auto v) { return F::matmul(v[0], v[1]); });
  compare("matmul", {{3, 4}, {4, 5}}, [](auto v) { return F::matmul(v[0], v[1]); });
  compare("matmul, a transposed", {{4, 3}, {4, 5}},
          [](auto v) { return F::matmul(v[0], v[1], {.transa = true}); });
  compare("matmul of stacks, b transposed", {{2, 3, 3, 4}, {2, 3, 5, 4}},
          [](auto v) { return F::matmul(v[0], v[1], {.transb = true}); });
  compare("matmul of views", {{4, 3}, {5, 4}},
          [](auto v) { return F::matmul(F::transpose(v[0]), F::transpose(v[1])); });
  compare_mixed("linear of two dtypes", {{5, 7}, {3, 7}, {3}},
                [](auto v) { return F::linear(v[0], v[1], v[2]); }, {float32, float64, float32});
  compare_mixed("matmul of two dtypes", {{3, 4}, {4, 5}},
                [](auto v) { return F::matmul(v[0], v[1]); }, {float16, float32});
  compare("matmul over nothing", {{3, 0}, {0, 2}}, [](auto v) { return F::matmul(v[0], v[1]); });
}

TEST_CASE("moves") {
  compare("concat", {{2, 3, 4}, {2, 1, 4}, {2, 2, 4}}, [](auto v) {
    return F::concat({v[0], v[1], v[2]}, {.axis = 1});
  });
  compare("concat of views", {{3, 2}, {2, 4}}, [](auto v) {
    return F::concat({F::transpose(v[0]), v[1]}, {.axis = 1});
  });
  // neighbours are copied together, as many as lie well on both sides
  for (const int64_t n : {1, 2, 3, 4, 6, 8})
    compare("concat of words", {{3, 2, n, 5}, {3, 4, n, 5}, {3, 1, n, 5}}, [](auto v) {
      return F::concat({v[0], v[1], v[2]}, {.axis = 1});
    });
  compare("bias", {{6, 5}, {8, 5}, {8}}, [](auto v) { return F::linear(v[0], v[1], v[2]); });
  std::vector<int32_t> many;  // shared among parts
  for (int k = 0; k < 1100; ++k) many.push_back(std::max(k * k % 37 % 21 - 3, -1));
  compare("put back often", {{20, 3}},
          [&](auto v) {
            const Variable x(Array::from<int32_t>(many, {1100}), false);
            return F::embed_id(x, v[0], {.ignore_label = -1}) * 0.125f;
          },
          {float32});
  const std::vector<int32_t> ids = {3, 0, 3, -1, 2};
  compare("embed_id", {{4, 6}},
          [&](auto v) {
            const Variable x(Array::from<int32_t>(ids, {5}), false);
            return F::embed_id(x, v[0], {.ignore_label = -1});
          },
          {float32});
}

TEST_CASE("the workspace of products is the context's memory, within its limit") {
  const auto product = [] {
    const Variable x(Array::full({2, 3}, 1), false), w(Array::full({3, 4}, 1), false);
    return F::matmul(x, w).array().to_vector<float>();
  };
  {
    const Context ctx("cuda");
    const uint64_t before = ctx.memory("cuda").held;
    CHECK(product() == Floats(8, 3));
    CHECK(ctx.memory("cuda").held >= before + (uint64_t{4} << 20));
    CHECK(ctx.memory("cuda").used < uint64_t{1} << 20);
  }
  const Context ctx(ContextOptions{.device = "cuda", .memory_limit = uint64_t{3} << 20});
  CHECK_THROWS_AS(product(), OutOfMemory);
  CHECK(F::sum(Variable(Array::full({8}, 1))).item() == 8);
}

TEST_CASE("a number out of bounds is an error of who waits, once") {
  Context ctx("cuda");
  const Variable w(Array::full({4, 2}, 1));
  const Variable x(Array::of<int32_t>({1, 9}), false);
  const Variable y = F::embed_id(x, w);
  CHECK_THROWS_WITH_AS(ctx.synchronize(),
                       doctest::Contains("id 9 is out of bounds for W with 4 rows"),
                       InvalidArgument);
  ctx.synchronize();
  CHECK(F::embed_id(Variable(Array::of<int32_t>({0, 3}), false), w).array().to_vector<float>() ==
        Floats(4, 1));
}
