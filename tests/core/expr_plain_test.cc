// The plain executor against C++'s own arithmetic: every opcode, every type, conversions of the
// 16-bit floats, strides, and reductions over any dimensions.
#include <main.h>

#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "expr_support.h"

using namespace catena_test;

namespace {

// Calls f with a value of the C++ type of a fixed type.
template <class F>
void with_type(int t, const F& f) {
  switch (t) {
    case CTN_BOOL8: return f(bool());
    case CTN_INT8: return f(int8_t());
    case CTN_INT16: return f(int16_t());
    case CTN_INT32: return f(int32_t());
    case CTN_INT64: return f(int64_t());
    case CTN_UINT8: return f(uint8_t());
    case CTN_UINT16: return f(uint16_t());
    case CTN_UINT32: return f(uint32_t());
    case CTN_UINT64: return f(uint64_t());
    case CTN_FLOAT32: return f(float());
    default: return f(double());
  }
}
constexpr int kTypes[] = {CTN_BOOL8,  CTN_INT8,   CTN_INT16,  CTN_INT32,   CTN_INT64,  CTN_UINT8,
                          CTN_UINT16, CTN_UINT32, CTN_UINT64, CTN_FLOAT32, CTN_FLOAT64};

template <class T>
Array array_of(int dtype, const std::vector<T>& values) {
  Array a(dtype, std::vector<double>(values.size()));
  for (size_t k = 0; k < values.size(); ++k) {
    const T v = values[k];
    std::memcpy(a.bytes.data() + k * sizeof(T), &v, sizeof(T));
  }
  return a;
}
template <class T>
T element(const Array& a, size_t k) {
  T v;
  std::memcpy(&v, a.bytes.data() + k * sizeof(T), sizeof(T));
  return v;
}

// Small values, the ends of the type, and for floats what is special.
template <class T>
std::vector<T> samples() {
  using L = std::numeric_limits<T>;
  if constexpr (std::is_same_v<T, bool>) {
    return {false, true};
  } else if constexpr (std::is_integral_v<T>) {
    std::vector<T> v = {0, 1, 2, 3, 7, 100, L::max(), static_cast<T>(L::max() - 1), L::min()};
    for (const int k : {-1, -2, -5, -100}) v.push_back(static_cast<T>(k));
    return v;
  } else {
    return {0,
            -T(0),
            1,
            -1,
            T(0.5),
            T(2.5),
            T(-3.7),
            T(100.25),
            T(1e-30),
            T(-1e30),
            L::infinity(),
            -L::infinity(),
            L::quiet_NaN(),
            L::min(),
            L::max(),
            L::denorm_min()};
  }
}

// z = op(x, y), or op(x), in one type.
std::shared_ptr<const Form> one_op(int op, int type, int result, int operands) {
  const ctn_form_arg args[] = {{static_cast<uint8_t>(type), CTN_ROLE_IN, 0},
                               {static_cast<uint8_t>(type), CTN_ROLE_IN, 0},
                               {static_cast<uint8_t>(result), CTN_ROLE_OUT, 0}};
  const auto t = static_cast<uint8_t>(type), r = static_cast<uint8_t>(result);
  const ctn_inst insts[] = {{CTN_X_ARG, t, 0, 0, 0, 0, {0}},
                            {CTN_X_ARG, t, 0, 1, 0, 0, {0}},
                            {static_cast<uint16_t>(op), r, 0, 0, operands > 1 ? 1 : 0, 0, {0}},
                            {CTN_X_STORE, r, 0, 2, 2, 0, {0}}};
  ctn_form form{};
  form.size = sizeof form;
  form.version = CTN_FORM_VERSION;
  form.n_args = 3;
  form.args = args;
  form.map = {insts, 4, 0};
  return Form::make(form);
}

// Runs op on every pair of samples and hands (x, y, result) to check.
template <class T, class R, class F>
void each_pair(int op, int type, int result, int operands, const F& check) {
  std::vector<T> x, y;
  for (const T a : samples<T>()) {
    for (const T b : samples<T>()) {
      x.push_back(a);
      y.push_back(b);
    }
  }
  std::vector<Array> args = {array_of(type, x), array_of(type, y),
                             array_of(result, std::vector<R>(x.size()))};
  run_form(one_op(op, type, result, operands)->c(), args, {}, static_cast<int64_t>(x.size()));
  for (size_t k = 0; k < x.size(); ++k) check(x[k], y[k], element<R>(args[2], k));
}

template <class T>
bool equal_bits(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
  }
  return a == b;
}
// Equal up to a few units in the last place.
template <class T>
bool near(T a, T b) {
  if (equal_bits(a, b) || a == b) return true;
  return std::abs(a - b) <= 4 * std::numeric_limits<T>::epsilon() * std::abs(b);
}

