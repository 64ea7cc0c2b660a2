// Small readings of a text that need no types: parameter lists, and which names a text assigns.
#include <algorithm>

#include "core/expr/expr.h"
#include "core/expr/lex.h"

namespace catena::expr {

std::vector<Param> parse_params(std::string_view text, std::string_view what) {
  const Text where{what, "parameters", text};
  const std::vector<Token> tokens = tokenize(where);
  std::vector<Param> params;
  size_t at = 0;
  while (tokens[at].kind != Token::kEnd) {
    Param p;
    size_t words = 0;
    while (tokens[at + words].kind == Token::kName) ++words;
    if (words < 2) where.fail(tokens[at].at, "a parameter is written as TYPE NAME");
    for (size_t k = 0; k + 1 < words; ++k) {
      if (k > 0) p.type += ' ';
      p.type += tokens[at + k].text;
    }
    p.name = tokens[at + words - 1].text;
    params.push_back(std::move(p));
    at += words;
    if (tokens[at].kind == Token::kEnd) break;
    if (tokens[at].text != ",") where.fail(tokens[at].at, "',' is missing between parameters");
    if (tokens[++at].kind == Token::kEnd)
      where.fail(tokens[at].at, "a parameter is missing after ','");
  }
  return params;
}

std::vector<std::string> assigned_names(std::string_view text, std::string_view what) {
  const std::vector<Token> tokens = tokenize({what, "", text});
  std::vector<std::string> declared, assigned;
  const auto note = [](std::vector<std::string>& list, std::string_view name) {
    if (std::find(list.begin(), list.end(), name) == list.end()) list.emplace_back(name);
  };
  bool declaration = false;
  int depth = 0;  // of parentheses: the commas inside separate arguments
  for (size_t k = 0; k + 1 < tokens.size(); ++k) {
    const Token &t = tokens[k], &next = tokens[k + 1];
    const std::string_view before = k == 0 ? ";" : tokens[k - 1].text;
    if (t.text == ";") declaration = false;
    if (t.text == "(") ++depth;
    if (t.text == ")") --depth;
    if (t.kind != Token::kName) continue;
    const bool assigns = next.text == "=" ||
                         (next.text.size() > 1 && next.text.ends_with('=') && next.text != "==" &&
                          next.text != "!=" && next.text != "<=" && next.text != ">=");
    if (next.kind == Token::kName && t.text != "else") {
      declaration = true;
    } else if (declaration && depth == 0 && (before == "," || tokens[k - 1].kind == Token::kName)) {
      note(declared, t.text);
    } else if (assigns) {
      note(assigned, t.text);
    }
  }
  std::erase_if(assigned, [&](const std::string& name) {
    return std::find(declared.begin(), declared.end(), name) != declared.end();
  });
  return assigned;
}

}  // namespace catena::expr
