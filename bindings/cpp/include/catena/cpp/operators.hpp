// Arithmetic of variables, with variables of the same shape and dtype and with numbers. Whole
// numbers stay whole: they are exact for integer arrays of 64 bits. Integer arrays are not divided,
// and not combined with numbers that their dtype has not: that is a DtypeError, never a 0.
#pragma once

#include <catena/cpp/functions.hpp>

#include <concepts>

namespace catena::inline cpp {

template <class T>
concept Number = std::integral<T> || std::floating_point<T>;

namespace detail {

template <Number T>
Value number(T v) {
  if constexpr (std::integral<T>)
    return Value(static_cast<int64_t>(v));
  else
    return Value(static_cast<double>(v));
}
// -v, wrapping as the sums of integers do.
template <Number T>
Value negated(T v) {
  if constexpr (std::integral<T>)
    return Value(static_cast<int64_t>(0 - static_cast<uint64_t>(v)));
  else
    return Value(-static_cast<double>(v));
}

// A quotient of integers is in general none: the program says which dtype it wants.
inline void require_divisible(const Variable& a) {
  ctn_dltensor t{};
  check(ctn_variable_spec(a.get(), &t));
  if (t.dtype.code != CTN_DT_FLOAT && t.dtype.code != CTN_DT_BFLOAT)
    throw DtypeError(CTN_EDTYPE,
                     "operator/: the array is " + dtype_text(t.dtype) +
                         ", and integers are not divided; Array::astype gives a floating copy");
}

}  // namespace detail

inline Variable operator+(Input a, Input b) { return F::add2(std::move(a), std::move(b)); }
inline Variable operator-(Input a, Input b) { return F::sub(std::move(a), std::move(b)); }
inline Variable operator*(Input a, Input b) { return F::mul(std::move(a), std::move(b)); }
inline Variable operator/(Input a, Input b) { return F::div(std::move(a), std::move(b)); }
inline Variable operator-(Input a) { return F::neg(std::move(a)); }

Variable operator+(const Variable& a, Number auto b) {
  return F::add_constant(a, detail::number(b));
}
Variable operator+(Number auto a, const Variable& b) {
  return F::add_constant(b, detail::number(a));
}
Variable operator-(const Variable& a, Number auto b) {
  return F::add_constant(a, detail::negated(b));
}
Variable operator-(Number auto a, const Variable& b) {
  return F::sub_from_constant(b, detail::number(a));
}
Variable operator*(const Variable& a, Number auto b) {
  return F::mul_constant(a, detail::number(b));
}
Variable operator*(Number auto a, const Variable& b) {
  return F::mul_constant(b, detail::number(a));
}
Variable operator/(const Variable& a, Number auto b) {
  detail::require_divisible(a);
  return F::mul_constant(a, 1 / static_cast<double>(b));
}
Variable operator/(Number auto a, const Variable& b) {
  return F::div_from_constant(b, static_cast<double>(a));
}

}  // namespace catena::inline cpp
