// Words of an expression's text, and errors that show where they are. Knows no grammar.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/expr/types.h"

namespace catena::expr {

// 'name', for messages.
std::string quoted(std::string_view name);

// A text with the names messages call it by: "kernel 'relu'", "map".
struct Text {
  std::string_view what;
  std::string_view part;
  std::string_view text;
  // Throws CTN_EINVAL: what, part, line, column, message, the line and a caret below `at`.
  [[noreturn]] void fail(size_t at, const std::string& message) const;
};

struct Token {
  enum Kind : unsigned char { kEnd, kName, kInt, kFloat, kPunct };
  Kind kind = kEnd;
  std::string_view text;
  size_t at = 0;         // byte offset in the text
  Type type = kWeakInt;  // of a number: weak, or what its suffix says
  uint64_t integer = 0;
  double real = 0;
};

// All tokens, kEnd last.
std::vector<Token> tokenize(const Text& text);

}  // namespace catena::expr
