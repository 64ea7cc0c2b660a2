// Integer arithmetic, comparison and bits. Everything wraps; division by zero gives 0, the smallest
// number divided by -1 wraps. Bools are bytes: any nonzero operand is true, results are 0 or 1.
#include <cpu/expr/loops.h>

namespace catena::cpu::CTN_ISA {

namespace {

struct IAdd {
  template <class T>
  static T call(T a, T b) {
    return static_cast<T>(static_cast<Wide<T>>(a) + static_cast<Wide<T>>(b));
  }
};
struct ISub {
  template <class T>
  static T call(T a, T b) {
    return static_cast<T>(static_cast<Wide<T>>(a) - static_cast<Wide<T>>(b));
  }
};
struct IMul {
  template <class T>
  static T call(T a, T b) {
    return static_cast<T>(static_cast<Wide<T>>(a) * static_cast<Wide<T>>(b));
  }
};
struct INeg {
  template <class T>
  static T call(T a) {
    return static_cast<T>(0u - static_cast<Wide<T>>(a));
  }
};
struct IAbs {
  template <class T>
  static T call(T a) {
    return a < 0 ? INeg::call(a) : a;
  }
};
struct ISign {
  template <class T>
  static T call(T a) {
    return static_cast<T>((a > 0) - (a < 0));
  }
};
struct IMin {
  template <class T>
  static T call(T a, T b) {
    return a < b ? a : b;
  }
};
struct IMax {
  template <class T>
  static T call(T a, T b) {
    return a > b ? a : b;
  }
};
struct ITDiv {
  template <class T>
  static T call(T a, T b) {
    if (b == 0) return 0;
    if (kIsSigned<T> && b == static_cast<T>(-1)) return INeg::call(a);
    return static_cast<T>(a / b);
  }
};
struct ITMod {
  template <class T>
  static T call(T a, T b) {
    if (b == 0 || (kIsSigned<T> && b == static_cast<T>(-1))) return 0;
    return static_cast<T>(a % b);
  }
};
struct IFDiv {
  template <class T>
  static T call(T a, T b) {
    const T q = ITDiv::call(a, b);
    const T r = ITMod::call(a, b);
    return r != 0 && (r < 0) != (b < 0) ? static_cast<T>(q - 1) : q;
  }
};
struct IFMod {
  template <class T>
  static T call(T a, T b) {
    const T r = ITMod::call(a, b);
    return r != 0 && (r < 0) != (b < 0) ? static_cast<T>(r + b) : r;
  }
};
struct IPow {
  template <class T>
  static T call(T a, T b) {
    if (b < 0) {
      if (a == 1) return 1;
      if (a == static_cast<T>(-1)) return (b & 1) != 0 ? a : T(1);
      return 0;
    }
    T r = 1;
    for (auto n = static_cast<uint64_t>(static_cast<Wide<T>>(b)); n != 0; n >>= 1) {
      if ((n & 1) != 0) r = IMul::call(r, a);
      a = IMul::call(a, a);
    }
    return r;
  }
};
struct IEq {
  template <class T>
  static uint8_t call(T a, T b) {
    return a == b;
  }
};
struct INe {
  template <class T>
  static uint8_t call(T a, T b) {
    return a != b;
  }
};
struct ILt {
  template <class T>
  static uint8_t call(T a, T b) {
    return a < b;
  }
};
struct ILe {
  template <class T>
  static uint8_t call(T a, T b) {
    return a <= b;
  }
};
struct IAnd {
  template <class T>
  static T call(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct IOr {
  template <class T>
  static T call(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct IXor {
  template <class T>
  static T call(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};
struct INot {
  template <class T>
  static T call(T a) {
    return static_cast<T>(~a);
  }
};
template <class T>
inline constexpr T kShiftMask = static_cast<T>(sizeof(T) * 8 - 1);
struct IShl {
  template <class T>
  static T call(T a, T b) {
    return static_cast<T>(static_cast<Wide<T>>(a) << (b & kShiftMask<T>));
  }
};
struct IShr {
  template <class T>
  static T call(T a, T b) {
    return static_cast<T>(a >> (b & kShiftMask<T>));
  }
};

// Operations whose bits do not depend on the sign are compiled for the unsigned type alone.
template <class T>
StepFn find_unsigned(uint16_t op, uint8_t uniform) {
  switch (op) {
    case CTN_X_ADD: return pick_binary<IAdd, T, T>(uniform);
    case CTN_X_SUB: return pick_binary<ISub, T, T>(uniform);
    case CTN_X_MUL: return pick_binary<IMul, T, T>(uniform);
    case CTN_X_NEG: return unary<INeg, T, T>;
    case CTN_X_EQ: return pick_binary<IEq, uint8_t, T>(uniform);
    case CTN_X_NE: return pick_binary<INe, uint8_t, T>(uniform);
    case CTN_X_AND: return uniform == 0 ? binary<IAnd, T, T> : nullptr;
    case CTN_X_OR: return uniform == 0 ? binary<IOr, T, T> : nullptr;
    case CTN_X_XOR: return uniform == 0 ? binary<IXor, T, T> : nullptr;
    case CTN_X_NOT: return unary<INot, T, T>;
    case CTN_X_SHL: return uniform == 0 ? binary<IShl, T, T> : nullptr;
    default: return nullptr;
  }
}

template <class T>
StepFn find_signed(uint16_t op, uint8_t uniform) {
  switch (op) {
    case CTN_X_MIN: return pick_binary<IMin, T, T>(uniform);
    case CTN_X_MAX: return pick_binary<IMax, T, T>(uniform);
    case CTN_X_LT: return pick_binary<ILt, uint8_t, T>(uniform);
    case CTN_X_LE: return pick_binary<ILe, uint8_t, T>(uniform);
    case CTN_X_ABS: return unary<IAbs, T, T>;
    case CTN_X_SIGN: return unary<ISign, T, T>;
    default: break;
  }
  if (uniform != 0) return nullptr;
  switch (op) {
    case CTN_X_TDIV: return scalar_binary<ITDiv, T, T>;
    case CTN_X_TMOD: return scalar_binary<ITMod, T, T>;
    case CTN_X_FDIV: return scalar_binary<IFDiv, T, T>;
    case CTN_X_FMOD: return scalar_binary<IFMod, T, T>;
    case CTN_X_POW: return scalar_binary<IPow, T, T>;
    case CTN_X_SHR: return binary<IShr, T, T>;
    default: return nullptr;
  }
}

struct BAnd {
  static uint8_t call(uint8_t a, uint8_t b) { return (a != 0) & (b != 0); }
};
struct BOr {
  static uint8_t call(uint8_t a, uint8_t b) { return (a | b) != 0; }
};
struct BXor {
  static uint8_t call(uint8_t a, uint8_t b) { return (a != 0) ^ (b != 0); }
};
struct BNot {
  static uint8_t call(uint8_t a) { return a == 0; }
};
struct BLt {
  static uint8_t call(uint8_t a, uint8_t b) { return (a == 0) & (b != 0); }
};
struct BLe {
  static uint8_t call(uint8_t a, uint8_t b) { return (a == 0) | (b != 0); }
};
struct BEq {
  static uint8_t call(uint8_t a, uint8_t b) { return (a != 0) == (b != 0); }
};

template <class F>
StepFn bool_binary(uint8_t uniform) {
  return uniform == 0 ? binary<F, uint8_t, uint8_t> : nullptr;
}

StepFn find_bool(uint16_t op, uint8_t uniform) {
  switch (op) {
    case CTN_X_AND: return bool_binary<BAnd>(uniform);
    case CTN_X_OR: return bool_binary<BOr>(uniform);
    case CTN_X_XOR:
    case CTN_X_NE: return bool_binary<BXor>(uniform);
    case CTN_X_EQ: return bool_binary<BEq>(uniform);
    case CTN_X_LT: return bool_binary<BLt>(uniform);
    case CTN_X_LE: return bool_binary<BLe>(uniform);
    case CTN_X_NOT: return unary<BNot, uint8_t, uint8_t>;
    default: return nullptr;
  }
}

template <class S, class U>
StepFn find_either(uint16_t op, uint8_t uniform, bool is_signed) {
  if (StepFn fn = find_unsigned<U>(op, uniform)) return fn;
  return is_signed ? find_signed<S>(op, uniform) : find_signed<U>(op, uniform);
}

}  // namespace

StepFn integer_step(StepKey key) {
  switch (key.type) {
    case CTN_BOOL8: return find_bool(key.op, key.uniform);
    case CTN_INT8:
    case CTN_UINT8: return find_either<int8_t, uint8_t>(key.op, key.uniform, key.type == CTN_INT8);
    case CTN_INT16:
    case CTN_UINT16:
      return find_either<int16_t, uint16_t>(key.op, key.uniform, key.type == CTN_INT16);
    case CTN_INT32:
    case CTN_UINT32:
      return find_either<int32_t, uint32_t>(key.op, key.uniform, key.type == CTN_INT32);
    case CTN_INT64:
    case CTN_UINT64:
      return find_either<int64_t, uint64_t>(key.op, key.uniform, key.type == CTN_INT64);
    default: return nullptr;
  }
}

}  // namespace catena::cpu::CTN_ISA
