// The rewriting rules of Graph::emit. Every rule keeps each bit of the result for every input (NaN
// payloads apart): x * 0 stays, nothing is reassociated, and only what everyone rounds correctly is
// folded. Rules on symbolic types must hold for whatever type they become.
#include <cmath>
#include <limits>
#include <utility>

#include "core/expr/graph.h"

namespace catena::expr {

namespace {

// Transcendental functions of literals, in extended precision: the double they round to does not
// depend on which of libm's variants the processor selects, nor then does the hash of a form.
double fold_math(int op, double a, double b) {
  const long double x = a;
  switch (op) {
    case CTN_X_RSQRT: return static_cast<double>(1 / std::sqrt(x));
    case CTN_X_EXP: return static_cast<double>(std::exp(x));
    case CTN_X_EXPM1: return static_cast<double>(std::expm1(x));
    case CTN_X_EXP2: return static_cast<double>(std::exp2(x));
    case CTN_X_LOG: return static_cast<double>(std::log(x));
    case CTN_X_LOG1P: return static_cast<double>(std::log1p(x));
    case CTN_X_LOG2: return static_cast<double>(std::log2(x));
    case CTN_X_LOG10: return static_cast<double>(std::log10(x));
    case CTN_X_SIN: return static_cast<double>(std::sin(x));
    case CTN_X_COS: return static_cast<double>(std::cos(x));
    case CTN_X_TAN: return static_cast<double>(std::tan(x));
    case CTN_X_ASIN: return static_cast<double>(std::asin(x));
    case CTN_X_ACOS: return static_cast<double>(std::acos(x));
    case CTN_X_ATAN: return static_cast<double>(std::atan(x));
    case CTN_X_SINH: return static_cast<double>(std::sinh(x));
    case CTN_X_COSH: return static_cast<double>(std::cosh(x));
    case CTN_X_TANH: return static_cast<double>(std::tanh(x));
    case CTN_X_ERF: return static_cast<double>(std::erf(x));
    case CTN_X_ERFC: return static_cast<double>(std::erfc(x));
    case CTN_X_ATAN2: return static_cast<double>(std::atan2(x, static_cast<long double>(b)));
    case CTN_X_POW: return static_cast<double>(std::pow(x, static_cast<long double>(b)));
    default: return std::numeric_limits<double>::quiet_NaN();
  }
}

bool folds_in_extended(int op) {
  return (op >= CTN_X_RSQRT && op <= CTN_X_ERFC) || op == CTN_X_POW;
}

}  // namespace

// The constant has this value, in whatever type it becomes; only for numbers that every type holds.
bool Graph::is_number(int v, double number) const {
  const Node& n = at(v);
  if (n.op != CTN_X_CONST) return false;
  const Slot held = cast_value(n.imm, computed(static_cast<Type>(n.a)), CTN_FLOAT64);
  return held.u == slot_f(number).u;  // bits: 0 is not -0
}

// Sums and products of small whole numbers are the same in every type they may become.
int Graph::fold_whole(const Node& n) {
  if (n.op != CTN_X_ADD && n.op != CTN_X_SUB && n.op != CTN_X_MUL) return -1;
  double v[2] = {};
  for (int j = 0; j < 2; ++j) {
    const Node& c = at(operand(n, j));
    if (c.op != CTN_X_CONST) return -1;
    v[j] = cast_value(c.imm, computed(static_cast<Type>(c.a)), CTN_FLOAT64).f;
    if (v[j] == 0 || std::fabs(v[j]) > 1024 || v[j] != std::trunc(v[j])) return -1;
  }
  const double result = n.op == CTN_X_ADD   ? v[0] + v[1]
                        : n.op == CTN_X_SUB ? v[0] - v[1]
                                            : v[0] * v[1];
  return constant(n.type, kWeakInt, slot_i(static_cast<int64_t>(result)));
}

int Graph::fold(const Node& n) {
  const OpInfo& info = op_info(n.op);
  if (info.operands == 0 || n.op == CTN_X_RAW || n.op > CTN_X_END_) return -1;
  if (n.type >= kFirstSymbolic) return fold_whole(n);
  Slot s[3] = {};
  for (int j = 0; j < info.operands; ++j) {
    const Node& operand_node = at(operand(n, j));
    if (operand_node.op != CTN_X_CONST || operand_node.type != operand_node.a) return -1;
    s[j] = operand_node.imm;
  }
  const Type from = type(operand(n, info.operands - 1));
  if (n.op == CTN_X_CAST) return is_fixed(n.type) ? constant(n.type, from, s[0]) : -1;
  if (info.exact || (n.op == CTN_X_POW && !is_float(computed(from)))) {
    const Type result = info.gives_bool ? Type{CTN_BOOL8} : n.type;
    return constant(result, result, eval(n.op, computed(from), s[0], s[1], s[2]));
  }
  if (n.type == kWeakFloat && from == kWeakFloat && folds_in_extended(n.op)) {
    return constant(kWeakFloat, kWeakFloat, slot_f(fold_math(n.op, s[0].f, s[1].f)));
  }
  return -1;
}

int Graph::simplify(Node& n) {
  const Type t = computed(n.type);
  // What the generic opcodes are, once the type is known.
  if (is_fixed(t)) {
    if (n.op == kDivide) n.op = is_float(t) ? CTN_X_DIV : CTN_X_TDIV;
    if (n.op == kRemainder) n.op = CTN_X_TMOD;
    if (n.op == kGate && !is_float(t)) return constant(n.type, 0);
    if (n.op == kGate && is_fixed(type(n.a))) {
      if (!is_float(type(n.a))) return constant(n.type, 0);
      n.op = CTN_X_CAST;
    }
    if (t == CTN_BOOL8 && n.op == CTN_X_MIN) n.op = CTN_X_AND;
    if (t == CTN_BOOL8 && n.op == CTN_X_MAX) n.op = CTN_X_OR;
  }
  if (const int folded = fold(n); folded >= 0) return folded;
  switch (n.op) {
    case CTN_X_SELECT: return simplify_select(n);
    case CTN_X_CAST: return simplify_cast(n);
    case kGate: return n.type == type(n.a) ? n.a : -1;
    case CTN_X_ADD:
    case CTN_X_SUB: return simplify_sum(n);
    case CTN_X_MUL:
    case CTN_X_DIV:
    case CTN_X_TDIV:
    case CTN_X_FDIV:
    case CTN_X_POW:
    case kDivide: return simplify_product(n);
    case CTN_X_AND:
    case CTN_X_OR:
    case CTN_X_XOR: return simplify_logic(n);
    case CTN_X_NEG:
    case CTN_X_NOT:
    case CTN_X_ABS: return simplify_unary(n);
    default: return simplify_same(n);
  }
}

int Graph::simplify_select(Node& n) {
  if (n.b == n.c) return n.b;
  if (is_const(n.a)) return at(n.a).imm.i != 0 ? n.b : n.c;
  if (at(n.a).op == CTN_X_NOT) {
    n.a = at(n.a).a;
    std::swap(n.b, n.c);
  }
  // A branch that asks the same question again knows the answer.
  if (at(n.b).op == CTN_X_SELECT && at(n.b).a == n.a) n.b = at(n.b).b;
  if (at(n.c).op == CTN_X_SELECT && at(n.c).a == n.a) n.c = at(n.c).c;
  if (n.b == n.c) return n.b;
  if (n.type == CTN_BOOL8 && is_const(n.b) && is_const(n.c)) {
    return at(n.b).imm.i != 0 ? n.a : unary(CTN_X_NOT, n.type, n.a);
  }
  return -1;
}

int Graph::simplify_cast(const Node& n) {
  const Node& from = at(n.a);
  if (from.type == n.type) return n.a;
  if (from.op != CTN_X_CAST) return -1;
  const Type inner = type(from.a);
  if (!is_fixed(inner) || !is_fixed(from.type) || !is_exact(inner, from.type)) return -1;
  // Out and back, or on to a type by way of one that lost nothing.
  return inner == n.type ? from.a : unary(CTN_X_CAST, n.type, from.a);
}

int Graph::simplify_sum(Node& n) {
  const bool integer = is_integer(computed(n.type));
  if (n.op == CTN_X_ADD) {
    if (is_const(n.a)) std::swap(n.a, n.b);
    // The neutral element of floats is -0: -0 + 0 is 0.
    if (is_number(n.b, integer ? 0.0 : -0.0)) return n.a;
    if (at(n.a).op == CTN_X_NEG) std::swap(n.a, n.b);
    if (at(n.b).op == CTN_X_NEG && at(n.a).op != CTN_X_NEG) {
      n.op = CTN_X_SUB;
      n.b = at(n.b).a;
    }
    return -1;
  }
  if (is_number(n.b, 0.0)) return n.a;
  if (at(n.b).op == CTN_X_NEG) {
    n.op = CTN_X_ADD;
    n.b = at(n.b).a;
  }
  return -1;
}

int Graph::simplify_product(Node& n) {
  if (n.op == CTN_X_MUL && is_const(n.a)) std::swap(n.a, n.b);
  if (is_number(n.b, 1)) return n.op == CTN_X_FDIV && !is_integer(n.type) ? -1 : n.a;
  const bool number_known = is_float(n.type) || is_signed(n.type);
  if (n.op == CTN_X_MUL || n.op == CTN_X_DIV) {
    return number_known && is_number(n.b, -1) ? unary(CTN_X_NEG, n.type, n.a) : -1;
  }
  if (n.op == CTN_X_POW) {
    if (is_number(n.b, 2)) return binary(CTN_X_MUL, n.type, n.a, n.a);
    if (is_number(n.b, 0)) return constant(n.type, kWeakInt, slot_i(1));
    if (is_float(n.type) && is_number(n.b, -1)) {
      return binary(CTN_X_DIV, n.type, constant(n.type, 1), n.a);
    }
  }
  return -1;
}

int Graph::simplify_logic(const Node& n) {
  if (n.a == n.b) return n.op == CTN_X_XOR ? constant(n.type, kWeakInt, slot_i(0)) : n.a;
  if (n.type != CTN_BOOL8) return -1;
  const int32_t other = is_const(n.a) ? n.b : n.a, fixed = is_const(n.a) ? n.a : n.b;
  if (!is_const(fixed)) return -1;
  const bool value = at(fixed).imm.i != 0;
  if (n.op == CTN_X_AND) return value ? other : fixed;
  if (n.op == CTN_X_OR) return value ? fixed : other;
  return value ? unary(CTN_X_NOT, n.type, other) : other;
}

int Graph::simplify_unary(Node& n) {
  const Node& inner = at(n.a);
  if (n.op == CTN_X_ABS) {
    if (inner.op == CTN_X_ABS) return n.a;
    if (inner.op == CTN_X_NEG) n.a = inner.a;
    return -1;
  }
  return inner.op == n.op ? inner.a : -1;
}

// Two equal operands. Comparisons only where there is no NaN.
int Graph::simplify_same(const Node& n) {
  if (op_info(n.op).operands != 2 || n.a != n.b) return -1;
  if (n.op == CTN_X_MIN || n.op == CTN_X_MAX) return n.a;
  if (n.op == CTN_X_LT) return constant(CTN_BOOL8, kWeakInt, slot_i(0));
  const Type t = type(n.a);
  if (!is_fixed(t) || is_float(t)) return -1;
  if (n.op == CTN_X_EQ || n.op == CTN_X_LE) return constant(CTN_BOOL8, kWeakInt, slot_i(1));
  if (n.op == CTN_X_NE) return constant(CTN_BOOL8, kWeakInt, slot_i(0));
  return -1;
}

}  // namespace catena::expr
