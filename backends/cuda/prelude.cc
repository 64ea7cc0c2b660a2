// The part of every kernel's source that no form changes: types, conversions and what each opcode
// computes for one element, in C++ that NVRTC takes without a header. Knows no form.
//
// The text also compiles with a host compiler that is given the few words of CUDA it uses (tests do
// so): what is device-only is behind __CUDACC_RTC__ and means the same as its other branch.
#include <cuda/source.h>

namespace catena::cuda {

const char* const kPreludeTypes = R"(
typedef signed char i8; typedef short i16; typedef int i32; typedef long long i64;
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32;
typedef unsigned long long u64;
typedef float f32; typedef double f64;
struct b8 { u8 v; };     // storage of bool
struct f16 { u16 v; };   // storage of float16
struct bf16 { u16 v; };  // storage of bfloat16

template <class T> struct Kind { static constexpr bool real = false, sign = true; };
template <> struct Kind<bool> { static constexpr bool real = false, sign = false; };
template <> struct Kind<u8> { static constexpr bool real = false, sign = false; };
template <> struct Kind<u16> { static constexpr bool real = false, sign = false; };
template <> struct Kind<u32> { static constexpr bool real = false, sign = false; };
template <> struct Kind<u64> { static constexpr bool real = false, sign = false; };
template <> struct Kind<f32> { static constexpr bool real = true, sign = true; };
template <> struct Kind<f64> { static constexpr bool real = true, sign = true; };
template <class A, class B> struct Same { static constexpr bool value = false; };
template <class A> struct Same<A, A> { static constexpr bool value = true; };

// What an element in memory is computed with.
template <class S> struct WideOf { typedef f32 type; };
template <> struct WideOf<f64> { typedef f64 type; };
template <class S> using Wide = typename WideOf<S>::type;

// Arithmetic is done in unsigned words, which wrap.
template <int bytes> struct WordOf { typedef u32 type; };
template <> struct WordOf<8> { typedef u64 type; };
template <class T> using Word = typename WordOf<sizeof(T)>::type;

__device__ inline f32 f32_bits(u32 b) { return __uint_as_float(b); }
__device__ inline f64 f64_bits(u64 b) { return __longlong_as_double((i64)b); }
__device__ inline f32 inf32() { return f32_bits(0x7f800000u); }
__device__ inline f64 inf64() { return f64_bits(0x7ff0000000000000ull); }
template <class T> __device__ inline T nan_of();
template <> __device__ inline f32 nan_of<f32>() { return f32_bits(0x7fc00000u); }
template <> __device__ inline f64 nan_of<f64>() { return f64_bits(0x7ff8000000000000ull); }

template <class T> __device__ inline T from_bits(u64 b) {
  if constexpr (Same<T, bool>::value) return (b & 0xff) != 0;
  else if constexpr (Same<T, f32>::value) return f32_bits((u32)b);
  else if constexpr (Same<T, f64>::value) return f64_bits(b);
  else return (T)b;
}

// ---- elements in memory

#ifdef __CUDACC_RTC__
__device__ inline f32 widen(f16 h) {
  f32 r;
  asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(h.v));
  return r;
}
__device__ inline f16 narrow(f32 v) {
  f16 h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.v) : "f"(v));
  return h;
}
#else
inline f32 widen(f16 h) {
  const u32 sign = (u32)(h.v & 0x8000u) << 16, exponent = h.v >> 10 & 31u, fraction = h.v & 1023u;
  if (exponent == 31) return f32_bits(sign | 0x7f800000u | fraction << 13);
  const f32 v = exponent != 0 ? f32_bits((exponent + 112u) << 23 | fraction << 13)
                              : (f32)fraction * f32_bits(0x33800000u);  // 2^-24
  return f32_bits(__float_as_uint(v) | sign);
}
inline f16 narrow(f32 v) {
  const u32 bits = __float_as_uint(v), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
  f16 h;
  if (size > 0x7f800000u) { h.v = 0x7fff; return h; }
  if (size >= 0x477ff000u) { h.v = (u16)(sign | 0x7c00u); return h; }
  if (size < 0x38800000u) {  // to a subnormal: the sum is rounded at half's last place
    const u32 sum = __float_as_uint(f32_bits(size) + 0.5f);
    h.v = (u16)(sign | (sum - 0x3f000000u));
    return h;
  }
  h.v = (u16)(sign | (size - 0x38000000u + 0xfffu + (size >> 13 & 1u)) >> 13);
  return h;
}
#endif

