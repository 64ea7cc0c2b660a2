// See reduction.h.
#include <cuda/reduction.h>
#include <cuda/source.h>

#include <algorithm>
#include <bit>
#include <cstdlib>

namespace catena::cuda {
namespace {

// Enough blocks for the largest GPUs there are, and items that keep a lane busy.
constexpr int64_t kBlocks = 512;
constexpr int64_t kLaneItems = 16;
constexpr int64_t kAcrossOutputs = 32;  // one transaction of a warp

int64_t power_of_two(int64_t at_least) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(at_least)));
}

// Whether neighbouring outputs lie closer together than neighbouring items, by the first argument
// for which it matters.
bool lies_across(const ctn_launch& l, const ctn_form& form) {
  const int32_t outer = l.ndim - l.n_reduced;
  if (outer == 0 || l.n_reduced == 0) return false;
  for (int32_t a = 0; a < form.n_args; ++a) {
    if (form.args[a].role != CTN_ROLE_IN) continue;
    const int64_t* strides = l.strides + static_cast<int64_t>(a) * l.ndim;
    const int64_t kept = std::abs(strides[outer - 1]), item = std::abs(strides[l.ndim - 1]);
    if (kept == item) continue;
    return kept != 0 && (item == 0 || kept < item);
  }
  return false;
}

}  // namespace

int64_t Partition::outputs() const { return kThreads / lanes; }

Partition partition_of(const ctn_launch& l, const ctn_form& form) {
  Partition p;
  const int32_t outer = l.ndim - l.n_reduced;
  for (int32_t d = 0; d < l.ndim; ++d) (d < outer ? p.kept : p.reduced) *= l.shape[d];
  p.across = lies_across(l, form);
  const int64_t enough = std::min<int64_t>(kThreads, power_of_two(std::max<int64_t>(p.reduced, 1)));
  p.lanes = enough;
  if (p.across) {
    const int64_t outputs = std::min(kAcrossOutputs, power_of_two(std::max<int64_t>(p.kept, 1)));
    p.lanes = std::min(enough, kThreads / outputs);
  }
  const int64_t blocks = std::max<int64_t>(1, (p.kept + p.outputs() - 1) / p.outputs());
  const int64_t useful = std::max<int64_t>(1, p.reduced / (p.lanes * kLaneItems));
  p.parts = std::clamp<int64_t>(kBlocks / blocks, 1, useful);
  p.chunk = std::max<int64_t>(1, (p.reduced + p.parts - 1) / p.parts);
  p.parts = std::max<int64_t>(1, (p.reduced + p.chunk - 1) / p.chunk);
  return p;
}

}  // namespace catena::cuda
