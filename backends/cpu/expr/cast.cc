// Conversions between element types. Float to integer truncates and saturates, NaN gives 0; the
// 16-bit floats exist in memory only and round to nearest even.
#include <cpu/expr/loops.h>
#include <cpu/math/half.h>

namespace catena::cpu::CTN_ISA {

namespace {

template <class D>
struct To {
  template <class A>
  static D call(A x) {
    return static_cast<D>(x);
  }
};

template <class D>
struct FromBool {
  static D call(uint8_t x) { return static_cast<D>(x != 0); }
};

struct ToBool {
  template <class A>
  static uint8_t call(A x) {
    return x != 0;
  }
};

// The bounds are powers of two, exact in both types; the conversion itself only sees what fits.
template <class D>
struct Saturate {
  template <class A>
  static D call(A x) {
    constexpr int kBits = static_cast<int>(sizeof(D)) * 8 - (kIsSigned<D> ? 1 : 0);
    constexpr A kAbove = static_cast<A>(UINT64_C(1) << (kBits - 1)) * 2;
    constexpr A kBelow = kIsSigned<D> ? -kAbove : A(0);
    constexpr D kMin = kIsSigned<D> ? static_cast<D>(UINT64_C(1) << (kBits % 64)) : D(0);
    constexpr D kMax = static_cast<D>(static_cast<Wide<D>>(kMin) - 1u);
    const bool high = x >= kAbove;
    const A inside = high ? A(0) : x > kBelow ? x : A(0);  // NaN: 0
    const D d = static_cast<D>(inside);
    return high ? kMax : x <= kBelow ? kMin : d;
  }
};

struct LoadHalf {
  static float call(uint16_t x) { return math::from_half(x); }
};
struct StoreHalf {
  static uint16_t call(float x) { return math::to_half(x); }
};
struct LoadBrain {
  static float call(uint16_t x) { return math::from_brain(x); }
};
struct StoreBrain {
  static uint16_t call(float x) { return math::to_brain(x); }
};

// From an integer type: what is kept of it does not depend on the sign of the result.
template <class A>
StepFn from_integer(uint8_t to) {
  switch (to) {
    case CTN_BOOL8: return unary<ToBool, uint8_t, A>;
    case CTN_INT8:
    case CTN_UINT8: return unary<To<uint8_t>, uint8_t, A>;
    case CTN_INT16:
    case CTN_UINT16: return unary<To<uint16_t>, uint16_t, A>;
    case CTN_INT32:
    case CTN_UINT32: return unary<To<uint32_t>, uint32_t, A>;
    case CTN_INT64:
    case CTN_UINT64: return unary<To<uint64_t>, uint64_t, A>;
    case CTN_FLOAT32: return unary<To<float>, float, A>;
    case CTN_FLOAT64: return unary<To<double>, double, A>;
    default: return nullptr;
  }
}

template <class A>
StepFn from_float(uint8_t to) {
  switch (to) {
    case CTN_BOOL8: return unary<ToBool, uint8_t, A>;
    case CTN_INT8: return unary<Saturate<int8_t>, int8_t, A>;
    case CTN_INT16: return unary<Saturate<int16_t>, int16_t, A>;
    case CTN_INT32: return unary<Saturate<int32_t>, int32_t, A>;
    case CTN_INT64: return unary<Saturate<int64_t>, int64_t, A>;
    case CTN_UINT8: return unary<Saturate<uint8_t>, uint8_t, A>;
    case CTN_UINT16: return unary<Saturate<uint16_t>, uint16_t, A>;
    case CTN_UINT32: return unary<Saturate<uint32_t>, uint32_t, A>;
    case CTN_UINT64: return unary<Saturate<uint64_t>, uint64_t, A>;
    case CTN_FLOAT32: return unary<To<float>, float, A>;
    case CTN_FLOAT64: return unary<To<double>, double, A>;
    default: return nullptr;
  }
}

StepFn from_bool(uint8_t to) {
  switch (to) {
    case CTN_BOOL8:
    case CTN_INT8:
    case CTN_UINT8: return unary<FromBool<uint8_t>, uint8_t, uint8_t>;
    case CTN_INT16:
    case CTN_UINT16: return unary<FromBool<uint16_t>, uint16_t, uint8_t>;
    case CTN_INT32:
    case CTN_UINT32: return unary<FromBool<uint32_t>, uint32_t, uint8_t>;
    case CTN_INT64:
    case CTN_UINT64: return unary<FromBool<uint64_t>, uint64_t, uint8_t>;
    case CTN_FLOAT32: return unary<FromBool<float>, float, uint8_t>;
    case CTN_FLOAT64: return unary<FromBool<double>, double, uint8_t>;
    default: return nullptr;
  }
}

}  // namespace

StepFn cast_step(StepKey key) {
  if (key.op != CTN_X_CAST) return nullptr;
  if (key.type == CTN_FLOAT16) return unary<StoreHalf, uint16_t, float>;
  if (key.type == CTN_BFLOAT16) return unary<StoreBrain, uint16_t, float>;
  switch (key.from) {
    case CTN_FLOAT16: return unary<LoadHalf, float, uint16_t>;
    case CTN_BFLOAT16: return unary<LoadBrain, float, uint16_t>;
    case CTN_BOOL8: return from_bool(key.type);
    case CTN_INT8: return from_integer<int8_t>(key.type);
    case CTN_INT16: return from_integer<int16_t>(key.type);
    case CTN_INT32: return from_integer<int32_t>(key.type);
    case CTN_INT64: return from_integer<int64_t>(key.type);
    case CTN_UINT8: return from_integer<uint8_t>(key.type);
    case CTN_UINT16: return from_integer<uint16_t>(key.type);
    case CTN_UINT32: return from_integer<uint32_t>(key.type);
    case CTN_UINT64: return from_integer<uint64_t>(key.type);
    case CTN_FLOAT32: return from_float<float>(key.type);
    case CTN_FLOAT64: return from_float<double>(key.type);
    default: return nullptr;
  }
}

}  // namespace catena::cpu::CTN_ISA
