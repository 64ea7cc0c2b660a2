// The contract between the expression executor and the loops compiled once per instruction set: a
// program is a list of steps, a step one opcode over a block of elements. Plain types only, because
// the loops' files may share no inline code with files built for another instruction set.
#pragma once

#include <stdint.h>

namespace catena::cpu {

// dst[i] = f(a[i], b[i], c[i]) for i in [0, n). dst may be exactly one of the operands if element
// sizes are equal; other overlap is not allowed. An operand marked uniform in the key is one value.
using StepFn = void (*)(void* dst, const void* a, const void* b, const void* c, int64_t n);

// Opcodes of the executor's own, beyond CTN_X_*.
enum : uint16_t {
  kOpCopy = 0x100,   // of one storage dtype; bools become 0 or 1
  kOpSplat = 0x101,  // a is one value
  kOpIota = 0x102,   // int64: numbers of elements; a: IndexRef
  kOpRaw = 0x103     // a: RawRef, b: int64 index
};

// What CTN_X_RAW reads: the array argument of one launch.
struct RawRef {
  const char* data;
  int64_t count;
};

// What CTN_X_INDEX counts. Element i of a block has place f = first + i in the order of work and
// number base + f / period * outer + f % period * inner.
struct IndexRef {
  int64_t first = 0;
  int64_t period = INT64_MAX;
  int64_t base = 0;
  int64_t outer = 0;
  int64_t inner = 1;
};

struct StepKey {
  uint16_t op;
  uint8_t type;     // result type; for comparisons and tests the operands' type
  uint8_t from;     // casts: operand type; kOpRaw: storage dtype. 16-bit floats are allowed there
  uint8_t uniform;  // bit k: operand k is one value
};

// Reduction of many items by one opcode over kLanes lanes: item i joins lane i % kLanes. The order
// is the same on every instruction set.
inline constexpr int kLanes = 64;
struct JoinFns {
  void (*join)(void* lanes, const void* items, int64_t n);  // item 0 joins lane 0
  void (*fold)(void* dst, void* lanes);  // the lanes, halved until one value is left, to dst
  // both at once, from lanes that hold the identity
  void (*all)(void* dst, const void* identity, const void* items, int64_t n);
};

// The loops of one instruction set. Functions answer nullptr for what they do not have: `step` for
// a combination of uniform operands that is not worth its code, or an opcode without own loop.
struct Loops {
  StepFn (*step)(StepKey key);
  JoinFns (*join)(uint16_t op, uint8_t type);
};

namespace sse2 {
Loops loops();
}
namespace avx2 {
Loops loops();
}
namespace avx512 {
Loops loops();
}

// Opcodes served by the C library, element by element, equal for every instruction set.
StepFn libm_step(StepKey key);

}  // namespace catena::cpu
