// The table of one instruction set's loops: asks the files of loops in turn.
#include <cpu/expr/loops.h>

namespace catena::cpu::CTN_ISA {

namespace {

StepFn find_step(StepKey key) {
  if (StepFn fn = math_step(key)) return fn;
  if (StepFn fn = arith_step(key)) return fn;
  if (StepFn fn = cast_step(key)) return fn;
  if (StepFn fn = integer_step(key)) return fn;
  return data_step(key);
}

}  // namespace

Loops loops() { return {find_step, find_join}; }

}  // namespace catena::cpu::CTN_ISA