template <class T, class F>
void check_binary(int op, int type, const F& expected) {
  each_pair<T, T>(op, type, type, 2, [&](T x, T y, T got) {
    CHECK_MESSAGE(equal_bits(got, static_cast<T>(expected(x, y))), "op ", op, " of type ", type,
                  ": ", +x, ", ", +y);
  });
}
template <class T, class F>
void check_unary(int op, int type, const F& expected) {
  each_pair<T, T>(op, type, type, 1, [&](T x, T, T got) {
    CHECK_MESSAGE(equal_bits(got, static_cast<T>(expected(x))), "op ", op, " of type ", type, ": ",
                  +x);
  });
}
template <class T, class F>
void check_test(int op, int type, int operands, const F& expected) {
  each_pair<T, bool>(op, type, CTN_BOOL8, operands, [&](T x, T y, bool got) {
    CHECK_MESSAGE(got == expected(x, y), "op ", op, " of type ", type, ": ", +x, ", ", +y);
  });
}

template <class T>
void check_integer_type(int t) {
  using U = std::make_unsigned_t<T>;
  using W = uint64_t;  // where nothing overflows before the cast back
  constexpr bool kSigned = std::is_signed_v<T>;
  const auto minus_one = [](T y) { return kSigned && y == static_cast<T>(-1); };
  check_binary<T>(CTN_X_ADD, t, [](T x, T y) { return static_cast<W>(x) + static_cast<W>(y); });
  check_binary<T>(CTN_X_SUB, t, [](T x, T y) { return static_cast<W>(x) - static_cast<W>(y); });
  check_binary<T>(CTN_X_MUL, t, [](T x, T y) { return static_cast<W>(x) * static_cast<W>(y); });
  const auto tdiv = [&](T x, T y) -> T {
    if (y == 0) return 0;
    return minus_one(y) ? static_cast<T>(0 - static_cast<W>(x)) : static_cast<T>(x / y);
  };
  const auto tmod = [&](T x, T y) -> T {
    return y == 0 || minus_one(y) ? T(0) : static_cast<T>(x % y);
  };
  const auto off = [&](T x, T y) { return tmod(x, y) != 0 && (tmod(x, y) < 0) != (y < 0); };
  check_binary<T>(CTN_X_TDIV, t, tdiv);
  check_binary<T>(CTN_X_TMOD, t, tmod);
  check_binary<T>(CTN_X_FDIV, t, [&](T x, T y) { return tdiv(x, y) - (off(x, y) ? 1 : 0); });
  check_binary<T>(CTN_X_FMOD, t, [&](T x, T y) { return tmod(x, y) + (off(x, y) ? y : T(0)); });
  check_unary<T>(CTN_X_NEG, t, [](T x) { return 0 - static_cast<W>(x); });
  check_unary<T>(CTN_X_ABS, t,
                 [](T x) { return x < 0 ? 0 - static_cast<W>(x) : static_cast<W>(x); });
  check_unary<T>(CTN_X_SIGN, t, [](T x) { return (x > 0) - (x < 0); });
  check_binary<T>(CTN_X_MIN, t, [](T x, T y) { return std::min(x, y); });
  check_binary<T>(CTN_X_MAX, t, [](T x, T y) { return std::max(x, y); });
  check_binary<T>(CTN_X_POW, t, [&](T x, T y) -> W {
    if (kSigned && y < 0) return x == 1 ? 1 : minus_one(x) ? (y % 2 == 0 ? 1 : ~W(0)) : 0;
    // Bit by bit from the top: another order than the executor's.
    W r = 1;
    for (int k = 63; k >= 0; --k)
      r = r * r * ((static_cast<W>(y) >> k & 1) != 0 ? static_cast<W>(x) : 1);
    return r;
  });
  check_binary<T>(CTN_X_AND, t, [](T x, T y) { return x & y; });
  check_binary<T>(CTN_X_OR, t, [](T x, T y) { return x | y; });
  check_binary<T>(CTN_X_XOR, t, [](T x, T y) { return x ^ y; });
  check_unary<T>(CTN_X_NOT, t, [](T x) { return ~x; });
  constexpr int kBits = 8 * sizeof(T);
  const auto count = [](T y) { return static_cast<int>(static_cast<U>(y) % kBits); };
  check_binary<T>(CTN_X_SHL, t, [&](T x, T y) { return static_cast<W>(x) << count(y); });
  check_binary<T>(CTN_X_SHR, t, [&](T x, T y) { return x >> count(y); });
}

