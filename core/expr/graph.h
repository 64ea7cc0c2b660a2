// A program in SSA form, generic or typed: nodes are shared (common subexpressions) and simplified
// as they are made. Knows no text and no gradient.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "core/expr/ops.h"
#include "core/expr/scalar.h"
#include "core/expr/types.h"

namespace catena::expr {

struct Node {
  uint16_t op = 0;
  Type type = 0;
  // Values, or as plugin.h says of sources. CONST: a is the type (fixed or weak) that imm is held
  // in, which `type` differs from while that is symbolic.
  int32_t a = 0, b = 0, c = 0;
  Slot imm = {.u = 0};
};

// The j-th value operand of a node; j < op_info(op).operands.
int32_t& operand(Node& n, int j);
inline int32_t operand(const Node& n, int j) { return operand(const_cast<Node&>(n), j); }

struct Effect {
  int32_t target;  // argument stored to, or accumulator yielded
  int32_t value;
};

class Graph {
 public:
  static constexpr int kMaxNodes = 4 * CTN_FORM_MAX_INSTS;  // before dead ones are dropped

  int size() const { return static_cast<int>(nodes_.size()); }
  const Node& at(int v) const { return nodes_[static_cast<size_t>(v)]; }
  Type type(int v) const { return at(v).type; }

  // The value of this node: an earlier equal one, a simpler one, or a new one. Operands must have
  // the types the opcode asks for. Throws CTN_EINVAL at kMaxNodes.
  int emit(const Node& node);
  int unary(int op, Type type, int a) { return emit({static_cast<uint16_t>(op), type, a}); }
  int binary(int op, Type type, int a, int b) {
    return emit({static_cast<uint16_t>(op), type, a, b});
  }
  int select(int cond, int a, int b) { return emit({CTN_X_SELECT, type(a), cond, a, b}); }
  // `imm` of type `held`, as a value of `type`, which may be symbolic.
  int constant(Type type, Type held, Slot imm);
  int constant(Type type, double v) { return constant(type, kWeakFloat, slot_f(v)); }
  // The value in another type; symbolic constants keep what they hold.
  int cast(int v, Type type);

  // Bit per value: used, directly or not, by an effect.
  std::vector<bool> live() const;

  std::vector<Effect> effects;

 private:
  struct Key {
    Node n;
    friend bool operator==(const Key& x, const Key& y) {
      return x.n.op == y.n.op && x.n.type == y.n.type && x.n.a == y.n.a && x.n.b == y.n.b &&
             x.n.c == y.n.c && x.n.imm.u == y.n.imm.u;  // bits: -0 is not 0, NaN is NaN
    }
  };
  struct Hash {
    size_t operator()(const Key& k) const;
  };

  // simplify.cc. An existing value that equals the node, or -1; may rewrite the node.
  int simplify(Node& n);
  int fold(const Node& n);
  int fold_whole(const Node& n);
  int simplify_select(Node& n);
  int simplify_cast(const Node& n);
  int simplify_sum(Node& n);
  int simplify_product(Node& n);
  int simplify_logic(const Node& n);
  int simplify_same(const Node& n);
  int simplify_unary(Node& n);
  bool is_const(int v) const { return at(v).op == CTN_X_CONST; }
  bool is_number(int v, double number) const;

  std::vector<Node> nodes_;
  std::unordered_map<Key, int, Hash> index_;
};

// Fixed and weak types as the type their constants are computed in.
constexpr Type computed(Type t) {
  return t == kWeakInt ? Type{CTN_INT64} : t == kWeakFloat ? Type{CTN_FLOAT64} : t;
}

}  // namespace catena::expr
