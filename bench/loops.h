// The loops of `catena-bench limits`, built once for each instruction set, from loops.cc.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bench {

struct Loops {
  const char* isa;
  // Fused multiply-adds that depend on nothing but themselves; returns how many operations.
  double (*multiply_add)(int64_t rounds);
  // Streams over aligned memory; n elements of each array, a multiple of 64.
  void (*read)(const float* a, size_t n);
  void (*copy)(float* to, const float* a, size_t n);
  void (*copy_past_cache)(float* to, const float* a, size_t n);
  void (*triad)(float* to, const float* a, const float* b, size_t n);  // to = a * 3 + b
};

namespace sse2 {
extern const Loops kLoops;
}
namespace avx2 {
extern const Loops kLoops;
}
namespace avx512 {
extern const Loops kLoops;
}

}  // namespace bench
