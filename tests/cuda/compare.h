// Calls on the false GPU beside the same on the cpu: results, and the gradients of all inputs.
#pragma once

#include <catena/catena.hpp>

#include <cmath>
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
    v[k] = static_cast<float>((k * 7 + k / 23 + static_cast<size_t>(seed) * 13) % 23) / 8 - 1.25f;
  return Array::from<float>(v, shape).astype(dtype);
}

using Body = std::function<Variable(std::span<const Variable>)>;

// Of the sum of squares, as float32.
inline std::vector<Floats> run(const std::string& device, const std::vector<ctn_dtype>& dtypes,
                               const std::vector<Shape>& shapes, const Body& body) {
  const Context ctx(ContextOptions{.device = device, .seed = 5});
  std::vector<Variable> in;
  for (size_t k = 0; k < shapes.size(); ++k)
    in.emplace_back(values(shapes[k], dtypes[k % dtypes.size()], static_cast<int>(k)));
  const Variable y = body(in);
  F::sum(y * y).backward();
  const auto floats = [](const Array& a) { return a.astype(float32).to_vector<float>(); };
  std::vector<Floats> out = {floats(y.array())};
  for (const Variable& x : in) out.push_back(floats(x.grad().array()));
  return out;
}

// "" or the first number that is not close to the cpu's.
inline std::string difference(const Floats& got, const Floats& want, double tolerance) {
  if (got.size() != want.size()) return "another size";
  for (size_t k = 0; k < got.size(); ++k) {
    const auto g = static_cast<double>(got[k]), w = static_cast<double>(want[k]);
    if (std::isnan(g) && std::isnan(w)) continue;
    if (g != w && !(std::fabs(g - w) <= tolerance * (1 + std::fabs(w))))
      return "element " + std::to_string(k) + " is " + std::to_string(g) + ", not " +
             std::to_string(w);
  }
  return "";
}

// Inputs in turn have the dtypes of `mixed`. loose: how many times less close than usual.
inline void compare_mixed(const char* name, const std::vector<Shape>& shapes, const Body& body,
                          const std::vector<ctn_dtype>& mixed, double loose = 1) {
  const auto want = run("cpu", mixed, shapes, body), got = run("cuda", mixed, shapes, body);
  const double tolerance = loose * (mixed[0].bits == 16 ? 4e-3 : 1e-5);
  REQUIRE(got.size() == want.size());
  for (size_t k = 0; k < got.size(); ++k) {
    const std::string text = difference(got[k], want[k], tolerance);
    if (!text.empty())
      FAIL_CHECK(std::string(name), ", ", mixed[0].bits, " bits, ",
                 k == 0 ? "result" : "gradient " + std::to_string(k - 1), ": ", text);
  }
}

inline void compare(const char* name, const std::vector<Shape>& shapes, const Body& body,
                    const std::vector<ctn_dtype>& dtypes = {float16, float32, float64},
                    double loose = 1) {
  for (const ctn_dtype dtype : dtypes) compare_mixed(name, shapes, body, {dtype}, loose);
}

}  // namespace cuda_test
