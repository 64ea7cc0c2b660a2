// Calls on the false GPU beside the same on the cpu: results, and the gradients of all inputs.
#pragma once

#include <catena/catena.hpp>

#include <functional>

#include "main.h"

namespace cuda_test {

using namespace catena;
using Floats = std::vector<float>;

inline Array values(const Shape& shape, ctn_dtype dtype, int seed) {
  size_t n = 1;
  for (const int64_t d : shape) n *= static_cast<size_t>(d);
  Floats v(n);
  for (size_t k = 0; k < n; ++k)
    v[k] = static_cast<float>((k * 7 + static_cast<size_t>(seed) * 13) % 23) / 8 - 1.25f;
  return Array::from<float>(v, shape).astype(dtype);
}

using Body = std::function<Variable(std::span<const Variable>)>;

// The result and the gradients of all inputs, as float32.
inline std::vector<Floats> run(const std::string& device, ctn_dtype dtype,
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

inline void compare(const char* name, const std::vector<Shape>& shapes, const Body& body,
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

}  // namespace cuda_test
