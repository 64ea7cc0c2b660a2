// Steps that move values: copy, splat, select, running index and indexed reads.
#include <cpu/expr/loops.h>
#include <cpu/math/half.h>

namespace catena::cpu::CTN_ISA {

namespace {

struct Same {
  template <class T>
  static T call(T x) {
    return x;
  }
};
struct SameBool {
  static uint8_t call(uint8_t x) { return x != 0; }
};

template <class T>
void splat(void* dst, const void* a, const void*, const void*, int64_t n) {
  T* d = static_cast<T*>(dst);
  const T x = *static_cast<const T*>(a);
  for (int64_t i = 0; i < n; ++i) d[i] = x;
}

void iota(void* dst, const void* a, const void*, const void*, int64_t n) {
  int64_t* d = static_cast<int64_t*>(dst);
  const IndexRef ref = *static_cast<const IndexRef*>(a);
  int64_t place = ref.first % ref.period;
  int64_t number = ref.base + ref.first / ref.period * ref.outer;
  while (n > 0) {
    const int64_t left = ref.period - place;
    const int64_t m = n < left ? n : left;
    for (int64_t i = 0; i < m; ++i) d[i] = number + (place + i) * ref.inner;
    d += m;
    n -= m;
    place = 0;
    number += ref.outer;
  }
}

template <class T, bool kUniformB, bool kUniformC>
void select(void* dst, const void* a, const void* b, const void* c, int64_t n) {
  T* d = static_cast<T*>(dst);
  const uint8_t* cond = static_cast<const uint8_t*>(a);
  const T* x = static_cast<const T*>(b);
  const T* y = static_cast<const T*>(c);
  const T x0 = *x;
  const T y0 = *y;
  CTN_INDEPENDENT
  for (int64_t i = 0; i < n; ++i) {
    const T yes = kUniformB ? x0 : x[i];
    const T no = kUniformC ? y0 : y[i];
    d[i] = cond[i] != 0 ? yes : no;
  }
}

template <class T>
StepFn pick_select(uint8_t uniform) {
  switch (uniform) {
    case 0: return select<T, false, false>;
    case 2: return select<T, true, false>;
    case 4: return select<T, false, true>;
    case 6: return select<T, true, true>;
    default: return nullptr;
  }
}

struct Half {
  using Storage = uint16_t;
  using Value = float;
  static float call(uint16_t x) { return math::from_half(x); }
};
struct Brain {
  using Storage = uint16_t;
  using Value = float;
  static float call(uint16_t x) { return math::from_brain(x); }
};
struct Bool {
  using Storage = uint8_t;
  using Value = uint8_t;
  static uint8_t call(uint8_t x) { return x != 0; }
};
template <class T>
struct Plain {
  using Storage = T;
  using Value = T;
  static T call(T x) { return x; }
};

template <class F>
void raw(void* dst, const void* a, const void* b, const void*, int64_t n) {
  using Value = typename F::Value;
  Value* d = static_cast<Value*>(dst);
  const RawRef ref = *static_cast<const RawRef*>(a);
  const auto* data = static_cast<const typename F::Storage*>(static_cast<const void*>(ref.data));
  const int64_t* index = static_cast<const int64_t*>(b);
  for (int64_t i = 0; i < n; ++i) {
    const bool inside = static_cast<uint64_t>(index[i]) < static_cast<uint64_t>(ref.count);
    d[i] = inside ? F::call(data[index[i]]) : Value(0);
  }
}

int size_of(uint8_t dtype) {
  switch (dtype) {
    case CTN_BOOL8:
    case CTN_INT8:
    case CTN_UINT8: return 1;
    case CTN_INT16:
    case CTN_UINT16:
    case CTN_FLOAT16:
    case CTN_BFLOAT16: return 2;
    case CTN_INT32:
    case CTN_UINT32:
    case CTN_FLOAT32: return 4;
    default: return 8;
  }
}

StepFn find_raw(uint8_t storage) {
  if (storage == CTN_FLOAT16) return raw<Half>;
  if (storage == CTN_BFLOAT16) return raw<Brain>;
  if (storage == CTN_BOOL8) return raw<Bool>;
  switch (size_of(storage)) {
    case 1: return raw<Plain<uint8_t>>;
    case 2: return raw<Plain<uint16_t>>;
    case 4: return raw<Plain<uint32_t>>;
    default: return raw<Plain<uint64_t>>;
  }
}

// Values of equal size share their code; floats keep every bit.
template <class T>
StepFn find(uint16_t op, uint8_t uniform) {
  switch (op) {
    case kOpCopy: return unary<Same, T, T>;
    case kOpSplat: return splat<T>;
    case CTN_X_SELECT: return pick_select<T>(uniform);
    default: return nullptr;
  }
}

}  // namespace

StepFn data_step(StepKey key) {
  if (key.op == kOpIota) return iota;
  if (key.op == kOpRaw) return (key.uniform & 2) == 0 ? find_raw(key.from) : nullptr;
  if (key.op == kOpCopy && key.type == CTN_BOOL8) return unary<SameBool, uint8_t, uint8_t>;
  switch (size_of(key.type)) {
    case 1: return find<uint8_t>(key.op, key.uniform);
    case 2: return find<uint16_t>(key.op, key.uniform);
    case 4: return find<uint32_t>(key.op, key.uniform);
    default: return find<uint64_t>(key.op, key.uniform);
  }
}

}  // namespace catena::cpu::CTN_ISA
