// Symbolic derivatives by reverse accumulation over the generic program. At a kink the gradient
// goes through a select, never through a product with a mask: 0 * inf would be NaN.
#include <cmath>
#include <numbers>
#include <optional>

#include "core/expr/derive.h"

namespace catena::expr {

int Deriver::zero(Type t) { return g_.constant(t, kWeakInt, slot_i(0)); }

bool Deriver::is_zero(int v) const {
  const Node& n = g_.at(v);
  return n.op == CTN_X_CONST && n.imm.u == 0;
}

// Sum of two contributions to one adjoint. Selects on one condition are merged, so that the pieces
// of a function defined by cases meet again as the cases of its gradient.
int Deriver::sum(int x, int y, int depth) {
  if (is_zero(x)) return y;
  if (is_zero(y)) return x;
  const Node nx = g_.at(x), ny = g_.at(y);
  if (depth < 8 && nx.op == CTN_X_SELECT && ny.op == CTN_X_SELECT && nx.a == ny.a) {
    const int then = sum(nx.b, ny.b, depth + 1), otherwise = sum(nx.c, ny.c, depth + 1);
    return g_.select(nx.a, then, otherwise);
  }
  return g_.binary(CTN_X_ADD, nx.type, x, y);
}

// A linear function of a gradient, inside the cases where that is zero by a condition: k *
// select(c, g, 0) becomes select(c, k * g, 0). So a factor that is infinite or NaN where the other
// case holds (log at 0 behind x > 0) leaves no trace there.
template <class F>
int Deriver::linear(int gy, Type result, const F& f, int depth) {
  if (is_zero(gy)) return zero(result);
  if (depth > kMaxHoist || !has_zero_case(gy, depth)) return f(gy);
  const Node n = g_.at(gy);
  const int then = linear(n.b, result, f, depth + 1), otherwise = linear(n.c, result, f, depth + 1);
  return g_.select(n.a, then, otherwise);
}

bool Deriver::has_zero_case(int v, int depth) const {
  const Node& n = g_.at(v);
  if (n.op != CTN_X_SELECT || depth > kMaxHoist) return is_zero(v) && depth > 0;
  return is_zero(n.b) || is_zero(n.c) || has_zero_case(n.b, depth + 1) ||
         has_zero_case(n.c, depth + 1);
}

int Deriver::scale(int gy, int factor) {
  return linear(
      gy, g_.type(gy), [&](int g) { return mul(g, factor); }, 0);
}
int Deriver::over(int gy, int divisor) {
  const Type t = g_.type(gy);
  return linear(
      gy, t, [&](int g) { return g_.binary(kDivide, t, g, divisor); }, 0);
}
int Deriver::minus(int gy) {
  return linear(
      gy, g_.type(gy), [&](int g) { return neg(g); }, 0);
}
int Deriver::gate(int gy, Type t) {
  return linear(
      gy, t, [&](int g) { return g_.unary(kGate, t, g); }, 0);
}

void Deriver::seed(int v, int contribution) {
  if (!active_[static_cast<size_t>(v)]) return;
  int& adjoint = adjoint_[static_cast<size_t>(v)];
  adjoint = adjoint < 0 ? contribution : sum(adjoint, contribution, 0);
}

Deriver::Deriver(const Graph& forward, Graph& out, const TypePool& types)
    : f_(forward),
      g_(out),
      types_(types),
      here_(static_cast<size_t>(forward.size()), -1),
      active_(static_cast<size_t>(forward.size()), false),
      adjoint_(static_cast<size_t>(forward.size()), -1) {}

void Deriver::copy_forward(int32_t count_scalar) {
  const std::vector<bool> live = f_.live();
  for (int v = 0; v < f_.size(); ++v) {
    const auto k = static_cast<size_t>(v);
    if (!live[k] || here_[k] >= 0) continue;
    Node n = f_.at(v);
    for (int j = 0; j < op_info(n.op).operands; ++j) operand(n, j) = here(operand(n, j));
    // In post, n is the number of elements reduced; the gradient's own size is another.
    if (n.op == CTN_X_SIZE && count_scalar >= 0) n = {CTN_X_SCALAR, CTN_INT64, count_scalar};
    here_[k] = g_.emit(n);
  }
}

void Deriver::replace(int v, int by) {
  for (;;) {
    const auto k = static_cast<size_t>(v);
    if (here_[k] >= 0) return;
    here_[k] = g_.cast(by, f_.type(v));
    const Node& n = f_.at(v);
    // A conversion that changes nothing when the type is floating: what it converts is known too.
    if (n.op != CTN_X_CAST || types_.base(f_.type(n.a)) != types_.base(n.type)) return;
    v = n.a;
  }
}

void Deriver::find_active(const std::vector<bool>& leaves) {
  for (int v = 0; v < f_.size(); ++v) {
    const auto k = static_cast<size_t>(v);
    const Node& n = f_.at(v);
    if (leaves[k]) {
      active_[k] = true;
      continue;
    }
    if (!types_.may_float(n.type) || is_flat(n.op)) continue;
    const int first = n.op == CTN_X_SELECT ? 1 : 0;
    for (int j = first; j < op_info(n.op).operands; ++j) {
      if (n.op != CTN_X_RAW && active_[static_cast<size_t>(operand(n, j))]) active_[k] = true;
    }
  }
}

// Operations whose derivative is zero wherever there is one.
bool Deriver::is_flat(int op) {
  switch (op) {
    case CTN_X_FLOOR:
    case CTN_X_CEIL:
    case CTN_X_TRUNC:
    case CTN_X_RINT:
    case CTN_X_SIGN:
    case CTN_X_FDIV:
    case CTN_X_TDIV: return true;
    default: return false;
  }
}

void Deriver::run() {
  for (int v = f_.size(); v-- > 0;) {
    const auto k = static_cast<size_t>(v);
    if (active_[k] && adjoint_[k] >= 0 && op_info(f_.at(v).op).operands > 0) {
      back(f_.at(v), here_[k], adjoint_[k]);
    }
  }
}

// y: the value of node n in the gradient's graph; gy: its adjoint, of the same type.
void Deriver::back(const Node& n, int y, int gy) {
  const Type t = n.type;
  switch (n.op) {
    case CTN_X_CAST:
    case kGate: return seed(n.a, gate(gy, f_.type(n.a)));
    case CTN_X_SELECT:
      seed(n.b, g_.select(here(n.a), gy, zero(t)));
      return seed(n.c, g_.select(here(n.a), zero(t), gy));
    case CTN_X_ADD: seed(n.a, gy); return seed(n.b, gy);
    case CTN_X_SUB:
      seed(n.a, gy);
      if (active(n.b)) seed(n.b, minus(gy));
      return;
    case CTN_X_MUL:
      if (active(n.a)) seed(n.a, scale(gy, here(n.b)));
      if (active(n.b)) seed(n.b, scale(gy, here(n.a)));
      return;
    case CTN_X_DIV:
    case kDivide: {
      const int quotient = over(gy, here(n.b));
      seed(n.a, quotient);
      if (active(n.b)) seed(n.b, minus(scale(quotient, y)));
      return;
    }
    case CTN_X_NEG: return seed(n.a, minus(gy));
    case CTN_X_FMOD:
    case CTN_X_TMOD:
    case kRemainder: return back_remainder(n, y, gy);
    case CTN_X_ABS:
    case CTN_X_MIN:
    case CTN_X_MAX: return back_kink(n, gy);
    case CTN_X_POW: return back_pow(n, y, gy);
    default: return back_math(n, y, gy);
  }
}

// x mod y = x - whole * y, and the whole number is constant around the point.
void Deriver::back_remainder(const Node& n, int y, int gy) {
  seed(n.a, gy);
  if (!active(n.b)) return;
  const Type t = n.type;
  const int taken = g_.binary(CTN_X_SUB, t, here(n.a), y);
  const int whole = g_.unary(CTN_X_RINT, t, g_.binary(kDivide, t, taken, here(n.b)));
  seed(n.b, minus(scale(gy, whole)));
}

void Deriver::back_kink(const Node& n, int gy) {
  const Type t = n.type;
  const int a = here(n.a);
  if (n.op == CTN_X_ABS) {
    const int at_zero = g_.binary(CTN_X_EQ, CTN_BOOL8, a, zero(t));
    return seed(n.a, g_.select(at_zero, zero(t), scale(gy, g_.unary(CTN_X_SIGN, t, a))));
  }
  // At a tie the first operand has it.
  const int b = here(n.b);
  const int first = n.op == CTN_X_MIN ? g_.binary(CTN_X_LE, CTN_BOOL8, a, b)
                                      : g_.binary(CTN_X_LE, CTN_BOOL8, b, a);
  seed(n.a, g_.select(first, gy, zero(t)));
  seed(n.b, g_.select(first, zero(t), gy));
}

void Deriver::back_pow(const Node& n, int y, int gy) {
  const Type t = n.type;
  const int x = here(n.a), p = here(n.b);
  if (active(n.a)) {
    // p x^(p-1), without 0 * inf where the exponent is 0.
    const int less = g_.binary(CTN_X_SUB, t, p, number(t, 1));
    const int slope = mul(p, g_.binary(CTN_X_POW, t, x, less));
    const Node& exponent = g_.at(p);
    const bool nonzero = exponent.op == CTN_X_CONST && !is_zero(p);
    const int gx = scale(gy, slope);
    seed(n.a, nonzero ? gx : g_.select(g_.binary(CTN_X_EQ, CTN_BOOL8, p, zero(t)), zero(t), gx));
  }
  if (active(n.b)) {
    // x^p log x; where x is 0 that tends to 0 for p > 0, and to be used at all is taken as 0 at p =
    // 0.
    const int at_zero = g_.binary(CTN_X_AND, CTN_BOOL8, g_.binary(CTN_X_EQ, CTN_BOOL8, x, zero(t)),
                                  g_.binary(CTN_X_LE, CTN_BOOL8, zero(t), p));
    const int slope = mul(y, g_.unary(CTN_X_LOG, t, x));
    seed(n.b, g_.select(at_zero, zero(t), scale(gy, slope)));
  }
}

void Deriver::back_math(const Node& n, int y, int gy) {
  using std::numbers::ln10;
  using std::numbers::ln2;
  const Type t = n.type;
  const int x = here(n.a);
  if (n.op == CTN_X_ATAN2) {
    const int b = here(n.b);
    const int square = g_.binary(CTN_X_ADD, t, mul(x, x), mul(b, b));
    if (active(n.a)) seed(n.a, over(scale(gy, b), square));
    if (active(n.b)) seed(n.b, minus(over(scale(gy, x), square)));
    return;
  }
  const int one = number(t, 1);
  const auto unary = [&](int op, int v) { return g_.unary(op, t, v); };
  const auto add = [&](int a, int b) { return g_.binary(CTN_X_ADD, t, a, b); };
  const auto sub = [&](int a, int b) { return g_.binary(CTN_X_SUB, t, a, b); };
  const auto gaussian = [&](double factor) {
    return scale(scale(gy, number(t, factor)), unary(CTN_X_EXP, neg(mul(x, x))));
  };
  // (1 - x)(1 + x) keeps what 1 - x * x loses near 1.
  const auto circle = [&] { return unary(CTN_X_SQRT, mul(sub(one, x), add(one, x))); };
  switch (n.op) {
    case CTN_X_SQRT: return seed(n.a, over(scale(gy, number(t, 0.5)), y));
    case CTN_X_RSQRT: return seed(n.a, scale(scale(gy, number(t, -0.5)), mul(y, mul(y, y))));
    case CTN_X_EXP: return seed(n.a, scale(gy, y));
    case CTN_X_EXPM1: return seed(n.a, scale(gy, unary(CTN_X_EXP, x)));
    case CTN_X_EXP2: return seed(n.a, scale(scale(gy, number(t, ln2)), y));
    case CTN_X_LOG: return seed(n.a, over(gy, x));
    case CTN_X_LOG1P: return seed(n.a, over(gy, add(x, one)));
    case CTN_X_LOG2: return seed(n.a, over(gy, mul(x, number(t, ln2))));
    case CTN_X_LOG10: return seed(n.a, over(gy, mul(x, number(t, ln10))));
    case CTN_X_SIN: return seed(n.a, scale(gy, unary(CTN_X_COS, x)));
    case CTN_X_COS: return seed(n.a, minus(scale(gy, unary(CTN_X_SIN, x))));
    case CTN_X_TAN: return seed(n.a, scale(gy, add(mul(y, y), one)));
    case CTN_X_ASIN: return seed(n.a, over(gy, circle()));
    case CTN_X_ACOS: return seed(n.a, minus(over(gy, circle())));
    case CTN_X_ATAN: return seed(n.a, over(gy, add(mul(x, x), one)));
    case CTN_X_SINH: return seed(n.a, scale(gy, unary(CTN_X_COSH, x)));
    case CTN_X_COSH: return seed(n.a, scale(gy, unary(CTN_X_SINH, x)));
    case CTN_X_TANH: return seed(n.a, scale(gy, sub(one, mul(y, y))));
    case CTN_X_ERF: return seed(n.a, gaussian(2 * std::numbers::inv_sqrtpi));
    case CTN_X_ERFC: return seed(n.a, gaussian(-2 * std::numbers::inv_sqrtpi));
    case CTN_X_LGAMMA: return seed(n.a, scale(gy, unary(CTN_X_DIGAMMA, x)));
    case CTN_X_SIGMOID: return seed(n.a, scale(gy, mul(y, sub(one, y))));
    default: break;
  }
  fail(CTN_EGRAD, std::string("the derivative of ") + op_info(n.op).name +
                      " is not among the operations; state the gradient");
}

}  // namespace catena::expr
