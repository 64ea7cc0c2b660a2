// How one reduction launch is cut: which elements join which lane, and which ranges may run side by
// side. A function of the form and the launch's shape and strides, never of the number of threads.
#pragma once

#include <cpu/expr/program.h>

namespace catena::cpu {

// Lanes are accumulators that advance together. Across: lane j is one kept element, items come one
// reduced element at a time. Along: all lanes belong to one row of `width` kept elements, item f of
// the row's reduced elements joins lane f % lanes; at the end the lanes are folded to `width`.
enum class ReduceOrder : uint8_t { kAcross, kAlong };

struct ReducePlan {
  ReduceOrder order;
  int n_kept;     // dimensions kept
  int n_reduced;  // dimensions reduced
  int64_t kept;   // elements
  int64_t reduced;
  int64_t width = 1;  // along: kept elements of a row; the last kept dimension, or 1
  int64_t lanes = 1;
  bool spans = false;        // along: kLanes lanes that take any number of items in one call
  int64_t kept_step = 1;     // kept elements of a task, a multiple of width
  int64_t reduced_step = 1;  // reduced elements of a task
  int64_t kept_tasks = 1;
  int64_t reduced_tasks = 1;
};

// Items that a lane takes in before its sum moves up a level. Three levels keep the rounding error
// of a sum of n items near 3 n^(1/3) units instead of n.
inline constexpr int64_t kLevelItems = 64;
inline constexpr int kLevels = 3;

ReducePlan plan_reduction(const Program& program, const ctn_launch& launch);

}  // namespace catena::cpu