template <class T>
void check_comparisons(int t) {
  check_test<T>(CTN_X_EQ, t, 2, [](T x, T y) { return x == y; });
  check_test<T>(CTN_X_NE, t, 2, [](T x, T y) { return x != y; });
  check_test<T>(CTN_X_LT, t, 2, [](T x, T y) { return x < y; });
  check_test<T>(CTN_X_LE, t, 2, [](T x, T y) { return x <= y; });
}

template <class T>
void check_float_type(int t) {
  constexpr T kNan = std::numeric_limits<T>::quiet_NaN();
  check_binary<T>(CTN_X_ADD, t, [](T x, T y) { return x + y; });
  check_binary<T>(CTN_X_SUB, t, [](T x, T y) { return x - y; });
  check_binary<T>(CTN_X_MUL, t, [](T x, T y) { return x * y; });
  check_binary<T>(CTN_X_DIV, t, [](T x, T y) { return x / y; });
  check_binary<T>(CTN_X_TMOD, t, [](T x, T y) { return std::fmod(x, y); });
  check_unary<T>(CTN_X_NEG, t, [](T x) { return -x; });
  check_unary<T>(CTN_X_ABS, t, [](T x) { return std::abs(x); });
  check_unary<T>(CTN_X_SIGN, t, [](T x) { return std::isnan(x) ? x : T((x > 0) - (x < 0)); });
  check_unary<T>(CTN_X_SQRT, t, [](T x) { return std::sqrt(x); });
  check_unary<T>(CTN_X_FLOOR, t, [](T x) { return std::floor(x); });
  check_unary<T>(CTN_X_CEIL, t, [](T x) { return std::ceil(x); });
  check_unary<T>(CTN_X_TRUNC, t, [](T x) { return std::trunc(x); });
  check_unary<T>(CTN_X_RINT, t, [](T x) { return std::nearbyint(x); });
  each_pair<T, T>(CTN_X_MIN, t, t, 2, [&](T x, T y, T got) {
    const bool nan = std::isnan(x) || std::isnan(y);
    CHECK((nan ? std::isnan(got) : got == std::min(x, y)));
  });
  each_pair<T, T>(CTN_X_MAX, t, t, 2, [&](T x, T y, T got) {
    const bool nan = std::isnan(x) || std::isnan(y);
    CHECK((nan ? std::isnan(got) : got == std::max(x, y)));
  });
  each_pair<T, T>(CTN_X_FMOD, t, t, 2, [&](T x, T y, T got) {
    if (std::isnan(x) || std::isnan(y) || std::isinf(x) || y == 0) {
      CHECK(std::isnan(got));
    } else {
      // The sign of y, and between 0 and y: or y itself, where x is too small to be told from 0.
      CHECK(std::signbit(got) == std::signbit(y));
      CHECK(std::abs(got) <= std::abs(y));
      CHECK((got == std::fmod(x, y) || got == std::fmod(x, y) + y));
    }
  });
  check_test<T>(CTN_X_ISNAN, t, 1, [](T x, T) { return std::isnan(x); });
  check_test<T>(CTN_X_ISINF, t, 1, [](T x, T) { return std::isinf(x); });
  check_test<T>(CTN_X_ISFINITE, t, 1, [](T x, T) { return std::isfinite(x); });

  struct Unary {
    int op;
    T (*f)(T);
  };
  const Unary functions[] = {
      {CTN_X_RSQRT, [](T x) { return 1 / std::sqrt(x); }},
      {CTN_X_EXP, [](T x) { return std::exp(x); }},
      {CTN_X_EXPM1, [](T x) { return std::expm1(x); }},
      {CTN_X_EXP2, [](T x) { return std::exp2(x); }},
      {CTN_X_LOG, [](T x) { return std::log(x); }},
      {CTN_X_LOG1P, [](T x) { return std::log1p(x); }},
      {CTN_X_LOG2, [](T x) { return std::log2(x); }},
      {CTN_X_LOG10, [](T x) { return std::log10(x); }},
      {CTN_X_SIN, [](T x) { return std::sin(x); }},
      {CTN_X_COS, [](T x) { return std::cos(x); }},
      {CTN_X_TAN, [](T x) { return std::tan(x); }},
      {CTN_X_ASIN, [](T x) { return std::asin(x); }},
      {CTN_X_ACOS, [](T x) { return std::acos(x); }},
      {CTN_X_ATAN, [](T x) { return std::atan(x); }},
      {CTN_X_SINH, [](T x) { return std::sinh(x); }},
      {CTN_X_COSH, [](T x) { return std::cosh(x); }},
      {CTN_X_TANH, [](T x) { return std::tanh(x); }},
      {CTN_X_ERF, [](T x) { return std::erf(x); }},
      {CTN_X_ERFC, [](T x) { return std::erfc(x); }},
      {CTN_X_LGAMMA, [](T x) { return std::lgamma(x); }},
      {CTN_X_SIGMOID,
       [](T x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }},
  };
  for (const Unary& u : functions) {
    each_pair<T, T>(u.op, t, t, 1, [&](T x, T, T got) {
      CHECK_MESSAGE(near(got, u.f(x)), "op ", u.op, " of type ", t, " at ", x, ": ", got, ", not ",
                    u.f(x));
    });
  }
  each_pair<T, T>(CTN_X_POW, t, t, 2, [](T x, T y, T got) { CHECK(near(got, std::pow(x, y))); });
  each_pair<T, T>(CTN_X_ATAN2, t, t, 2,
                  [](T x, T y, T got) { CHECK(near(got, std::atan2(x, y))); });
  CHECK(std::isnan(kNan));
}

