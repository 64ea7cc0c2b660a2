// The grammar of the language: one pass over the text, making nodes as it goes. Knows which names a
// part may use only from the table it is given.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <string>
#include <vector>

#include "core/expr/build.h"

namespace catena::expr {

inline constexpr int kUnset = -1;      // a variable without a value
inline constexpr int kHalfSet = -2;    // has one on some paths only
inline constexpr Type kAuto = 0xfffe;  // takes the type of the first value assigned

// A name the text may use.
struct Name {
  std::string name;
  Type type = kAuto;
  int value = kUnset;  // current node
  bool assignable = false;
  int raw = -1;            // argument, for an array the text indexes
  Type widest = kUnbound;  // promotion of all strong types assigned; kUnbound if none
};

class Parser {
 public:
  // The text, its tables and its names. `first`: the token to start with.
  Parser(const Text& text, TypePool& types, Graph& graph, std::vector<Name> names);

  // All statements. With `want_value` the last one is a bare expression and its value is returned
  // (weak values too); otherwise, or if the last one is no expression, kUnset.
  int statements(bool want_value);
  // Expressions separated by commas, and nothing else.
  std::vector<int> values();

  const Name& name(std::string_view name) const;
  Builder& build() { return build_; }

 private:
  class Nested;
  struct BinaryOp {
    int precedence;
    int op;
    enum Kind { kArithmetic, kComparison, kReversed, kBitwise, kShift, kLogical } kind;
  };

  const Token& peek(size_t ahead = 0) const;
  bool is(std::string_view punct_or_word) const { return peek().text == punct_or_word; }
  bool accept(std::string_view punct_or_word);
  void expect(std::string_view punct, const char* where);
  [[noreturn]] void fail(const std::string& message) const { text_.fail(peek().at, message); }

  // statements (parse_statement.cc)
  int statement(bool want_value);
  void block();
  void if_statement();
  void declaration(Type type, bool constant);
  void assignment();
  void assign(Name& variable, int value);
  bool is_assignment() const;
  void declare(const Token& at, Type type, bool constant, int value);

  // expressions (parse_expression.cc)
  int expression();
  int binary(int min_precedence);
  int unary();
  int primary();
  int named();
  int call();
  int function_cast(Type type);
  bool type_ahead(size_t& tokens, Type& type) const;
  static const BinaryOp* find_binary(std::string_view text);
  int apply(const BinaryOp& op, size_t at, int a, int b);
  int compound_op(std::string_view text) const;

  Name* find(std::string_view name);
  std::vector<int> current_values() const;

  const Text& text_;
  TypePool& types_;
  Graph& g_;
  Builder build_;
  std::vector<Token> tokens_;
  std::vector<Name> names_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace catena::expr
