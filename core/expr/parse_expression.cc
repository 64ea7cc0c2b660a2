// Expressions, by precedence climbing; the precedences are C's.
#include <cmath>
#include <limits>
#include <numbers>

#include "core/error.h"
#include "core/expr/parse.h"
#include "core/expr/parse_nested.h"

namespace catena::expr {

namespace {

struct Constant {
  const char* name;
  double value;
};
constexpr Constant kConstants[] = {
    {"pi", std::numbers::pi},
    {"M_PI", std::numbers::pi},
    {"inf", std::numeric_limits<double>::infinity()},
    {"INFINITY", std::numeric_limits<double>::infinity()},
    {"nan", std::numeric_limits<double>::quiet_NaN()},
    {"NAN", std::numeric_limits<double>::quiet_NaN()},
};

// What people write and what there is instead.
struct Hint {
  const char* name;
  const char* hint;
};
constexpr Hint kHints[] = {
    {"fmin", "write min, which is NaN if either operand is"},
    {"fmax", "write max, which is NaN if either operand is"},
    {"round", "write rint (halves to even) or floor(x + 0.5)"},
    {"remainder", "write floormod (sign of the divisor) or fmod (sign of the dividend)"},
    {"fma", "write a * b + c; nothing is contracted"},
    {"tgamma", "write exp(lgamma(x))"},
};

constexpr const char* kKeywords[] = {"if",    "else",     "const",     "auto",   "for",
                                     "while", "do",       "return",    "switch", "break",
                                     "goto",  "continue", "__shared__"};

bool is_keyword(std::string_view s) {
  for (const char* k : kKeywords) {
    if (s == k) return true;
  }
  return false;
}

}  // namespace

const Parser::BinaryOp* Parser::find_binary(std::string_view text) {
  using B = BinaryOp;
  struct Entry {
    std::string_view text;
    B op;
  };
  static constexpr Entry kTable[] = {
      {"||", {1, CTN_X_OR, B::kLogical}},    {"&&", {2, CTN_X_AND, B::kLogical}},
      {"|", {3, CTN_X_OR, B::kBitwise}},     {"^", {4, CTN_X_XOR, B::kBitwise}},
      {"&", {5, CTN_X_AND, B::kBitwise}},    {"==", {6, CTN_X_EQ, B::kComparison}},
      {"!=", {6, CTN_X_NE, B::kComparison}}, {"<", {7, CTN_X_LT, B::kComparison}},
      {"<=", {7, CTN_X_LE, B::kComparison}}, {">", {7, CTN_X_LT, B::kReversed}},
      {">=", {7, CTN_X_LE, B::kReversed}},   {"<<", {8, CTN_X_SHL, B::kShift}},
      {">>", {8, CTN_X_SHR, B::kShift}},     {"+", {9, CTN_X_ADD, B::kArithmetic}},
      {"-", {9, CTN_X_SUB, B::kArithmetic}}, {"*", {10, CTN_X_MUL, B::kArithmetic}},
      {"/", {10, kDivide, B::kArithmetic}},  {"%", {10, kRemainder, B::kArithmetic}},
  };
  for (const Entry& e : kTable) {
    if (e.text == text) return &e.op;
  }
  return nullptr;
}

int Parser::apply(const BinaryOp& op, size_t at, int a, int b) {
  switch (op.kind) {
    case BinaryOp::kArithmetic: return build_.arithmetic(at, op.op, a, b);
    case BinaryOp::kComparison: return build_.comparison(op.op, a, b);
    case BinaryOp::kReversed: return build_.comparison(op.op, b, a);
    case BinaryOp::kBitwise: return build_.bitwise(at, op.op, a, b);
    case BinaryOp::kShift: return build_.shift(at, op.op, a, b);
    case BinaryOp::kLogical: break;
  }
  return g_.binary(op.op, CTN_BOOL8, build_.truth(a), build_.truth(b));
}

int Parser::expression() {
  const Nested nested(*this);
  const int cond = binary(1);
  if (!accept("?")) return cond;
  const int a = expression();
  expect(":", "in a conditional expression");
  const int b = expression();
  return build_.select(cond, a, b);
}

int Parser::binary(int min_precedence) {
  int left = unary();
  const BinaryOp* last = nullptr;
  for (;;) {
    const BinaryOp* op = peek().kind == Token::kPunct ? find_binary(peek().text) : nullptr;
    if (op == nullptr || op->precedence < min_precedence) return left;
    const bool relation = op->precedence == 6 || op->precedence == 7;
    if (relation && last != nullptr && last->precedence == op->precedence) {
      fail("comparisons do not chain: write a < b && b < c");
    }
    const size_t at = peek().at;
    ++at_;
    left = apply(*op, at, left, binary(op->precedence + 1));
    last = op;
  }
}

int Parser::unary() {
  const size_t at = peek().at;
  if (peek().kind == Token::kPunct) {
    const std::string_view sign = peek().text;
    if (sign == "++" || sign == "--") fail("write x += 1; there is no " + std::string(sign));
    if (sign == "-" || sign == "+" || sign == "!" || sign == "~") {
      const Nested nested(*this);
      ++at_;
      const int v = unary();
      if (sign == "-") return build_.negate(v);
      if (sign == "!") return build_.logical_not(v);
      if (sign == "~") return build_.complement(at, v);
      return build_.convert(v, types_.arith(build_.type(v)));
    }
    // (T)x
    size_t words = 0;
    Type type = 0;
    if (sign == "(") {
      ++at_;
      const bool cast = type_ahead(words, type) && peek(words).text == ")";
      --at_;
      if (cast) {
        const Nested nested(*this);
        at_ += words + 2;
        return build_.convert(unary(), type);
      }
    }
  }
  return primary();
}

int Parser::primary() {
  const Token& t = peek();
  switch (t.kind) {
    case Token::kInt:
    case Token::kFloat: ++at_; return build_.literal(t);
    case Token::kName: return named();
    case Token::kEnd: fail("an expression is missing here");
    case Token::kPunct: break;
  }
  if (!accept("(")) fail("an expression cannot start with " + quoted(t.text));
  const int v = expression();
  expect(")", "after an expression");
  return v;
}

int Parser::named() {
  const Token& t = peek();
  size_t words = 0;
  Type type = 0;
  if (type_ahead(words, type)) {
    at_ += words;
    return function_cast(type);
  }
  if (peek(1).text == "(" && !is_keyword(t.text)) return call();
  if (const Name* known = find(t.text); known != nullptr) {
    ++at_;
    const std::string shown = quoted(known->name);
    if (known->raw >= 0) {
      if (!accept("["))
        text_.fail(t.at, shown + " is a raw array: index it, as in " + known->name + "[i]");
      const size_t index_at = peek().at;
      const int index = expression();
      expect("]", "after an index");
      return build_.raw(index_at, known->raw, known->type, index);
    }
    if (is("[")) fail(shown + " is no raw array: its element is written without an index");
    if (known->value == kUnset) text_.fail(t.at, shown + " has no value yet");
    if (known->value == kHalfSet) text_.fail(t.at, shown + " has no value on some paths to here");
    return known->value;
  }
  for (const Constant& c : kConstants) {
    if (t.text == c.name) {
      ++at_;
      return build_.real(c.value);
    }
  }
  if (t.text == "true" || t.text == "false") {
    ++at_;
    return build_.boolean(t.text == "true");
  }
  if (is_keyword(t.text)) fail(quoted(t.text) + " cannot be used here");
  fail("unknown name " + quoted(t.text));
}

int Parser::call() {
  const Token& t = peek();
  const Function* f = find_function(t.text);
  if (f == nullptr) {
    std::string message = "unknown function " + quoted(t.text);
    for (const Hint& h : kHints) {
      if (t.text == h.name) message += std::string(": ") + h.hint;
    }
    fail(message);
  }
  at_ += 2;
  std::vector<int> args;
  if (!is(")")) {
    do {
      args.push_back(expression());
    } while (args.size() < 64 && accept(","));
  }
  expect(")", "after the arguments");
  return build_.call(t.at, *f, args);
}

int Parser::function_cast(Type type) {
  if (!accept("(")) fail("a type here must be a cast: T(x) or (T)x");
  const int v = expression();
  expect(")", "after a cast");
  return build_.convert(v, type);
}

// A type name at the cursor: how many tokens it has, and the type its values have.
bool Parser::type_ahead(size_t& tokens, Type& type) const {
  const auto is_word = [&](const char* word) { return peek(tokens).text == word; };
  tokens = 0;
  bool is_unsigned_type = false, modified = false;
  int longs = 0;
  std::string_view base;
  for (;; ++tokens) {
    if (is_word("unsigned")) {
      is_unsigned_type = true;
    } else if (is_word("long")) {
      ++longs;
    } else if (is_word("short")) {
      base = "short";
    } else if (!is_word("signed")) {
      break;
    }
    modified = true;
  }
  if (modified) {
    if (is_word("char") || is_word("int")) {
      if (is_word("char")) base = "char";
      ++tokens;
    }
    const int bytes = longs > 0 ? 8 : base == "char" ? 1 : base == "short" ? 2 : 4;
    constexpr Type kSigned[] = {0, CTN_INT8, CTN_INT16, 0, CTN_INT32, 0, 0, 0, CTN_INT64};
    type = static_cast<Type>(kSigned[bytes] + (is_unsigned_type ? CTN_UINT8 - CTN_INT8 : 0));
    return true;
  }
  if (peek().kind != Token::kName) return false;
  tokens = 1;
  if (const int d = dtype_named(peek().text); d >= 0) {
    type = value_type(d);
    return true;
  }
  if (types_.find_variable(peek().text) < 0) return false;
  type = types_.variable(peek().text);
  return true;
}

}  // namespace catena::expr
