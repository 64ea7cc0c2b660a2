// Arithmetic on sizes that may come from a file or a caller: it either fits or throws. Every
// product of dimensions and every size computation of the core goes through here.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <utility>

#include "catena/types.h"
#include "core/error.h"

namespace catena {

template <class T>
concept CheckedInt = std::same_as<T, int64_t> || std::same_as<T, uint64_t>;

// Out of line so that the checks themselves inline to an add and a jump.
template <CheckedInt T>
[[noreturn, gnu::cold, gnu::noinline]] void fail_overflow(T a, const char* op, T b,
                                                          const char* what, ctn_status code) {
  fail(code, std::string(what) + ": " + std::to_string(a) + op + std::to_string(b) +
                 " does not fit 64 bits");
}

// Both operands have the same type on purpose: a mixed call would hide a conversion. `what` names
// the quantity in the error, `code` is CTN_EFORMAT where the numbers come from a file.
template <CheckedInt T>
constexpr T checked_add(T a, T b, const char* what = "size", ctn_status code = CTN_EINVAL) {
  T sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) fail_overflow(a, " + ", b, what, code);
  return sum;
}

template <CheckedInt T>
constexpr T checked_sub(T a, T b, const char* what = "size", ctn_status code = CTN_EINVAL) {
  T difference = 0;
  if (__builtin_sub_overflow(a, b, &difference)) fail_overflow(a, " - ", b, what, code);
  return difference;
}

template <CheckedInt T>
constexpr T checked_mul(T a, T b, const char* what = "size", ctn_status code = CTN_EINVAL) {
  T product = 0;
  if (__builtin_mul_overflow(a, b, &product)) fail_overflow(a, " * ", b, what, code);
  return product;
}

// The value in another integer type, or an error.
template <std::integral To, std::integral From>
constexpr To checked_cast(From value, const char* what = "size", ctn_status code = CTN_EINVAL) {
  if (!std::in_range<To>(value)) {
    fail(code, std::string(what) + ": " + std::to_string(value) + " is out of range");
  }
  return static_cast<To>(value);
}

}  // namespace catena
