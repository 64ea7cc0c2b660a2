// parse_py: see py.h. Precedence climbing over Python's operators.
#include "py.h"

#include <cctype>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace golden {
namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Py all() {
    Py e = binary(0);
    skip();
    if (at_ != text_.size()) error("unexpected text");
    return e;
  }

 private:
  [[noreturn]] void error(const char* what) const {
    throw std::runtime_error(std::string(what) + " at " + std::to_string(at_) + " of \"" +
                             std::string(text_) + "\"");
  }
  void skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  bool take(std::string_view token) {
    skip();
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!take(token)) error(("expected " + std::string(token)).c_str());
  }

  // Operators by rising precedence; the longer spelling first.
  Py binary(int level) {
    static constexpr std::string_view kLevels[3][4] = {
        {"+", "-", "", ""}, {"//", "/", "@", "*"}, {"**", "", "", ""}};
    if (level == 3) return postfix();
    if (level == 2) {
      if (take("-")) return unary("-");
      Py base = postfix();
      if (!take("**")) return base;
      return join("**", std::move(base), binary(2));
    }
    Py left = binary(level + 1);
    for (;;) {
      std::string_view found;
      for (std::string_view op : kLevels[level]) {
        if (op.empty() || (op == "*" && peek("**"))) continue;
        if (take(op)) {
          found = op;
          break;
        }
      }
      if (found.empty()) return left;
      left = join(found, std::move(left), binary(level + 1));
    }
  }
  bool peek(std::string_view token) {
    skip();
    return text_.substr(at_, token.size()) == token;
  }
  Py unary(std::string_view op) {
    Py e;
    e.kind = Py::kUnary;
    e.text = op;
    e.items.push_back(binary(2));
    return e;
  }
  static Py join(std::string_view op, Py left, Py right) {
    Py e;
    e.kind = Py::kBinary;
    e.text = op;
    e.items.push_back(std::move(left));
    e.items.push_back(std::move(right));
    return e;
  }

  Py postfix() {
    Py e = atom();
    for (;;) {
      if (take("(")) {
        e = call(std::move(e));
      } else if (take("[")) {
        e = index(std::move(e));
      } else if (peek(".") && !peek("...")) {
        take(".");
        Py member;
        member.kind = Py::kIndex;
        member.text = name();
        member.items.push_back(std::move(e));
        e = flatten(std::move(member));
      } else {
        return e;
      }
    }
  }
  // `a.b.c` of plain names becomes one dotted name.
  static Py flatten(Py member) {
    if (member.items[0].kind != Py::kName) return member;
    Py e;
    e.text = member.items[0].text + "." + member.text;
    return e;
  }
  Py call(Py callee) {
    Py e;
    e.kind = Py::kCall;
    e.items.push_back(std::move(callee));
    while (!take(")")) {
      const size_t start = at_;
      skip();
      if (std::isalpha(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_') {
        const std::string key = name();
        if (peek("=") && !peek("==")) {
          take("=");
          e.keywords.push_back({key, binary(0)});
          take(",");
          continue;
        }
        at_ = start;
      }
      e.items.push_back(binary(0));
      if (!take(",") && !peek(")")) error("expected , or )");
    }
    return e;
  }
  Py index(Py value) {
    Py e;
    e.kind = Py::kIndex;
    e.items.push_back(std::move(value));
    while (!take("]")) {
      e.items.push_back(subscript());
      if (!take(",") && !peek("]")) error("expected , or ]");
    }
    return e;
  }
  Py subscript() {
    Py parts[3];
    int n = 0;
    bool colon = false;
    for (;;) {
      if (!peek(":") && !peek(",") && !peek("]")) parts[n] = binary(0);
      if (!take(":")) break;
      colon = true;
      if (++n > 2) error("too many colons");
    }
    if (!colon) return parts[0];
    Py e;
    e.kind = Py::kSlice;
    for (Py& p : parts) e.items.push_back(std::move(p));
    return e;
  }

  std::string name() {
    skip();
    const size_t start = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_'))
      ++at_;
    if (at_ == start) error("expected a name");
    return std::string(text_.substr(start, at_ - start));
  }

  Py atom() {
    skip();
    if (at_ >= text_.size()) error("unexpected end");
    const char c = text_[at_];
    if (take("...")) return named("...");
    if (std::isdigit(static_cast<unsigned char>(c)) || c == '.') return number();
    if (c == '\'' || c == '"') return string(c);
    if (take("(")) return sequence(Py::kTuple, ")");
    if (take("[")) return sequence(Py::kList, "]");
    if (take("-")) return unary("-");
    return named(name());
  }
  static Py named(std::string text) {
    Py e;
    e.text = std::move(text);
    return e;
  }
  Py number() {
    const std::string rest(text_.substr(at_));
    char* end = nullptr;
    std::strtod(rest.c_str(), &end);
    Py e;
    e.kind = Py::kNumber;
    e.text = rest.substr(0, static_cast<size_t>(end - rest.c_str()));
    e.is_float = e.text.find_first_of(".eE") != std::string::npos;
    at_ += e.text.size();
    return e;
  }
  Py string(char quote) {
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) error("string without end");
    Py e;
    e.kind = Py::kString;
    e.text = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return e;
  }
  // A parenthesised single expression is itself, not a tuple.
  Py sequence(Py::Kind kind, std::string_view close) {
    Py e;
    e.kind = kind;
    bool comma = false;
    while (!take(close)) {
      e.items.push_back(binary(0));
      if (take(","))
        comma = true;
      else if (!peek(close))
        error("expected , or a closing bracket");
    }
    if (kind == Py::kTuple && e.items.size() == 1 && !comma) return std::move(e.items[0]);
    return e;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

double Py::number() const {
  if (kind == kUnary) return -items[0].number();
  if (kind != kNumber) throw std::runtime_error("'" + text + "' is not a number");
  return std::strtod(text.c_str(), nullptr);
}

Py parse_py(std::string_view text) { return Parser(text).all(); }

}  // namespace golden
