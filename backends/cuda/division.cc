// See division.h. For n and d below 2^31 and 2^(s - 1) < d <= 2^s, n / d is
// (n * f / 2^32 + n) / 2^s with f = 2^32 * (2^s - d) / d + 1 (Granlund and Montgomery, "Division by
// Invariant Integers using Multiplication", 1994, figure 4.1).
#include <cuda/division.h>

#include <bit>

namespace catena::cuda {

Divisor::Divisor(int64_t n) : by(n), factor(0), shift(0) {
  if (n <= 0 || n > INT32_MAX) return;  // divided by in 64 bits
  const auto d = static_cast<uint64_t>(n);
  shift = static_cast<uint32_t>(std::countr_zero(std::bit_ceil(d)));
  factor = static_cast<uint32_t>(((uint64_t{1} << 32) * ((uint64_t{1} << shift) - d)) / d + 1);
}

const char* const kDivisionText = R"(
struct Divisor { i64 by; u32 factor, shift; };
// n / d.by of what is not negative.
template <class N> __device__ inline N divided(N n, const Divisor& d) {
  if constexpr (sizeof(N) == 4)
    return (N)(((u32)((u64)(u32)n * d.factor >> 32) + (u32)n) >> d.shift);
  else
    return n / (N)d.by;
}
)";

}  // namespace catena::cuda