// A conversion as plugin.h states it.
template <class From, class To>
To converted(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    const auto whole = static_cast<long double>(std::trunc(x));
    if (std::isnan(x)) return 0;
    if (whole < static_cast<long double>(std::numeric_limits<To>::min()))
      return std::numeric_limits<To>::min();
    if (whole > static_cast<long double>(std::numeric_limits<To>::max()))
      return std::numeric_limits<To>::max();
    return static_cast<To>(whole);
  } else {
    return static_cast<To>(x);
  }
}

double half(uint32_t bits) {
  const auto h = static_cast<uint16_t>(bits);
  return load_element(&h, CTN_FLOAT16).f;
}
uint16_t to_half(double v) {
  uint16_t h = 0;
  store_element(&h, CTN_FLOAT16, slot_f(v));
  return h;
}
uint16_t to_bfloat(double v) {
  uint16_t h = 0;
  store_element(&h, CTN_BFLOAT16, slot_f(v));
  return h;
}

}  // namespace

TEST_CASE("expr: every integer operation of every integer type") {
  for (const int t : kTypes) {
    with_type(t, [&](auto v) {
      using T = decltype(v);
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) check_integer_type<T>(t);
    });
  }
}

TEST_CASE("expr: comparisons of every type, logic of bool") {
  for (const int t : kTypes) {
    with_type(t, [&](auto v) { check_comparisons<decltype(v)>(t); });
  }
  check_binary<bool>(CTN_X_AND, CTN_BOOL8, [](bool x, bool y) { return x && y; });
  check_binary<bool>(CTN_X_OR, CTN_BOOL8, [](bool x, bool y) { return x || y; });
  check_binary<bool>(CTN_X_XOR, CTN_BOOL8, [](bool x, bool y) { return x != y; });
  check_unary<bool>(CTN_X_NOT, CTN_BOOL8, [](bool x) { return !x; });
}

TEST_CASE("expr: every floating operation of both floating types") {
  check_float_type<float>(CTN_FLOAT32);
  check_float_type<double>(CTN_FLOAT64);
}

TEST_CASE("expr: digamma") {
  const double euler = 0.57721566490153286061;
  CHECK(digamma(1) == doctest::Approx(-euler).epsilon(1e-15));
  CHECK(digamma(0.5) == doctest::Approx(-euler - 2 * std::log(2.0)).epsilon(1e-15));
  CHECK(digamma(100) == doctest::Approx(4.6001618527380874002).epsilon(1e-15));
  CHECK(digamma(-0.5) == doctest::Approx(0.03648997397857652056).epsilon(1e-13));
  CHECK(digamma(1e-3) == doctest::Approx(-1000.5755719318103).epsilon(1e-15));
  CHECK(std::isnan(digamma(-2)));
  CHECK(digamma(0.0) == -std::numeric_limits<double>::infinity());
  CHECK(digamma(-0.0) == std::numeric_limits<double>::infinity());
  CHECK(std::isnan(digamma(-std::numeric_limits<double>::infinity())));
  for (double x = -5.3; x < 12; x += 0.37) {
    CHECK(digamma(x + 1) - digamma(x) == doctest::Approx(1 / x).epsilon(1e-12));
  }
}

TEST_CASE("expr: conversions between all types") {
  for (const int from : kTypes) {
    for (const int to : kTypes) {
      with_type(from, [&](auto f) {
        with_type(to, [&](auto r) {
          using From = decltype(f);
          using To = decltype(r);
          each_pair<From, To>(CTN_X_CAST, from, to, 1, [&](From x, From, To got) {
            CHECK_MESSAGE(equal_bits(got, converted<From, To>(x)), from, " to ", to, ": ", +x);
          });
        });
      });
    }
  }
}

