// Joining many items into kLanes accumulators and folding those to one: the reduction loops of the
// opcodes that sums, products, extremes and logical reductions need. The order of the operations is
// fixed by the item's number alone. Types without a loop here are joined by steps.
#include <cpu/expr/loops.h>

namespace catena::cpu::CTN_ISA {

namespace {

struct JoinAdd {
  static float call(float a, float b) { return a + b; }
  static double call(double a, double b) { return a + b; }
  template <class T>
  static T call(T a, T b) {
    return static_cast<T>(static_cast<Wide<T>>(a) + static_cast<Wide<T>>(b));
  }
};
struct JoinMul {
  static float call(float a, float b) { return a * b; }
  static double call(double a, double b) { return a * b; }
  template <class T>
  static T call(T a, T b) {
    return static_cast<T>(static_cast<Wide<T>>(a) * static_cast<Wide<T>>(b));
  }
};
struct JoinMin {
  template <class T>
  static T call(T a, T b) {
    const T m = b < a ? b : a;
    return is_nan(b) ? b : m;
  }
};
struct JoinMax {
  template <class T>
  static T call(T a, T b) {
    const T m = b > a ? b : a;
    return is_nan(b) ? b : m;
  }
};
struct JoinAnd {
  template <class T>
  static T call(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct JoinOr {
  template <class T>
  static T call(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct JoinBoolAnd {
  static uint8_t call(uint8_t a, uint8_t b) { return (a != 0) & (b != 0); }
};
struct JoinBoolOr {
  static uint8_t call(uint8_t a, uint8_t b) { return (a | b) != 0; }
};

template <class F, class T>
inline void take(T (&acc)[kLanes], const T* x, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int k = 0; k < kLanes; ++k) acc[k] = F::call(acc[k], x[i + k]);
  }
  for (int k = 0; i < n; ++i, ++k) acc[k] = F::call(acc[k], x[i]);
}

template <class F, class T, int kWidth>
inline void halve(T* l) {
  for (int k = 0; k < kWidth; ++k) l[k] = F::call(l[k], l[k + kWidth]);
  if constexpr (kWidth > 1) halve<F, T, kWidth / 2>(l);
}

template <class F, class T>
void join(void* lanes, const void* items, int64_t n) {
  T* l = static_cast<T*>(lanes);
  T acc[kLanes];
  for (int k = 0; k < kLanes; ++k) acc[k] = l[k];
  take<F, T>(acc, static_cast<const T*>(items), n);
  for (int k = 0; k < kLanes; ++k) l[k] = acc[k];
}

template <class F, class T>
void fold(void* dst, void* lanes) {
  T* l = static_cast<T*>(lanes);
  halve<F, T, kLanes / 2>(l);
  *static_cast<T*>(dst) = l[0];
}

template <class F, class T>
void all(void* dst, const void* identity, const void* items, int64_t n) {
  const T start = *static_cast<const T*>(identity);
  T acc[kLanes];
  for (int k = 0; k < kLanes; ++k) acc[k] = start;
  take<F, T>(acc, static_cast<const T*>(items), n);
  halve<F, T, kLanes / 2>(acc);
  *static_cast<T*>(dst) = acc[0];
}

template <class F, class T>
JoinFns fns() {
  return {join<F, T>, fold<F, T>, all<F, T>};
}

template <class T>
JoinFns find(uint16_t op) {
  switch (op) {
    case CTN_X_ADD: return fns<JoinAdd, T>();
    case CTN_X_MUL: return fns<JoinMul, T>();
    case CTN_X_MIN: return fns<JoinMin, T>();
    case CTN_X_MAX: return fns<JoinMax, T>();
    default: break;
  }
  if constexpr (!kIsFloat<T>) {
    if (op == CTN_X_AND) return fns<JoinAnd, T>();
    if (op == CTN_X_OR) return fns<JoinOr, T>();
  }
  return {nullptr, nullptr, nullptr};
}

JoinFns find_bool(uint16_t op) {
  switch (op) {
    case CTN_X_AND: return fns<JoinBoolAnd, uint8_t>();
    case CTN_X_OR: return fns<JoinBoolOr, uint8_t>();
    default: return {nullptr, nullptr, nullptr};
  }
}

}  // namespace

JoinFns find_join(uint16_t op, uint8_t type) {
  switch (type) {
    case CTN_BOOL8: return find_bool(op);
    case CTN_INT32: return find<int32_t>(op);
    case CTN_INT64: return find<int64_t>(op);
    case CTN_FLOAT32: return find<float>(op);
    case CTN_FLOAT64: return find<double>(op);
    default: return {nullptr, nullptr, nullptr};
  }
}

}  // namespace catena::cpu::CTN_ISA
