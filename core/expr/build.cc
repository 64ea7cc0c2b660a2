// How operands meet. A weak value (literals and what is made of them) takes the type of the other
// operand; among themselves weak values compute as int64 and float64.
#include "core/expr/build.h"

#include "core/error.h"

namespace catena::expr {

namespace {

constexpr int kMaxWeakDepth = 200;

Type settled(Type t) { return is_weak(t) ? computed(t) : t; }

}  // namespace

int Builder::literal(const Token& number) {
  if (number.kind == Token::kFloat) return g_.constant(kWeakFloat, number.real);
  const Type held = number.type == kWeakInt ? Type{CTN_INT64} : number.type;
  return g_.constant(number.type, held, Slot{.u = number.integer});
}

int Builder::arithmetic(size_t at, int op, int a, int b) {
  const Type t = types_.arith(types_.promote(type(a), type(b)));
  if (t == kWeakInt && (op == kDivide || op == kRemainder)) {
    const Node& divisor = g_.at(b);
    if (divisor.op == CTN_X_CONST && divisor.imm.i == 0) text_.fail(at, "division by zero");
  }
  return g_.binary(op, t, convert(a, t), convert(b, t));
}

int Builder::comparison(int op, int a, int b) {
  const Type t = settled(types_.promote(type(a), type(b)));
  return g_.binary(op, CTN_BOOL8, convert(a, t), convert(b, t));
}

void Builder::need_integers(size_t at, Type t) {
  if (is_float(t) || t == kWeakFloat) {
    text_.fail(at, "this operator needs integers, not " + types_.name(t));
  }
}

int Builder::bitwise(size_t at, int op, int a, int b) {
  const Type t = types_.promote(type(a), type(b));
  need_integers(at, t);
  return g_.binary(op, t, convert(a, t), convert(b, t));
}

int Builder::shift(size_t at, int op, int a, int b) {
  // The type is that of the left operand, as in C; a literal there follows the count.
  const Type t = types_.arith(is_weak(type(a)) ? type(b) : type(a));
  need_integers(at, t);
  need_integers(at, type(b));
  return g_.binary(op, t, convert(a, t), convert(b, t));
}

int Builder::negate(int a) {
  const Type t = types_.arith(type(a));
  return g_.unary(CTN_X_NEG, t, convert(a, t));
}

int Builder::complement(size_t at, int a) {
  need_integers(at, type(a));
  return g_.unary(CTN_X_NOT, type(a), a);
}

int Builder::select(int cond, int a, int b) {
  const Type t = types_.promote(type(a), type(b));
  return g_.select(truth(cond), convert(a, t), convert(b, t));
}

int Builder::call(size_t at, const Function& f, std::span<const int> args) {
  if (args.size() < f.min_args || args.size() > f.max_args) {
    text_.fail(at, std::string(f.name) + " takes " + std::to_string(f.min_args) +
                       (f.max_args > f.min_args ? " or more" : "") + " arguments, not " +
                       std::to_string(args.size()));
  }
  if (f.op == CTN_X_SELECT) return select(args[0], args[1], args[2]);
  Type t = type(args[0]);
  for (const int v : args) t = types_.promote(t, type(v));
  t = f.rule == Rule::kArith ? types_.arith(t) : types_.floating(t);
  if (f.rule == Rule::kTest) {
    t = settled(t);
    return g_.unary(f.op, CTN_BOOL8, convert(args[0], t));
  }
  int v = convert(args[0], t);
  if (args.size() == 1) return g_.unary(f.op, t, v);
  for (const int next : args.subspan(1)) v = g_.binary(f.op, t, v, convert(next, t));
  return v;
}

int Builder::raw(size_t at, int arg, Type t, int index) {
  need_integers(at, type(index));
  return g_.emit({CTN_X_RAW, t, arg, convert(index, CTN_INT64)});
}

int Builder::truth(int v) {
  const Type t = settled(type(v));
  return convert(convert(v, t), CTN_BOOL8);
}

int Builder::settle(int v) { return convert(v, settled(type(v))); }

int Builder::convert(int v, Type to) {
  const Type from = type(v);
  if (from == to) return v;
  return is_weak(from) ? convert_weak(v, to) : g_.cast(v, to);
}

int Builder::convert_weak(int v, Type to) {
  const Node n = g_.at(v);  // a copy: making nodes moves them
  if (n.op == CTN_X_CONST) return g_.constant(to, n.type, n.imm);
  if (++depth_ > kMaxWeakDepth)
    text_.fail(text_.text.size(), "an expression of literals is too deep");
  int result = 0;
  if (n.op == CTN_X_SELECT) {
    const int a = convert(n.b, to), b = convert(n.c, to);
    result = g_.select(n.a, a, b);
  } else if (to == kWeakFloat) {
    result = g_.unary(CTN_X_CAST, to, v);
  } else {
    // Computed where it keeps its meaning: integers in int64, floats in a floating type.
    const Type t = n.type == kWeakInt ? Type{CTN_INT64} : types_.floating(to);
    Node typed = n;
    typed.type = t;
    const bool is_cast = n.op == CTN_X_CAST;
    for (int j = 0; j < op_info(n.op).operands; ++j) {
      operand(typed, j) = convert(operand(n, j), is_cast ? Type{CTN_INT64} : t);
    }
    result = g_.cast(g_.emit(typed), to);
  }
  --depth_;
  return result;
}

}  // namespace catena::expr
