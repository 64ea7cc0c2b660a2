// A reader of the small Python expressions that the golden index holds as text: calls, names,
// numbers, strings, tuples, lists, keyword arguments, subscripts and operators. Knows no meaning.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace golden {

struct Py {
  enum Kind { kNumber, kString, kName, kCall, kTuple, kList, kIndex, kSlice, kUnary, kBinary };
  Kind kind = kName;
  std::string text;  // number, string, dotted name, or operator
  bool is_float = false;
  // call: callee, arguments; tuple, list: entries; index: value, subscripts; slice: start, stop,
  // step (an empty name where missing); unary, binary: operands
  std::vector<Py> items;
  struct Keyword;
  std::vector<Keyword> keywords;

  double number() const;
};

struct Py::Keyword {
  std::string name;
  Py value;
};

// Throws std::runtime_error with the text and position.
Py parse_py(std::string_view text);

}  // namespace golden
