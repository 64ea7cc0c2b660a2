// Types of expression values. Fixed types are the numbers CTN_BOOL8 ... CTN_FLOAT64; a generic row
// also has symbolic ones, made of its type variables, which specialising resolves. Knows no
// instruction.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace catena::expr {

// A fixed type, a weak one, or the index of a symbolic one in a TypePool.
using Type = uint16_t;
inline constexpr Type kWeakInt = 12;    // of integer literals: follows the other operand
inline constexpr Type kWeakFloat = 13;  // of floating literals
inline constexpr Type kFirstSymbolic = 16;
inline constexpr Type kUnbound = 0xffff;  // resolve(): made of variables that nothing binds

constexpr bool is_fixed(Type t) { return t < kWeakInt; }
constexpr bool is_weak(Type t) { return t == kWeakInt || t == kWeakFloat; }
constexpr bool is_float(Type t) { return t == CTN_FLOAT32 || t == CTN_FLOAT64; }
constexpr bool is_signed(Type t) { return t >= CTN_INT8 && t <= CTN_INT64; }
constexpr bool is_unsigned(Type t) { return t >= CTN_UINT8 && t <= CTN_UINT64; }
constexpr bool is_integer(Type t) { return t >= CTN_INT8 && t <= CTN_UINT64; }

// Bytes of an element of dtype d.
constexpr int dtype_bytes(int d) {
  constexpr uint8_t bytes[CTN_DTYPE_COUNT] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8, 2};
  return bytes[d];
}
// "float32"; "?" for a number that is none.
const char* type_name(int dtype);
// Type of the value that ARG makes of an element: the 16-bit floats widen.
constexpr Type value_type(int dtype) {
  return dtype == CTN_FLOAT16 || dtype == CTN_BFLOAT16 ? Type{CTN_FLOAT32}
                                                       : static_cast<Type>(dtype);
}
// The dtype of one of our names or of a C type spelled in one word; -1 if it is neither.
int dtype_named(std::string_view name);

// Fixed types only. Mixed operands meet in: bool < integers by width, the unsigned one of equal
// widths < float32 < float64.
Type promote_fixed(Type a, Type b);
constexpr Type arith_fixed(Type t) { return t == CTN_BOOL8 ? Type{CTN_INT32} : t; }
constexpr Type float_fixed(Type t) { return is_float(t) ? t : Type{CTN_FLOAT64}; }
// Every value of `from` is one of `to`.
bool is_exact(Type from, Type to);

// Hash-consed symbolic types; a child always has a lower number than its parent.
class TypePool {
 public:
  Type variable(std::string_view name);            // value type of a type variable
  int find_variable(std::string_view name) const;  // its index or -1
  Type scalar(int index);  // type of a scalar parameter without a type of its own
  Type arith(Type t);      // of + - * ...: bool becomes int32
  Type floating(Type t);   // of sqrt ...: what is not floating becomes float64
  Type promote(Type a, Type b);

  const std::vector<std::string>& variables() const { return variables_; }
  // `t` without arith() and floating(): two types that agree in this are equal when floating.
  Type base(Type t) const;
  // `wide` is a promotion of everything `t` is made of; one more promotion would not change it.
  bool covers(Type wide, Type t) const;
  // False where the type is an integer or bool whatever the variables are.
  bool may_float(Type t) const { return !is_fixed(t) || is_float(t); }

  // The fixed type of every symbolic type, indexed by t - kFirstSymbolic. `vars`: value types, or
  // kUnbound, which promotion ignores. Types made of nothing bound stay kUnbound.
  std::vector<Type> resolve(std::span<const Type> vars, std::span<const Type> scalars) const;
  std::string name(Type t) const;

 private:
  enum class Kind : uint8_t { kVariable, kScalar, kArith, kFloat, kPromote };
  struct Item {
    Kind kind;
    Type a, b;
    friend bool operator==(const Item&, const Item&) = default;
  };
  struct Parts {
    std::vector<Type> leaves;
    int level = 0;  // 1: arith() somewhere in it, 2: floating()
  };
  void collect(Type t, Parts& parts) const;
  Type intern(Item item);
  const Item& at(Type t) const { return items_[static_cast<size_t>(t - kFirstSymbolic)]; }
  bool is(Type t, Kind kind) const { return t >= kFirstSymbolic && at(t).kind == kind; }

  std::vector<Item> items_;
  std::vector<std::string> variables_;
};

}  // namespace catena::expr
