// The choices behind reduce_plan.h.
#include <cpu/expr/reduce_plan.h>

#include <algorithm>
#include <cstdlib>

namespace catena::cpu {

namespace {

constexpr int64_t kTaskWork = 65536;  // additions, about 20 microseconds
constexpr int64_t kFewTasks = 16;
constexpr int64_t kGeneralLanes = 256;
constexpr int64_t kAcrossLanes = 1024;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Whether walking the kept elements is walking memory, by the arguments' votes.
bool kept_is_inner(const Program& p, const ctn_launch& l, int n_kept) {
  if (n_kept == 0) return false;
  int votes = 0;
  for (uint32_t left = p.map.reads; left != 0; left &= left - 1) {
    const int arg = __builtin_ctz(left);
    const int64_t* strides = l.strides + static_cast<ptrdiff_t>(arg) * l.ndim;
    const int64_t kept = std::abs(strides[n_kept - 1]);
    const int64_t reduced = std::abs(strides[l.ndim - 1]);
    if (kept == 0 && reduced == 0) continue;
    votes += reduced == 0 || (kept != 0 && kept < reduced) ? 1 : -1;
  }
  return votes > 0;
}

// Lanes of the order `along`: as many whole rows of `width` as a power of two allows.
int64_t lanes_along(int64_t width) {
  int64_t lanes = width;
  while (lanes * 2 <= kGeneralLanes) lanes *= 2;
  return lanes;
}

size_t bytes_per_lane(const Program& p) {
  size_t bytes = 0;
  for (uint32_t left = p.map.reads; left != 0; left &= left - 1) {
    bytes += 2 * p.sizes[__builtin_ctz(left)];
  }
  for (const Accumulator& a : p.accs) bytes += 3 * a.size;
  return bytes;
}

void choose_order(const Program& p, const ctn_launch& l, ReducePlan& plan) {
  const bool across = kept_is_inner(p, l, plan.n_kept);
  const int64_t inner_kept = plan.n_kept == 0 ? 1 : l.shape[plan.n_kept - 1];
  plan.order = ReduceOrder::kAlong;
  if (across) {
    // few kept elements side by side: several reduced ones join in one step
    if (inner_kept < 128 && plan.reduced * inner_kept >= 512) {
      plan.width = inner_kept;
    } else {
      plan.order = ReduceOrder::kAcross;
    }
  } else if (plan.reduced < 48 && plan.kept >= 32) {
    plan.order = ReduceOrder::kAcross;  // rows too short to fill the lanes
  }
  plan.spans = p.spans && plan.order == ReduceOrder::kAlong && plan.width == 1;
  if (plan.order == ReduceOrder::kAcross) {
    // lanes are independent here: as many as stay in the cache
    plan.lanes = std::min({plan.kept, kAcrossLanes, choose_block(p.map, bytes_per_lane(p))});
  } else {
    plan.lanes = plan.spans ? kLanes : lanes_along(plan.width);
  }
}

void choose_tasks(const Program& p, ReducePlan& plan) {
  const int64_t cost =
      p.map.cost + static_cast<int64_t>(p.accs.size()) * (p.simple ? 1 : p.reduce.cost);
  const int64_t work = std::max<int64_t>(kTaskWork / cost, 4096);  // elements of a task
  plan.kept_step = plan.kept;
  plan.reduced_step = plan.reduced;
  // division first: the product of the two may not fit
  if (plan.reduced <= 2 * work / std::max<int64_t>(plan.kept, 1)) return;
  const int64_t unit = plan.order == ReduceOrder::kAcross ? kAcrossLanes : plan.width;
  plan.kept_step =
      std::min(plan.kept, ceil_div(std::max<int64_t>(work / plan.reduced, 1), unit) * unit);
  plan.kept_tasks = ceil_div(plan.kept, plan.kept_step);
  if (plan.kept_tasks >= kFewTasks) return;
  // multiples of the lanes' cycle, so that items meet the lanes they would meet without the cut
  const int64_t cycle = plan.order == ReduceOrder::kAcross ? 1 : plan.lanes / plan.width;
  const int64_t align = cycle * kLevelItems;
  const int64_t rows = std::max<int64_t>(work / plan.kept_step, ceil_div(plan.reduced, 64));
  plan.reduced_step = std::min(plan.reduced, ceil_div(rows, align) * align);
  plan.reduced_tasks = ceil_div(plan.reduced, plan.reduced_step);
}

}  // namespace

ReducePlan plan_reduction(const Program& p, const ctn_launch& l) {
  ReducePlan plan{};
  plan.n_reduced = l.n_reduced;
  plan.n_kept = l.ndim - l.n_reduced;
  plan.kept = plan.reduced = 1;
  for (int d = 0; d < plan.n_kept; ++d) plan.kept *= l.shape[d];
  for (int d = plan.n_kept; d < l.ndim; ++d) plan.reduced *= l.shape[d];
  plan.width = plan.kept_tasks = plan.reduced_tasks = 1;
  choose_order(p, l, plan);
  choose_tasks(p, plan);
  return plan;
}

}  // namespace catena::cpu
