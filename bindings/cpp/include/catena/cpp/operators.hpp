// Arithmetic of variables, with variables of the same shape and dtype and with numbers.
#pragma once

#include <catena/cpp/functions.hpp>

namespace catena::inline cpp {

inline Variable operator+(const Variable& a, const Variable& b) { return F::add2(a, b); }
inline Variable operator-(const Variable& a, const Variable& b) { return F::sub(a, b); }
inline Variable operator*(const Variable& a, const Variable& b) { return F::mul(a, b); }
inline Variable operator/(const Variable& a, const Variable& b) { return F::div(a, b); }
inline Variable operator-(const Variable& a) { return F::neg(a); }
inline Variable operator+(const Variable& a, double b) { return F::add_constant(a, b); }
inline Variable operator+(double a, const Variable& b) { return F::add_constant(b, a); }
inline Variable operator-(const Variable& a, double b) { return F::add_constant(a, -b); }
inline Variable operator-(double a, const Variable& b) { return F::sub_from_constant(b, a); }
inline Variable operator*(const Variable& a, double b) { return F::mul_constant(a, b); }
inline Variable operator*(double a, const Variable& b) { return F::mul_constant(b, a); }
inline Variable operator/(const Variable& a, double b) { return F::mul_constant(a, 1 / b); }
inline Variable operator/(double a, const Variable& b) { return F::div_from_constant(b, a); }

}  // namespace catena::inline cpp