TEST_CASE("expr: float16 and bfloat16 round to nearest even") {
  for (uint32_t h = 0; h < 65536; ++h) {
    const bool nan = (h & 0x7c00) == 0x7c00 && (h & 0x3ff) != 0;
    if (nan) {
      CHECK(std::isnan(half(h)));
    } else if (to_half(half(h)) != h) {
      FAIL("float16 ", h, " does not come back");
    }
    const auto word = static_cast<uint16_t>(h);
    const double b = load_element(&word, CTN_BFLOAT16).f;
    if (!std::isnan(b) && to_bfloat(b) != h) FAIL("bfloat16 ", h, " does not come back");
  }
  // Between neighbours: the middle goes to the even one, anything beside it to the nearer.
  for (uint32_t h = 0; h < 0x7bff; ++h) {
    const double middle = (half(h) + half(h + 1)) / 2;
    const uint32_t even = h % 2 == 0 ? h : h + 1;
    const bool ok =
        to_half(middle) == even &&
        to_half(static_cast<double>(std::nextafter(static_cast<float>(middle), 0.0f))) == h &&
        to_half(static_cast<double>(std::nextafter(static_cast<float>(middle), 1e9f))) == h + 1;
    if (!ok) FAIL("float16 ", h, " and the next round wrongly between them");
  }
  CHECK(half(1) == std::ldexp(1.0, -24));
  CHECK(half(0x3c01) == 1 + std::ldexp(1.0, -10));
  CHECK(to_half(65519.99) == 0x7bff);
  CHECK(to_half(65520) == 0x7c00);
  CHECK(to_half(-1e30) == 0xfc00);
  CHECK(to_half(1e-30) == 0);
  CHECK(to_half(-0.0) == 0x8000);
  CHECK(to_bfloat(1 + std::ldexp(1.0, -8)) == 0x3f80);
  CHECK(to_bfloat(1 + 3 * std::ldexp(1.0, -8)) == 0x3f82);
  CHECK(to_bfloat(3.4e38) == 0x7f80);
  CHECK((to_bfloat(std::numeric_limits<double>::quiet_NaN()) & 0x7fff) > 0x7f80);
}

TEST_CASE("expr: strides, broadcasting and reductions over inner and outer dimensions") {
  // x[2][3] transposed by strides, plus w broadcast along the first dimension.
  const auto add = row_of(Texts{.in = "T x, T w", .map = "y = x * 10 + w + i * 0.25"});
  const auto form = add->specialize(std::vector<uint8_t>{CTN_FLOAT32, CTN_FLOAT32, CTN_FLOAT32});
  Array x(CTN_FLOAT32, {1, 2, 3, 4, 5, 6}), w(CTN_FLOAT32, {7, 8}),
      y(CTN_FLOAT32, {0, 0, 0, 0, 0, 0});
  int64_t shape[] = {3, 2};
  int64_t strides[] = {4, 12, 0, 4, -8, -4};
  void* data[] = {x.bytes.data(), w.bytes.data(), y.bytes.data() + 20};
  int64_t counts[] = {0, 0, 0};
  ctn_launch launch{};
  launch.size = sizeof launch;
  launch.ndim = 2;
  launch.shape = shape;
  launch.data = data;
  launch.strides = strides;
  launch.counts = counts;
  run_plain(form->c(), launch);
  CHECK(y.values() == std::vector<double>{69.25, 38, 58.75, 27.5, 48.25, 17});

  // The same array summed over its first dimension: that dimension comes last.
  const auto sum = row_of(Texts{.map = "x + 100 * i", .reduce = "a + b"});
  const auto reduce = sum->specialize(std::vector<uint8_t>{CTN_FLOAT32, CTN_FLOAT32});
  Array s(CTN_FLOAT32, {0, 0, 0});
  int64_t over[] = {4, 12, 4, 0};
  void* two[] = {x.bytes.data(), s.bytes.data()};
  launch.n_reduced = 1;
  launch.data = two;
  launch.strides = over;
  run_plain(reduce->c(), launch);
  CHECK(s.values() == std::vector<double>{105, 507, 909});

  // No dimension at all: one element.
  launch.ndim = 0;
  launch.n_reduced = 0;
  run_plain(row_of("y = x + n")->specialize(std::vector<uint8_t>{CTN_FLOAT32, CTN_FLOAT32})->c(),
            launch);
  CHECK(s.at(0) == 2);
}
