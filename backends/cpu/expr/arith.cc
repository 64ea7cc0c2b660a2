// Floating arithmetic, comparison and rounding, one loop per opcode and type. Every operation
// rounds by itself: this file is built without contraction.
#include <cpu/expr/loops.h>
#include <cpu/math/round.h>

namespace catena::cpu::CTN_ISA {

namespace {

struct Add {
  template <class T>
  static T call(T a, T b) {
    return a + b;
  }
};
struct Sub {
  template <class T>
  static T call(T a, T b) {
    return a - b;
  }
};
struct Mul {
  template <class T>
  static T call(T a, T b) {
    return a * b;
  }
};
struct Div {
  template <class T>
  static T call(T a, T b) {
    return a / b;
  }
};
// A NaN on either side wins, as numpy.minimum has it; of equal values the first.
struct Min {
  template <class T>
  static T call(T a, T b) {
    const T m = b < a ? b : a;
    return is_nan(b) ? b : m;
  }
};
struct Max {
  template <class T>
  static T call(T a, T b) {
    const T m = b > a ? b : a;
    return is_nan(b) ? b : m;
  }
};
struct Neg {
  template <class T>
  static T call(T a) {
    return -a;
  }
};
struct Abs {
  template <class T>
  static T call(T a) {
    return math::abs(a);
  }
};
struct Sign {
  template <class T>
  static T call(T a) {
    const T s = a > 0 ? T(1) : a < 0 ? T(-1) : T(0);
    return is_nan(a) ? a : s;
  }
};
struct Sqrt {
  static float call(float a) { return __builtin_sqrtf(a); }
  static double call(double a) { return __builtin_sqrt(a); }
};
struct Rsqrt {
  template <class T>
  static T call(T a) {
    return T(1) / Sqrt::call(a);
  }
};
struct Floor {
  template <class T>
  static T call(T a) {
    return math::floor(a);
  }
};
struct Ceil {
  template <class T>
  static T call(T a) {
    return math::ceil(a);
  }
};
struct Trunc {
  template <class T>
  static T call(T a) {
    return math::trunc(a);
  }
};
struct Rint {
  template <class T>
  static T call(T a) {
    return math::rint(a);
  }
};
struct Eq {
  template <class T>
  static uint8_t call(T a, T b) {
    return a == b;
  }
};
struct Ne {
  template <class T>
  static uint8_t call(T a, T b) {
    return a != b;
  }
};
struct Lt {
  template <class T>
  static uint8_t call(T a, T b) {
    return a < b;
  }
};
struct Le {
  template <class T>
  static uint8_t call(T a, T b) {
    return a <= b;
  }
};
struct IsNan {
  template <class T>
  static uint8_t call(T a) {
    return is_nan(a);
  }
};
struct IsInf {
  template <class T>
  static uint8_t call(T a) {
    return math::abs(a) == static_cast<T>(__builtin_inf());
  }
};
struct IsFinite {
  template <class T>
  static uint8_t call(T a) {
    return math::abs(a) < static_cast<T>(__builtin_inf());
  }
};

template <class T>
StepFn find(uint16_t op, uint8_t uniform) {
  switch (op) {
    case CTN_X_ADD: return pick_binary<Add, T, T>(uniform);
    case CTN_X_SUB: return pick_binary<Sub, T, T>(uniform);
    case CTN_X_MUL: return pick_binary<Mul, T, T>(uniform);
    case CTN_X_DIV: return pick_binary<Div, T, T>(uniform);
    case CTN_X_MIN: return pick_binary<Min, T, T>(uniform);
    case CTN_X_MAX: return pick_binary<Max, T, T>(uniform);
    case CTN_X_EQ: return pick_binary<Eq, uint8_t, T>(uniform);
    case CTN_X_NE: return pick_binary<Ne, uint8_t, T>(uniform);
    case CTN_X_LT: return pick_binary<Lt, uint8_t, T>(uniform);
    case CTN_X_LE: return pick_binary<Le, uint8_t, T>(uniform);
    case CTN_X_NEG: return unary<Neg, T, T>;
    case CTN_X_ABS: return unary<Abs, T, T>;
    case CTN_X_SIGN: return unary<Sign, T, T>;
    case CTN_X_SQRT: return unary<Sqrt, T, T>;
    case CTN_X_RSQRT: return unary<Rsqrt, T, T>;
    case CTN_X_FLOOR: return unary<Floor, T, T>;
    case CTN_X_CEIL: return unary<Ceil, T, T>;
    case CTN_X_TRUNC: return unary<Trunc, T, T>;
    case CTN_X_RINT: return unary<Rint, T, T>;
    case CTN_X_ISNAN: return unary<IsNan, uint8_t, T>;
    case CTN_X_ISINF: return unary<IsInf, uint8_t, T>;
    case CTN_X_ISFINITE: return unary<IsFinite, uint8_t, T>;
    default: return nullptr;
  }
}

}  // namespace

StepFn arith_step(StepKey key) {
  if (key.type == CTN_FLOAT32) return find<float>(key.op, key.uniform);
  if (key.type == CTN_FLOAT64) return find<double>(key.op, key.uniform);
  return nullptr;
}

}  // namespace catena::cpu::CTN_ISA
