// What tests of the dense kernels share: the instruction sets to try, random numbers, comparison
// with a result computed in float64.
#pragma once

#include <cpu/blas/dense.h>
#include <cpu/isa.h>

#include <cmath>
#include <random>
#include <type_traits>
#include <vector>

#include "main.h"

namespace catena_test {

using catena::cpu::Dense;
using catena::cpu::Isa;

// fn(name) for every set that this machine runs, with that set in use.
template <class Fn>
void for_each_isa(Fn&& fn) {
  for (const Isa isa : {Isa::kSse2, Isa::kAvx2, Isa::kAvx512}) {
    if (isa > catena::cpu::best_isa()) {
      MESSAGE("not on this machine: " << catena::cpu::isa_name(isa));
      continue;
    }
    catena::cpu::use_isa(isa);
    CAPTURE(catena::cpu::isa_name(isa));
    fn();
  }
  catena::cpu::use_isa(catena::cpu::best_isa());
}

class Numbers {
 public:
  explicit Numbers(unsigned seed) : engine_(seed) {}
  template <class T>
  std::vector<T> floats(int64_t n) {
    std::uniform_real_distribution<double> d(-1, 1);
    std::vector<T> v(static_cast<size_t>(n));
    for (T& x : v) x = static_cast<T>(d(engine_));
    return v;
  }
  int64_t between(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(engine_);
  }

 private:
  std::mt19937 engine_;
};

// The largest distance from `want`, in units of the rounding error that a sum of `terms` products
// of numbers up to 1 may have.
template <class T>
double worst_error(const std::vector<T>& got, const std::vector<double>& want, int64_t terms) {
  const double unit =
      (std::is_same_v<T, float> ? 1.2e-7 : 4.5e-16) * static_cast<double>(terms + 4);
  double worst = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double error = std::abs(static_cast<double>(got[i]) - want[i]) / unit;
    if (!(error <= worst)) worst = std::isnan(error) ? 1e300 : error;
  }
  return worst;
}

}  // namespace catena_test
