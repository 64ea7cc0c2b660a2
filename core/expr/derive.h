// One reverse pass over one program, writing the gradient into a graph that several passes may
// share. Knows no rows; row_gradient.cc puts the passes of a row together.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <vector>

#include "core/error.h"
#include "core/expr/graph.h"

namespace catena::expr {

// Call in the order of the members: replace() as wanted, copy_forward(), find_active(), seed() with
// the gradients of what the program makes, run(), adjoint().
class Deriver {
 public:
  Deriver(const Graph& forward, Graph& out, const TypePool& types);

  // Node v of the program is known to be `by` in the gradient's graph.
  void replace(int v, int by);
  // Copies what is live. count_scalar: the scalar that `n` becomes, or -1.
  void copy_forward(int32_t count_scalar);
  // Bit per node of the program: the variables to differentiate by.
  void find_active(const std::vector<bool>& leaves);
  void seed(int v, int contribution);
  void run();
  // What arrived at node v, -1 if nothing did.
  int adjoint(int v) const { return adjoint_[static_cast<size_t>(v)]; }

 private:
  static constexpr int kMaxHoist = 8;  // nested cases followed

  static bool is_flat(int op);
  int here(int v) const { return here_[static_cast<size_t>(v)]; }
  bool active(int v) const { return active_[static_cast<size_t>(v)]; }
  bool is_zero(int v) const;
  int zero(Type t);
  int number(Type t, double v) { return g_.constant(t, v); }
  int neg(int a) { return g_.unary(CTN_X_NEG, g_.type(a), a); }
  int mul(int a, int b) { return g_.binary(CTN_X_MUL, g_.type(a), a, b); }
  // Linear functions of a gradient.
  template <class F>
  int linear(int gy, Type result, const F& f, int depth);
  bool has_zero_case(int v, int depth) const;
  int scale(int gy, int factor);
  int over(int gy, int divisor);
  int minus(int gy);
  int gate(int gy, Type t);
  int sum(int x, int y, int depth);
  void back(const Node& n, int y, int gy);
  void back_remainder(const Node& n, int y, int gy);
  void back_kink(const Node& n, int gy);
  void back_pow(const Node& n, int y, int gy);
  void back_math(const Node& n, int y, int gy);

  const Graph& f_;
  Graph& g_;
  const TypePool& types_;
  std::vector<int> here_;     // node of the program -> value in the gradient's graph
  std::vector<bool> active_;  // depends on a variable
  std::vector<int> adjoint_;
};

}  // namespace catena::expr
