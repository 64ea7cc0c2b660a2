// Integer arithmetic is done in 64 bits and wrapped to the type. float32 arithmetic is done in
// double and rounded once: for + - * / and sqrt that equals float arithmetic (53 >= 2 * 24 + 2
// bits, Figueroa 1995), for the other functions it is within a hair of correct rounding.
#include "core/expr/scalar.h"

#include <catena/plugin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

namespace catena::expr {

namespace {

Slot wrap(uint64_t v, Type t) {
  const int shift = 64 - 8 * dtype_bytes(t);
  if (is_unsigned(t)) return {.u = v << shift >> shift};
  return slot_i(static_cast<int64_t>(v << shift) >> shift);
}

Slot round_to(double v, Type t) {
  return slot_f(t == CTN_FLOAT32 ? static_cast<double>(static_cast<float>(v)) : v);
}

Slot to_integer(double v, Type t) {
  if (std::isnan(v)) return {.u = 0};
  v = std::trunc(v);
  const int bits = 8 * dtype_bytes(t);
  if (is_unsigned(t)) {
    if (v <= 0) return {.u = 0};
    if (v >= std::ldexp(1.0, bits)) return {.u = ~UINT64_C(0) >> (64 - bits)};
    return {.u = static_cast<uint64_t>(v)};
  }
  const double limit = std::ldexp(1.0, bits - 1);
  if (v >= limit) return slot_i(std::numeric_limits<int64_t>::max() >> (64 - bits));
  if (v < -limit) return slot_i(std::numeric_limits<int64_t>::min() >> (64 - bits));
  return slot_i(static_cast<int64_t>(v));
}

bool less(Type t, Slot a, Slot b) {
  if (is_float(t)) return a.f < b.f;
  return is_unsigned(t) ? a.u < b.u : a.i < b.i;
}
bool equal(Type t, Slot a, Slot b) { return is_float(t) ? a.f == b.f : a.u == b.u; }

// Quotient and remainder, rounded down if `floored`, otherwise toward zero.
struct Division {
  uint64_t quotient, remainder;
};
Division divide(Type t, Slot a, Slot b, bool floored) {
  if (b.u == 0) return {0, 0};
  if (is_unsigned(t)) return {a.u / b.u, a.u % b.u};
  if (b.i == -1) return {0 - a.u, 0};  // the one quotient that may not fit
  int64_t q = a.i / b.i, r = a.i % b.i;
  if (floored && r != 0 && (r < 0) != (b.i < 0)) {
    --q;
    r += b.i;
  }
  return {static_cast<uint64_t>(q), static_cast<uint64_t>(r)};
}

uint64_t int_pow(Type t, Slot base, Slot exponent) {
  if (is_signed(t) && exponent.i < 0) {
    if (base.i == 1) return 1;
    if (base.i == -1) return exponent.i % 2 == 0 ? 1 : ~UINT64_C(0);
    return 0;
  }
  uint64_t result = 1, square = base.u;
  for (uint64_t e = exponent.u; e != 0; e >>= 1) {
    if (e & 1) result *= square;
    square *= square;
  }
  return result;
}

int64_t int_sign(Type t, Slot a) {
  if (is_unsigned(t)) return a.u != 0;
  return (a.i > 0) - (a.i < 0);
}

Slot eval_int(int op, Type t, Slot a, Slot b) {
  const int bits = 8 * dtype_bytes(t);
  const auto count = static_cast<int>(b.u & static_cast<uint64_t>(bits - 1));
  switch (op) {
    case CTN_X_ADD: return wrap(a.u + b.u, t);
    case CTN_X_SUB: return wrap(a.u - b.u, t);
    case CTN_X_MUL: return wrap(a.u * b.u, t);
    case CTN_X_FDIV: return wrap(divide(t, a, b, true).quotient, t);
    case CTN_X_TDIV: return wrap(divide(t, a, b, false).quotient, t);
    case CTN_X_FMOD: return wrap(divide(t, a, b, true).remainder, t);
    case CTN_X_TMOD: return wrap(divide(t, a, b, false).remainder, t);
    case CTN_X_NEG: return wrap(0 - a.u, t);
    case CTN_X_ABS: return is_signed(t) && a.i < 0 ? wrap(0 - a.u, t) : a;
    case CTN_X_MIN: return less(t, b, a) ? b : a;
    case CTN_X_MAX: return less(t, a, b) ? b : a;
    case CTN_X_POW: return wrap(int_pow(t, a, b), t);
    case CTN_X_SIGN: return wrap(static_cast<uint64_t>(int_sign(t, a)), t);
    case CTN_X_AND: return {.u = a.u & b.u};
    case CTN_X_OR: return {.u = a.u | b.u};
    case CTN_X_XOR: return {.u = a.u ^ b.u};
    case CTN_X_NOT: return t == CTN_BOOL8 ? slot_i(a.i == 0) : wrap(~a.u, t);
    case CTN_X_SHL: return wrap(a.u << count, t);
    case CTN_X_SHR: return is_unsigned(t) ? Slot{.u = a.u >> count} : slot_i(a.i >> count);
    default: return {.u = 0};
  }
}

// The remainder is exact; its sign is made that of y. As Python's float %.
double floor_mod(double x, double y) {
  const double r = std::fmod(x, y);
  if (r == 0) return std::copysign(0.0, y);
  return (r < 0) != (y < 0) ? r + y : r;
}

// Floor of the exact quotient; x / y itself may round up to the next integer. As Python's float //.
double floor_div(double x, double y) {
  if (y == 0) return x / y;
  double r = std::fmod(x, y), q = (x - r) / y;
  if (r != 0 && (r < 0) != (y < 0)) q -= 1;
  if (q == 0) return std::copysign(0.0, x / y);
  const double down = std::floor(q);
  return q - down > 0.5 ? down + 1 : down;
}

double sigmoid(double x) {
  if (x >= 0) return 1 / (1 + std::exp(-x));
  const double e = std::exp(x);
  return e / (1 + e);
}

double sign(double x) {
  if (std::isnan(x)) return x;
  return (x > 0) - (x < 0);
}

double log_gamma(double x) {
  int ignored = 0;  // std::lgamma writes a global, lgamma_r does not
  return ::lgamma_r(x, &ignored);
}

double eval_math(int op, double a, double b) {
  switch (op) {
    case CTN_X_SQRT: return std::sqrt(a);
    case CTN_X_RSQRT: return 1 / std::sqrt(a);
    case CTN_X_EXP: return std::exp(a);
    case CTN_X_EXPM1: return std::expm1(a);
    case CTN_X_EXP2: return std::exp2(a);
    case CTN_X_LOG: return std::log(a);
    case CTN_X_LOG1P: return std::log1p(a);
    case CTN_X_LOG2: return std::log2(a);
    case CTN_X_LOG10: return std::log10(a);
    case CTN_X_SIN: return std::sin(a);
    case CTN_X_COS: return std::cos(a);
    case CTN_X_TAN: return std::tan(a);
    case CTN_X_ASIN: return std::asin(a);
    case CTN_X_ACOS: return std::acos(a);
    case CTN_X_ATAN: return std::atan(a);
    case CTN_X_ATAN2: return std::atan2(a, b);
    case CTN_X_SINH: return std::sinh(a);
    case CTN_X_COSH: return std::cosh(a);
    case CTN_X_TANH: return std::tanh(a);
    case CTN_X_ERF: return std::erf(a);
    case CTN_X_ERFC: return std::erfc(a);
    case CTN_X_LGAMMA: return log_gamma(a);
    case CTN_X_DIGAMMA: return digamma(a);
    case CTN_X_FLOOR: return std::floor(a);
    case CTN_X_CEIL: return std::ceil(a);
    case CTN_X_TRUNC: return std::trunc(a);
    case CTN_X_RINT: return std::nearbyint(a);
    case CTN_X_SIGMOID: return sigmoid(a);
    default: return std::numeric_limits<double>::quiet_NaN();
  }
}

double eval_float(int op, double a, double b) {
  switch (op) {
    case CTN_X_ADD: return a + b;
    case CTN_X_SUB: return a - b;
    case CTN_X_MUL: return a * b;
    case CTN_X_DIV: return a / b;
    case CTN_X_FDIV: return floor_div(a, b);
    case CTN_X_FMOD: return floor_mod(a, b);
    case CTN_X_TMOD: return std::fmod(a, b);
    case CTN_X_NEG: return -a;
    case CTN_X_ABS: return std::fabs(a);
    case CTN_X_MIN: return std::isnan(a) || a < b ? a : std::isnan(b) || b < a ? b : a;
    case CTN_X_MAX: return std::isnan(a) || a > b ? a : std::isnan(b) || b > a ? b : a;
    case CTN_X_POW: return std::pow(a, b);
    case CTN_X_SIGN: return sign(a);
    default: return eval_math(op, a, b);
  }
}

uint16_t half_bits(float v) {
  const auto bits = std::bit_cast<uint32_t>(v);
  const uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 and above
  // The scaled value is an integer of half's own last place; nearbyint rounds it to nearest even.
  const int exponent = std::max(std::ilogb(std::fabs(v)), -14);
  const double units = std::nearbyint(std::ldexp(static_cast<double>(std::fabs(v)), 10 - exponent));
  // A significand of 2048 or below 1024 carries into, or out of, the exponent field by itself.
  const uint32_t field = magnitude == 0 ? 0 : static_cast<uint32_t>(exponent + 14) * 1024u;
  return static_cast<uint16_t>(sign | (field + static_cast<uint32_t>(units)));
}

float half_value(uint16_t h) {
  const int exponent = h >> 10 & 31, fraction = h & 1023;
  float v = 0;
  if (exponent == 31) {
    v = fraction != 0 ? std::numeric_limits<float>::quiet_NaN()
                      : std::numeric_limits<float>::infinity();
  } else {
    v = std::ldexp(static_cast<float>(exponent != 0 ? fraction + 1024 : fraction),
                   std::max(exponent, 1) - 25);
  }
  return (h & 0x8000u) != 0 ? -v : v;
}

uint16_t bfloat_bits(float v) {
  const auto bits = std::bit_cast<uint32_t>(v);
  if (std::isnan(v)) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

template <class T>
T read(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
void write(void* p, T v) {
  std::memcpy(p, &v, sizeof v);
}

}  // namespace

Slot number(double v, Type t) {
  if (t == CTN_BOOL8) return slot_i(v != 0);
  return is_float(t) ? round_to(v, t) : to_integer(v, t);
}

Slot cast_value(Slot a, Type from, Type to) {
  if (is_float(from)) return number(a.f, to);
  if (to == CTN_BOOL8) return slot_i(a.u != 0);
  if (!is_float(to)) return wrap(a.u, to);
  // Straight to the type: by way of double an int64 would round twice.
  if (to == CTN_FLOAT32) {
    return slot_f(
        static_cast<double>(is_unsigned(from) ? static_cast<float>(a.u) : static_cast<float>(a.i)));
  }
  return slot_f(is_unsigned(from) ? static_cast<double>(a.u) : static_cast<double>(a.i));
}

Slot eval(int op, Type type, Slot a, Slot b, Slot c) {
  switch (op) {
    case CTN_X_SELECT: return a.i != 0 ? b : c;
    case CTN_X_EQ: return slot_i(equal(type, a, b));
    case CTN_X_NE: return slot_i(!equal(type, a, b));
    case CTN_X_LT: return slot_i(less(type, a, b));
    case CTN_X_LE: return slot_i(less(type, a, b) || equal(type, a, b));
    case CTN_X_ISNAN: return slot_i(std::isnan(a.f));
    case CTN_X_ISINF: return slot_i(std::isinf(a.f));
    case CTN_X_ISFINITE: return slot_i(std::isfinite(a.f));
    default: break;
  }
  return is_float(type) ? round_to(eval_float(op, a.f, b.f), type) : eval_int(op, type, a, b);
}

Slot load_element(const void* p, int d) {
  switch (d) {
    case CTN_BOOL8: return slot_i(read<uint8_t>(p) != 0);
    case CTN_INT8: return slot_i(read<int8_t>(p));
    case CTN_INT16: return slot_i(read<int16_t>(p));
    case CTN_INT32: return slot_i(read<int32_t>(p));
    case CTN_INT64: return slot_i(read<int64_t>(p));
    case CTN_UINT8: return {.u = read<uint8_t>(p)};
    case CTN_UINT16: return {.u = read<uint16_t>(p)};
    case CTN_UINT32: return {.u = read<uint32_t>(p)};
    case CTN_UINT64: return {.u = read<uint64_t>(p)};
    case CTN_FLOAT16: return slot_f(static_cast<double>(half_value(read<uint16_t>(p))));
    case CTN_FLOAT32: return slot_f(static_cast<double>(read<float>(p)));
    case CTN_FLOAT64: return slot_f(read<double>(p));
    default:
      return slot_f(static_cast<double>(
          std::bit_cast<float>(static_cast<uint32_t>(read<uint16_t>(p)) << 16)));
  }
}

void store_element(void* p, int d, Slot v) {
  switch (d) {
    case CTN_FLOAT16: write(p, half_bits(static_cast<float>(v.f))); return;
    case CTN_BFLOAT16: write(p, bfloat_bits(static_cast<float>(v.f))); return;
    default: break;
  }
  const uint64_t bits = to_bits(v, static_cast<Type>(d));
  switch (dtype_bytes(d)) {
    case 1: write(p, static_cast<uint8_t>(bits)); return;
    case 2: write(p, static_cast<uint16_t>(bits)); return;
    case 4: write(p, static_cast<uint32_t>(bits)); return;
    default: write(p, bits); return;
  }
}

Slot from_bits(uint64_t bits, Type t) {
  if (t == CTN_BOOL8) return slot_i((bits & 0xff) != 0);
  if (t == CTN_FLOAT64) return slot_f(std::bit_cast<double>(bits));
  if (t == CTN_FLOAT32) {
    return slot_f(static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(bits))));
  }
  return wrap(bits, t);
}

uint64_t to_bits(Slot v, Type t) {
  if (t == CTN_FLOAT64) return std::bit_cast<uint64_t>(v.f);
  if (t == CTN_FLOAT32) return std::bit_cast<uint32_t>(static_cast<float>(v.f));
  const int shift = 64 - 8 * dtype_bytes(t);
  return v.u << shift >> shift;
}

double digamma(double x) {
  if (x == 0) return std::copysign(std::numeric_limits<double>::infinity(), -x);
  if (x < 0 && (std::isinf(x) || x == std::floor(x))) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  // Reflection, with the argument of tan reduced first: psi(x) = psi(1 - x) - pi / tan(pi x).
  if (x < 0)
    return digamma(1 - x) - std::numbers::pi / std::tan(std::numbers::pi * (x - std::floor(x)));
  double shifted = 0;
  for (; x < 10; x += 1) shifted -= 1 / x;
  // Asymptotic series with Bernoulli numbers; at x >= 10 the next term is below 1e-17.
  const double z = 1 / (x * x);
  const double series =
      z * (1.0 / 12 - z * (1.0 / 120 -
                           z * (1.0 / 252 -
                                z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z / 12))))));
  return shifted + std::log(x) - 0.5 / x - series;
}

}  // namespace catena::expr
