// Loop templates and dispatch over types for the files that are compiled once per instruction set
// (CTN_ISA names it). Everything here lives in that set's namespace, and nothing of the standard
// library is used: the linker keeps one copy of an inline function for everybody.
#pragma once

#include <catena/plugin.h>

#include <cpu/expr/step.h>

// The iterations are independent: dst is an operand's own memory or apart from it.
#if defined(__clang__)
#define CTN_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define CTN_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace catena::cpu::CTN_ISA {

template <class F, class D, class A>
void unary(void* dst, const void* a, const void*, const void*, int64_t n) {
  D* d = static_cast<D*>(dst);
  const A* x = static_cast<const A*>(a);
  CTN_INDEPENDENT
  for (int64_t i = 0; i < n; ++i) d[i] = F::call(x[i]);
}

template <class F, class D, class A>
void binary(void* dst, const void* a, const void* b, const void*, int64_t n) {
  D* d = static_cast<D*>(dst);
  const A* x = static_cast<const A*>(a);
  const A* y = static_cast<const A*>(b);
  CTN_INDEPENDENT
  for (int64_t i = 0; i < n; ++i) d[i] = F::call(x[i], y[i]);
}

// For operations that no vector instruction does.
template <class F, class D, class A>
void scalar_binary(void* dst, const void* a, const void* b, const void*, int64_t n) {
  D* d = static_cast<D*>(dst);
  const A* x = static_cast<const A*>(a);
  const A* y = static_cast<const A*>(b);
  for (int64_t i = 0; i < n; ++i) d[i] = F::call(x[i], y[i]);
}

template <class F, class D, class A>
void binary_by_uniform(void* dst, const void* a, const void* b, const void*, int64_t n) {
  D* d = static_cast<D*>(dst);
  const A* x = static_cast<const A*>(a);
  const A y = *static_cast<const A*>(b);
  CTN_INDEPENDENT
  for (int64_t i = 0; i < n; ++i) d[i] = F::call(x[i], y);
}

template <class F, class D, class A>
void uniform_by_binary(void* dst, const void* a, const void* b, const void*, int64_t n) {
  D* d = static_cast<D*>(dst);
  const A x = *static_cast<const A*>(a);
  const A* y = static_cast<const A*>(b);
  CTN_INDEPENDENT
  for (int64_t i = 0; i < n; ++i) d[i] = F::call(x, y[i]);
}

// The loop for the operands that are uniform; of small integers only the one for none.
template <class F, class D, class A>
StepFn pick_binary(uint8_t uniform) {
  if constexpr (sizeof(A) < 4) return uniform == 0 ? binary<F, D, A> : nullptr;
  switch (uniform) {
    case 0: return binary<F, D, A>;
    case 1: return uniform_by_binary<F, D, A>;
    case 2: return binary_by_uniform<F, D, A>;
    default: return nullptr;
  }
}

// Unsigned type to compute in: arithmetic wraps and never promotes to int.
template <class T>
struct WideOf {
  using type = uint32_t;
};
template <>
struct WideOf<int64_t> {
  using type = uint64_t;
};
template <>
struct WideOf<uint64_t> {
  using type = uint64_t;
};
template <class T>
using Wide = typename WideOf<T>::type;

template <class T>
inline constexpr bool kIsFloat = static_cast<T>(0.5) != 0;
template <class T>
inline constexpr bool kIsSigned = static_cast<T>(-1) < static_cast<T>(0);

template <class T>
inline bool is_nan(T x) {
  if constexpr (kIsFloat<T>) return __builtin_isnan(x);
  return false;
}

// What each file of loops offers; `loops()` asks them in turn.
StepFn arith_step(StepKey key);
StepFn integer_step(StepKey key);
StepFn cast_step(StepKey key);
StepFn math_step(StepKey key);
StepFn data_step(StepKey key);
JoinFns find_join(uint16_t op, uint8_t type);

}  // namespace catena::cpu::CTN_ISA