__device__ inline f32 widen(bf16 b) { return f32_bits((u32)b.v << 16); }
__device__ inline bf16 narrow_bf16(f32 v) {
  const u32 bits = __float_as_uint(v);
  bf16 b;
  b.v = (u16)(v != v ? bits >> 16 | 0x40u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
  return b;
}

template <class T> __device__ inline T load(const T* p) { return *p; }
__device__ inline bool load(const b8* p) { return p->v != 0; }
__device__ inline f32 load(const f16* p) { return widen(*p); }
__device__ inline f32 load(const bf16* p) { return widen(*p); }
template <class T> __device__ inline void store(T* p, T v) { *p = v; }
__device__ inline void store(b8* p, bool v) { p->v = v ? 1 : 0; }
__device__ inline void store(f16* p, f32 v) { *p = narrow(v); }
__device__ inline void store(bf16* p, f32 v) { *p = narrow_bf16(v); }

template <class To, class S> __device__ inline To load_raw(const S* p, i64 count, i64 index) {
  return index < 0 || index >= count ? (To)0 : load(p + index);
}
)";

const char* const kPreludeArithmetic = R"(
// ---- conversion: floats truncate and saturate, NaN gives 0

template <class To, class From> __device__ inline To x_cast(From v) {
  if constexpr (Same<To, bool>::value) {
    return v != (From)0;
  } else if constexpr (Kind<From>::real && !Kind<To>::real) {
    constexpr int bits = 8 * (int)sizeof(To) - (Kind<To>::sign ? 1 : 0);
    constexpr To most = (To)(~(u64)0 >> (64 - bits));
    constexpr From limit = (From)((u64)1 << (bits - 1)) * (From)2;  // most + 1
    if (v != v) return (To)0;
    if (v >= limit) return most;
    if constexpr (Kind<To>::sign) return v <= -limit ? (To)(-most - 1) : (To)v;
    else return v <= (From)0 ? (To)0 : (To)v;
  } else {
    return (To)v;
  }
}

// ---- arithmetic

template <class T> __device__ inline T x_add(T a, T b) {
  if constexpr (Kind<T>::real) return a + b;
  else return (T)((Word<T>)a + (Word<T>)b);
}
template <class T> __device__ inline T x_sub(T a, T b) {
  if constexpr (Kind<T>::real) return a - b;
  else return (T)((Word<T>)a - (Word<T>)b);
}
template <class T> __device__ inline T x_mul(T a, T b) {
  if constexpr (Kind<T>::real) return a * b;
  else return (T)((Word<T>)a * (Word<T>)b);
}
template <class T> __device__ inline T x_div(T a, T b) { return a / b; }

__device__ inline f64 floor_mod(f64 x, f64 y) {
  const f64 r = fmod(x, y);
  if (r == 0) return copysign(0.0, y);
  return (r < 0) != (y < 0) ? r + y : r;
}
// Floor of the exact quotient; x / y itself may round up to the next integer.
__device__ inline f64 floor_div(f64 x, f64 y) {
  if (y == 0) return x / y;
  const f64 r = fmod(x, y);
  f64 q = (x - r) / y;
  if (r != 0 && (r < 0) != (y < 0)) q -= 1;
  if (q == 0) return copysign(0.0, x / y);
  const f64 down = floor(q);
  return q - down > 0.5 ? down + 1 : down;
}

