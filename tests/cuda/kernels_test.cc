// Kernels beyond expressions on the false GPU: what they give, and their gradients, beside the
// cpu's.
#include <catena/catena.hpp>

#include <functional>

#include "main.h"

using namespace catena;

namespace {

using Floats = std::vector<float>;

Array values(const Shape& shape, ctn_dtype dtype, int seed) {
  size_t n = 1;
  for (const int64_t d : shape) n *= static_cast<size_t>(d);
  Floats v(n);
  for (size_t k = 0; k < n; ++k)
    v[k] = static_cast<float>((k * 7 + static_cast<size_t>(seed) * 13) % 23) / 8 - 1.25f;
  return Array::from<float>(v, shape).astype(dtype);
}

using Body = std::function<Variable(std::span<const Variable>)>;

// The result and the gradients of all inputs, as float32.
std::vector<Floats> run(const std::string& device, ctn_dtype dtype,
                        const std::vector<Shape>& shapes, const Body& body) {
  const Context ctx(device);
  std::vector<Variable> in;
  for (size_t k = 0; k < shapes.size(); ++k)
    in.emplace_back(values(shapes[k], dtype, static_cast<int>(k)));
  const Variable y = body(in);
  F::sum(y * y).backward();
  std::vector<Floats> out = {y.array().astype(float32).to_vector<float>()};
  for (const Variable& x : in) out.push_back(x.grad().array().astype(float32).to_vector<float>());
  return out;
}

void compare(const char* name, const std::vector<Shape>& shapes, const Body& body,
             const std::vector<ctn_dtype>& dtypes = {float16, float32, float64}) {
  CAPTURE(name);
  for (const ctn_dtype dtype : dtypes) {
    const auto want = run("cpu", dtype, shapes, body), got = run("cuda", dtype, shapes, body);
    const double epsilon = dtype.bits == 16 ? 4e-3 : 1e-5;
    REQUIRE(got.size() == want.size());
    for (size_t k = 0; k < got.size(); ++k) {
      REQUIRE(got[k].size() == want[k].size());
      for (size_t j = 0; j < got[k].size(); ++j)
        CHECK(static_cast<double>(got[k][j]) ==
              doctest::Approx(static_cast<double>(want[k][j])).epsilon(epsilon));
    }
  }
}

}  // namespace

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
  compare("matmul over nothing", {{3, 0}, {0, 2}}, [](auto v) { return F::matmul(v[0], v[1]); });
}

TEST_CASE("moves") {
  compare("concat", {{2, 3, 4}, {2, 1, 4}, {2, 2, 4}}, [](auto v) {
    return F::concat({v[0], v[1], v[2]}, {.axis = 1});
  });
  compare("concat of views", {{3, 2}, {2, 4}}, [](auto v) {
    return F::concat({F::transpose(v[0]), v[1]}, {.axis = 1});
  });
  const std::vector<int32_t> ids = {3, 0, 3, -1, 2};
  compare("embed_id", {{4, 6}},
          [&](auto v) {
            const Variable x(Array::from<int32_t>(ids, {5}), false);
            return F::embed_id(x, v[0], {.ignore_label = -1});
          },
          {float32});
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
