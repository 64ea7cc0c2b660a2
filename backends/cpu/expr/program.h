// A compiled form: its codes and what the loops around them need to know. Immutable.
#pragma once

#include <cpu/expr/code.h>
#include <cpu/expr/expr.h>
#include <cpu/expr/walk.h>

#include <vector>

namespace catena::cpu {

// One accumulator of a reduction.
struct Accumulator {
  uint64_t identity;
  uint8_t type;
  uint8_t size;
  StepFn splat;
  StepFn step = nullptr;  // the one opcode that joins it, if the whole of reduce is of that kind
  JoinFns join{};
};

struct Program {
  const ctn_host* host = nullptr;
  int32_t n_args = 0;
  uint8_t sizes[CTN_FORM_MAX_ARGS] = {};
  Code map;
  // dense elementwise work: elements of a block and bytes of a frame
  int64_t dense_block = 0;
  size_t dense_bytes = 0;
  // reductions only
  Code reduce;  // unused if every accumulator has a step of its own
  Code post;
  std::vector<Accumulator> accs;
  bool simple = false;  // every accumulator has a step of its own
  bool spans = false;   // and a loop that joins any number of items
  bool rounds = false;  // some accumulator is floating and added or multiplied

  int64_t slot_block() const { return map.n_slots == 0 ? 0 : dense_block; }
  bool is_reduction() const { return !accs.empty(); }
};

ctn_status run_elementwise(const Program& program, const ctn_launch* launches, int32_t n);
ctn_status run_reduction(const Program& program, const ctn_launch& launch);

ctn_status fail_memory(const ctn_host* host, size_t bytes);

// Elements a block may have so that slots, staging and the arguments' blocks stay in the
// first-level cache; `per_element` counts the bytes beside the code's own slots.
int64_t choose_block(const Code& code, size_t per_element);

// The code's arguments over dimensions [first, first + ndim) of the launch. Returns how many.
int walk_args(const Program& program, const Code& code, const ctn_launch& launch, int first,
              WalkArg* out);

}  // namespace catena::cpu