// The one quotient of signed types that may not fit is that by -1.
template <class T> __device__ inline T quotient(T a, T b) {
  if (b == (T)0) return (T)0;
  if constexpr (Kind<T>::sign) {
    if (b == (T)-1) return (T)((Word<T>)0 - (Word<T>)a);
  }
  return (T)(a / b);
}
template <class T> __device__ inline T remainder_of(T a, T b) {
  if (b == (T)0) return (T)0;
  if constexpr (Kind<T>::sign) {
    if (b == (T)-1) return (T)0;
  }
  return (T)(a % b);
}
template <class T> __device__ inline T x_fdiv(T a, T b) {
  if constexpr (Kind<T>::real) {
    return (T)floor_div((f64)a, (f64)b);
  } else {
    const T q = quotient(a, b), r = remainder_of(a, b);
    if constexpr (Kind<T>::sign) return r != (T)0 && (r < (T)0) != (b < (T)0) ? (T)(q - 1) : q;
    else return q;
  }
}
template <class T> __device__ inline T x_tdiv(T a, T b) { return quotient(a, b); }
template <class T> __device__ inline T x_fmod(T a, T b) {
  if constexpr (Kind<T>::real) {
    return (T)floor_mod((f64)a, (f64)b);
  } else {
    const T r = remainder_of(a, b);
    if constexpr (Kind<T>::sign) return r != (T)0 && (r < (T)0) != (b < (T)0) ? (T)(r + b) : r;
    else return r;
  }
}
__device__ inline f32 x_tmod(f32 a, f32 b) { return fmodf(a, b); }
__device__ inline f64 x_tmod(f64 a, f64 b) { return fmod(a, b); }
template <class T> __device__ inline T x_tmod(T a, T b) { return remainder_of(a, b); }
template <class T> __device__ inline T x_neg(T a) {
  if constexpr (Kind<T>::real) return -a;
  else return (T)((Word<T>)0 - (Word<T>)a);
}
template <class T> __device__ inline T x_abs(T a) {
  if constexpr (Same<T, f32>::value) return fabsf(a);
  else if constexpr (Same<T, f64>::value) return fabs(a);
  else if constexpr (Kind<T>::sign) return a < (T)0 ? x_neg(a) : a;
  else return a;
}
template <class T> __device__ inline T x_min(T a, T b) {
  if constexpr (Kind<T>::real) return a != a || a < b ? a : b != b || b < a ? b : a;
  else return b < a ? b : a;
}
template <class T> __device__ inline T x_max(T a, T b) {
  if constexpr (Kind<T>::real) return a != a || a > b ? a : b != b || b > a ? b : a;
  else return a < b ? b : a;
}
__device__ inline f32 x_pow(f32 a, f32 b) { return powf(a, b); }
__device__ inline f64 x_pow(f64 a, f64 b) { return pow(a, b); }
template <class T> __device__ inline T x_pow(T base, T exponent) {
  if constexpr (Kind<T>::sign) {
    if (exponent < (T)0) {
      if (base == (T)1) return (T)1;
      if (base == (T)-1) return exponent % 2 == 0 ? (T)1 : (T)-1;
      return (T)0;
    }
  }
  Word<T> result = 1, square = (Word<T>)base;
  for (Word<T> e = (Word<T>)exponent; e != 0; e >>= 1) {
    if (e & 1) result *= square;
    square *= square;
  }
  return (T)result;
}
template <class T> __device__ inline T x_sign(T a) {
  if constexpr (Kind<T>::real) return a != a ? a : (T)((a > 0) - (a < 0));
  else if constexpr (Kind<T>::sign) return (T)((a > (T)0) - (a < (T)0));
  else return (T)(a != (T)0);
}

// ---- comparison, bits and logic

