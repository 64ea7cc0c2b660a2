// What each opcode computes for one element. Used by the plain executor and by constant folding, so
// that both mean the same. Knows no form and no memory layout beyond one element.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <cstdint>

#include "core/expr/types.h"

namespace catena::expr {

// A value of a fixed type: bool (0, 1) and signed types in i, sign-extended; unsigned types in u,
// zero-extended; floats in f, rounded to their type.
union Slot {
  int64_t i;
  uint64_t u;
  double f;
};
inline Slot slot_i(int64_t i) { return {.i = i}; }
inline Slot slot_f(double f) { return {.f = f}; }

// The number `v` as a value of type t.
Slot number(double v, Type t);
Slot cast_value(Slot a, Type from, Type to);
// `type` is that of the operands (of b and c for SELECT, whose a is a bool).
Slot eval(int op, Type type, Slot a, Slot b, Slot c);

// One element of dtype d in memory, not necessarily aligned.
Slot load_element(const void* p, int d);
void store_element(void* p, int d, Slot v);
// Value of type t from, and to, the low bytes of 64 bits (scalar parameters, identities).
Slot from_bits(uint64_t bits, Type t);
uint64_t to_bits(Slot v, Type t);

double digamma(double x);

}  // namespace catena::expr
