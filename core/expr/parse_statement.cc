// Statements: declarations, assignments, and if/else, whose branches both run and meet in selects.
#include <algorithm>

#include "core/error.h"
#include "core/expr/parse.h"
#include "core/expr/parse_nested.h"

namespace catena::expr {

namespace {

constexpr size_t kMaxNames = 512;

}  // namespace

Parser::Parser(const Text& text, TypePool& types, Graph& graph, std::vector<Name> names)
    : text_(text),
      types_(types),
      g_(graph),
      build_(types, graph, text_),
      tokens_(tokenize(text)),
      names_(std::move(names)) {}

const Token& Parser::peek(size_t ahead) const {
  return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
}

bool Parser::accept(std::string_view punct_or_word) {
  if (peek().kind == Token::kEnd || !is(punct_or_word)) return false;
  ++at_;
  return true;
}

void Parser::expect(std::string_view punct, const char* where) {
  if (accept(punct)) return;
  const std::string found = peek().kind == Token::kEnd ? "the end" : quoted(peek().text);
  fail(quoted(punct) + " is missing " + where + ", found " + found);
}

Name* Parser::find(std::string_view name) {
  const auto at =
      std::find_if(names_.begin(), names_.end(), [&](const Name& n) { return n.name == name; });
  return at == names_.end() ? nullptr : &*at;
}

const Name& Parser::name(std::string_view name) const {
  return *const_cast<Parser*>(this)->find(name);
}

std::vector<int> Parser::current_values() const {
  std::vector<int> values;
  values.reserve(names_.size());
  for (const Name& n : names_) values.push_back(n.value);
  return values;
}

int Parser::statements(bool want_value) {
  int value = kUnset;
  while (peek().kind != Token::kEnd) {
    if (value != kUnset) fail("the value must be the last statement");
    value = statement(want_value);
  }
  return value;
}

std::vector<int> Parser::values() {
  std::vector<int> values;
  do {
    values.push_back(expression());
  } while (accept(","));
  if (peek().kind != Token::kEnd) fail("unexpected " + quoted(peek().text));
  return values;
}

int Parser::statement(bool want_value) {
  if (accept(";")) return kUnset;
  const Nested nested(*this);
  if (is("{")) {
    block();
    return kUnset;
  }
  if (accept("if")) {
    if_statement();
    return kUnset;
  }
  for (const char* loop : {"for", "while", "do"}) {
    if (is(loop)) fail("there are no loops: a kernel computes one element");
  }
  const bool constant = accept("const");
  if (accept("auto")) {
    declaration(kAuto, constant);
    return kUnset;
  }
  size_t words = 0;
  Type type = 0;
  if (type_ahead(words, type) && peek(words).kind == Token::kName) {
    at_ += words;
    declaration(type, constant);
    return kUnset;
  }
  if (constant) fail("a type is missing after const");
  if (is_assignment()) {
    assignment();
    return kUnset;
  }
  const size_t start = peek().at;
  const int value = expression();
  if (peek().kind == Token::kPunct && (is("=") || compound_op(peek().text) != 0)) {
    fail("only a name can be assigned to");
  }
  if (!want_value) text_.fail(start, "this does nothing: assign the value to something");
  if (peek().kind != Token::kEnd) expect(";", "after an expression");
  return value;
}

// The statements of a block see and may assign outer names; their own end with it.
void Parser::block() {
  const size_t outer = names_.size();
  expect("{", "before a block");
  while (!accept("}")) {
    if (peek().kind == Token::kEnd) fail("'}' is missing at the end of a block");
    statement(false);
  }
  names_.resize(outer);
}

void Parser::if_statement() {
  const size_t outer = names_.size();
  expect("(", "after if");
  const int cond = build_.truth(expression());
  expect(")", "after the condition");
  const std::vector<int> before = current_values();
  statement(false);
  names_.resize(outer);
  const std::vector<int> then = current_values();
  for (size_t k = 0; k < outer; ++k) names_[k].value = before[k];
  if (accept("else")) {
    statement(false);
    names_.resize(outer);
  }
  for (size_t k = 0; k < outer; ++k) {
    int& value = names_[k].value;
    if (value == then[k]) continue;
    value = value < 0 || then[k] < 0 ? kHalfSet : build_.select(cond, then[k], value);
  }
}

void Parser::declaration(Type type, bool constant) {
  do {
    const Token& t = peek();
    if (t.kind != Token::kName) fail("a name is missing in a declaration");
    ++at_;
    if (is("[")) fail("there are no local arrays");
    const bool has_value = accept("=");
    if (!has_value && type == kAuto) fail("auto needs a value");
    if (!has_value && constant) fail("const needs a value");
    declare(t, type, constant, has_value ? expression() : kUnset);
  } while (accept(","));
  if (peek().kind != Token::kEnd) expect(";", "after a declaration");
}

void Parser::declare(const Token& at, Type type, bool constant, int value) {
  const std::string shown = quoted(at.text);
  if (find(at.text) != nullptr) text_.fail(at.at, shown + " is already declared");
  if (types_.find_variable(at.text) >= 0 || dtype_named(at.text) >= 0) {
    text_.fail(at.at, shown + " is a type");
  }
  if (names_.size() >= kMaxNames) text_.fail(at.at, "too many names");
  Name name{std::string(at.text), type};
  if (value != kUnset) {
    assign(name, value);
    name.assignable = !constant;
  } else {
    name.assignable = true;
  }
  names_.push_back(std::move(name));
}

bool Parser::is_assignment() const {
  if (peek().kind != Token::kName) return false;
  if (peek(1).text == "++" || peek(1).text == "--") return true;
  return peek(1).kind == Token::kPunct && (peek(1).text == "=" || compound_op(peek(1).text) != 0);
}

// `+` of `+=`: its length in characters, 0 if the text is no compound assignment.
int Parser::compound_op(std::string_view text) const {
  if (text.size() < 2 || text.back() != '=') return 0;
  const BinaryOp* op = find_binary(text.substr(0, text.size() - 1));
  const bool usable = op != nullptr && op->kind != BinaryOp::kComparison &&
                      op->kind != BinaryOp::kReversed && op->kind != BinaryOp::kLogical;
  return usable ? static_cast<int>(text.size()) - 1 : 0;
}

void Parser::assignment() {
  const Token& target = peek();
  const std::string shown = quoted(target.text);
  Name* variable = find(target.text);
  if (variable == nullptr) {
    fail("unknown name " + shown +
         "; a temporary is declared with its type, as in float32 t = ...");
  }
  if (variable->raw >= 0) fail("raw arrays cannot be written");
  if (!variable->assignable) fail(shown + " cannot be assigned to");
  ++at_;
  const Token& sign = peek();
  if (sign.text == "++" || sign.text == "--")
    fail("write x += 1; there is no " + std::string(sign.text));
  ++at_;
  int value = 0;
  if (sign.text == "=") {
    value = expression();
  } else {
    if (variable->value < 0) text_.fail(target.at, shown + " has no value yet");
    const int old = variable->value;
    const std::string_view op = sign.text.substr(0, sign.text.size() - 1);
    value = apply(*find_binary(op), sign.at, old, expression());
  }
  assign(*find(target.text), value);
  if (peek().kind != Token::kEnd) expect(";", "after an assignment");
}

void Parser::assign(Name& variable, int value) {
  const Type from = build_.type(value);
  if (!is_weak(from)) {
    variable.widest = variable.widest == kUnbound ? from : types_.promote(variable.widest, from);
  }
  if (variable.type == kAuto) {
    value = build_.settle(value);
    variable.type = build_.type(value);
  }
  variable.value = build_.convert(value, variable.type);
}

}  // namespace catena::expr