template <class T> __device__ inline bool x_eq(T a, T b) { return a == b; }
template <class T> __device__ inline bool x_ne(T a, T b) { return a != b; }
template <class T> __device__ inline bool x_lt(T a, T b) { return a < b; }
template <class T> __device__ inline bool x_le(T a, T b) { return a <= b; }
template <class T> __device__ inline T x_and(T a, T b) { return (T)(a & b); }
template <class T> __device__ inline T x_or(T a, T b) { return (T)(a | b); }
template <class T> __device__ inline T x_xor(T a, T b) { return (T)(a ^ b); }
__device__ inline bool x_not(bool a) { return !a; }
template <class T> __device__ inline T x_not(T a) { return (T)~a; }
template <class T> __device__ inline int count_of(T n) {
  return (int)((Word<T>)n & (Word<T>)(8 * sizeof(T) - 1));
}
template <class T> __device__ inline T x_shl(T a, T n) { return (T)((Word<T>)a << count_of(n)); }
template <class T> __device__ inline T x_shr(T a, T n) { return (T)(a >> count_of(n)); }
)";

const char* const kPreludeMath = R"(
// ---- floating mathematics

#define FLOATS(name, single, twice) \
  __device__ inline f32 name(f32 x) { return single(x); } \
  __device__ inline f64 name(f64 x) { return twice(x); }
FLOATS(x_sqrt, sqrtf, sqrt)
FLOATS(x_exp, expf, exp)
FLOATS(x_expm1, expm1f, expm1)
FLOATS(x_exp2, exp2f, exp2)
FLOATS(x_log, logf, log)
FLOATS(x_log1p, log1pf, log1p)
FLOATS(x_log2, log2f, log2)
FLOATS(x_log10, log10f, log10)
FLOATS(x_sin, sinf, sin)
FLOATS(x_cos, cosf, cos)
FLOATS(x_tan, tanf, tan)
FLOATS(x_asin, asinf, asin)
FLOATS(x_acos, acosf, acos)
FLOATS(x_atan, atanf, atan)
FLOATS(x_sinh, sinhf, sinh)
FLOATS(x_cosh, coshf, cosh)
FLOATS(x_tanh, tanhf, tanh)
FLOATS(x_erf, erff, erf)
FLOATS(x_erfc, erfcf, erfc)
FLOATS(x_lgamma, lgammaf, lgamma)
FLOATS(x_floor, floorf, floor)
FLOATS(x_ceil, ceilf, ceil)
FLOATS(x_trunc, truncf, trunc)
FLOATS(x_rint, rintf, rint)
#undef FLOATS
__device__ inline f32 x_atan2(f32 y, f32 x) { return atan2f(y, x); }
__device__ inline f64 x_atan2(f64 y, f64 x) { return atan2(y, x); }
template <class T> __device__ inline T x_rsqrt(T x) { return (T)1 / x_sqrt(x); }
template <class T> __device__ inline T x_sigmoid(T x) {
  if (x >= 0) return (T)1 / ((T)1 + x_exp(-x));
  const T e = x_exp(x);
  return e / ((T)1 + e);
}
template <class T> __device__ inline bool x_isnan(T x) { return x != x; }
template <class T> __device__ inline bool x_isfinite(T x) { return x - x == 0; }
template <class T> __device__ inline bool x_isinf(T x) { return x == x && x - x != 0; }

__device__ inline f64 digamma_above(f64 x) {
  f64 shifted = 0;
  for (; x < 10; x += 1) shifted -= 1 / x;
  // Asymptotic series with Bernoulli numbers; at x >= 10 the next term is below 1e-17.
  const f64 z = 1 / (x * x);
  const f64 series =
      z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 -
      z * (691.0 / 32760 - z / 12))))));
  return shifted + log(x) - 0.5 / x - series;
}
// Below 0 by reflection, with the argument of tan reduced first.
__device__ inline f64 x_digamma(f64 x) {
  if (x == 0) return copysign(inf64(), -x);
  if (x > 0 || x != x) return digamma_above(x);
  if (x == -inf64() || x == floor(x)) return nan_of<f64>();
  const f64 pi = 3.14159265358979323846;
  return digamma_above(1 - x) - pi / tan(pi * (x - floor(x)));
}
__device__ inline f32 x_digamma(f32 x) { return (f32)x_digamma((f64)x); }
)";

}  // namespace catena::cuda
