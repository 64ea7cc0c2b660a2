// What tests of the intel64 backend share: numbers, arrays in blocks, distances.
#pragma once

#include <catena/catena.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

#include "main.h"

namespace intel64_test {

using namespace catena;

using Inputs = std::vector<Variable>;
using Floats = std::vector<float>;

inline Floats numbers(const Shape& shape, uint32_t seed) {
  size_t n = 1;
  for (const int64_t d : shape) n *= static_cast<size_t>(d);
  Floats v(n);
  for (uint32_t i = 0; i < n; ++i)
    v[i] = static_cast<float>((i * 2654435761u + seed * 40503u) >> 8 & 0xffff) / 65536.0f - 0.5f;
  return v;
}
inline Variable filled(const Shape& shape, uint32_t seed) {
  return Variable(Array::from(numbers(shape, seed), shape));
}
// One of each shape, all different.
inline Inputs filled(const std::vector<Shape>& shapes) {
  Inputs in;
  for (const Shape& shape : shapes) in.push_back(filled(shape, static_cast<uint32_t>(in.size())));
  return in;
}

// x behind a convolution with ones on the diagonal: the same numbers, in blocks.
inline Variable in_blocks(const Variable& x) {
  const int64_t c = x.shape()[1];
  Floats w(static_cast<size_t>(c * c), 0.0f);
  for (int64_t i = 0; i < c; ++i) w[static_cast<size_t>(i * c + i)] = 1;
  return F::convolution_2d(x, Variable(Array::from(w, {c, c, 1, 1}), false));
}

// The largest difference, beside the largest number; infinite where one is NaN.
inline double distance(const Floats& a, const Floats& b) {
  REQUIRE(a.size() == b.size());
  double most = 0, apart = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    most = std::max(most, std::abs(static_cast<double>(b[i])));
    const double d = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (std::isnan(d)) return std::numeric_limits<double>::infinity();
    apart = std::max(apart, d);
  }
  return apart / std::max(most, 1e-30);
}

// Channels of a block.
inline int64_t block_of_channels() {
  return Context("intel64").device_name().starts_with("avx512") ? 16 : 8;
}

// Whether oneDNN has Winograd's kernels for the processor.
inline bool has_winograd() {
  const Context ctx("intel64");
  return ctx.device_name().starts_with("avx512") && ctx.device_name().ends_with("oneDNN 2.6.3");
}

}  // namespace intel64_test
