// One program of a form (map, reduce or post) as a list of steps over numbered locations. Made once
// by compile_code and immutable from then on; threads share it and keep their pointers in a Frame.
#pragma once

#include <catena/plugin.h>

#include <cpu/expr/step.h>

#include <cstdint>
#include <vector>

namespace catena::cpu {

// Operands and result by location.
struct Step {
  StepFn fn;
  uint16_t dst, a, b, c;
};

// Locations: array arguments first (number k is argument k), then the blocks below in this order.
struct Locations {
  uint16_t scalar = 0;  // 8 bytes of each scalar parameter
  uint16_t acc = 0;     // accumulators: in reduce and post
  uint16_t item = 0;    // mapped values: in reduce
  uint16_t result = 0;  // new accumulators: in reduce
  uint16_t index = 0;   // int64: number of the block's first element
  uint16_t size = 0;    // int64: CTN_X_SIZE
  uint16_t constant = 0;
  uint16_t uniform = 0;  // values that are equal for all elements, 8 bytes each
  uint16_t slot = 0;     // blocks of elements
  uint16_t count = 0;
};

// An output that must not share memory with an input, because the input is read after the output
// has been written. Such an output is computed aside where they are the same memory.
struct Hazard {
  uint8_t in, out;
};

struct Code {
  std::vector<Step> uniform;   // once a launch, for one element
  std::vector<Step> prologue;  // once a frame, for a whole block
  std::vector<Step> body;      // for every block
  std::vector<uint64_t> constants;
  std::vector<Hazard> hazards;
  std::vector<uint16_t> yields;  // where the body leaves the mapped values
  Locations at;
  uint32_t reads = 0;  // array arguments, one bit each; RAW ones are not among them
  uint32_t writes = 0;
  uint32_t raws = 0;
  uint16_t n_slots = 0;
  uint8_t slot_size = 1;  // bytes of an element in a slot
  bool uses_size = false;
  int32_t cost = 1;  // per element, in units of an addition in the first-level cache
};

enum class Section : uint8_t { kMap, kReduce, kPost };

int size_of(uint8_t dtype);

// Throws Declined for an opcode that neither `loops` nor the C library has.
Code compile_code(const ctn_form& form, Section section, const Loops& loops);

// Says why a form was not compiled.
struct Declined {
  const char* why;
  int op;
};

}  // namespace catena::cpu
