// See lines.h.
#include <cuda/lines.h>

#include <algorithm>
#include <bit>

namespace catena::cuda {
namespace {

constexpr int64_t kLaneItems = 8;  // that keep a lane busy
constexpr int64_t kWarp = 32;

int64_t power_of_two(int64_t at_least) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(at_least, 1))));
}

}  // namespace

// A warp reads 32 elements at once, of one line or of as many lines side by side.
int32_t lanes_for(int64_t n, int64_t beside) {
  const int64_t busy = power_of_two((std::min<int64_t>(n, 1 << 20) + kLaneItems - 1) / kLaneItems);
  const int64_t least = beside > 1 ? 1 : std::min(kWarp, power_of_two(std::min(n, kWarp)));
  const int64_t most = beside > 1
                           ? kThreads / std::min(kWarp, power_of_two(std::min(beside, kWarp)))
                           : int64_t{kThreads};
  return static_cast<int32_t>(std::clamp(busy, least, most));
}

Lines Lines::of(std::span<const int64_t> shape, int axis) {
  const auto k = static_cast<size_t>(axis);
  const int64_t n = shape[k], inner = sdk::size_of(shape.subspan(k + 1));
  return {sdk::size_of(shape.first(k)) * inner, n, inner, lanes_for(n, inner), inner > 1};
}

int64_t Lines::threads() const {
  const int64_t of_block = kThreads / lanes;
  return (count + of_block - 1) / of_block * kThreads;
}

}  // namespace catena::cuda
