// Typing rules of the language: makes the nodes of each operator, converting operands as C would
// and keeping literals weak. Knows no grammar.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <span>
#include <string>

#include "core/expr/graph.h"
#include "core/expr/lex.h"

namespace catena::expr {

class Builder {
 public:
  Builder(TypePool& types, Graph& graph, const Text& text)
      : types_(types), g_(graph), text_(text) {}

  int literal(const Token& number);
  int real(double v) { return g_.constant(kWeakFloat, v); }
  int boolean(bool v) { return g_.constant(CTN_BOOL8, kWeakInt, slot_i(v)); }

  // `at` is where a message points. Operators that C writes as signs; op may be generic.
  int arithmetic(size_t at, int op, int a, int b);
  int comparison(int op, int a, int b);
  int bitwise(size_t at, int op, int a, int b);
  int shift(size_t at, int op, int a, int b);
  int negate(int a);
  int logical_not(int a) { return g_.unary(CTN_X_NOT, CTN_BOOL8, truth(a)); }
  int complement(size_t at, int a);
  int select(int cond, int a, int b);
  int call(size_t at, const Function& f, std::span<const int> args);
  int raw(size_t at, int arg, Type type, int index);

  int truth(int v);             // as a condition
  int convert(int v, Type to);  // a cast, or an assignment
  int settle(int v);            // weak values become int64 and float64
  Type type(int v) const { return g_.type(v); }

 private:
  int convert_weak(int v, Type to);
  void need_integers(size_t at, Type t);

  TypePool& types_;
  Graph& g_;
  const Text& text_;
  int depth_ = 0;  // of convert_weak
};

}  // namespace catena::expr
