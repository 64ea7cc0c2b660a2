// C's tokens, less characters and strings: names, numbers with suffixes, operators, both comments.
#include "core/expr/lex.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>

#include "core/error.h"

namespace catena::expr {

namespace {

constexpr size_t kMaxText = 65536;
constexpr size_t kMaxName = 64;
constexpr size_t kExcerpt = 76;  // characters of the line shown in a message

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

class Lexer {
 public:
  explicit Lexer(const Text& text) : text_(text), s_(text.text) {}

  std::vector<Token> run() {
    if (s_.size() > kMaxText) {
      text_.fail(0, "the text has " + std::to_string(s_.size()) + " bytes, at most " +
                        std::to_string(kMaxText) + " are allowed");
    }
    std::vector<Token> tokens;
    for (skip_space(); at_ < s_.size(); skip_space()) tokens.push_back(next());
    tokens.push_back({Token::kEnd, {}, s_.size()});
    return tokens;
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < s_.size() ? s_[at_ + ahead] : '\0'; }

  void skip_space() {
    while (at_ < s_.size()) {
      if (is_space(s_[at_])) {
        ++at_;
      } else if (s_.substr(at_, 2) == "//") {
        at_ = std::min(s_.find('\n', at_), s_.size());
      } else if (s_.substr(at_, 2) == "/*") {
        const size_t end = s_.find("*/", at_ + 2);
        if (end == std::string_view::npos) text_.fail(at_, "the comment does not end");
        at_ = end + 2;
      } else {
        return;
      }
    }
  }

  Token next() {
    const char c = peek();
    if (is_alpha(c)) return name();
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
    return punct();
  }

  Token name() {
    const size_t start = at_;
    while (is_alpha(peek()) || is_digit(peek())) ++at_;
    if (at_ - start > kMaxName) text_.fail(start, "the name is too long");
    return {Token::kName, s_.substr(start, at_ - start), start};
  }

  Token punct() {
    constexpr std::string_view kLong[] = {"<<=", ">>=", "<=", ">=", "==", "!=", "&&",
                                          "||",  "<<",  ">>", "+=", "-=", "*=", "/=",
                                          "%=",  "&=",  "|=", "^=", "++", "--", "->"};
    const size_t start = at_;
    for (const std::string_view p : kLong) {
      if (s_.substr(at_, p.size()) == p) {
        at_ += p.size();
        return {Token::kPunct, p, start};
      }
    }
    if (std::string_view("+-*/%<>=!&|^~?:;,()[]{}.").find(s_[at_]) == std::string_view::npos) {
      text_.fail(at_, "this character has no meaning here");
    }
    ++at_;
    return {Token::kPunct, s_.substr(start, 1), start};
  }

  Token number() {
    const size_t start = at_;
    const bool hex = peek() == '0' && (peek(1) == 'x' || peek(1) == 'X');
    if (hex) {
      at_ += 2;
      while (std::isxdigit(static_cast<unsigned char>(peek())) != 0) ++at_;
    } else {
      while (is_digit(peek())) ++at_;
    }
    const bool real = !hex && (peek() == '.' || peek() == 'e' || peek() == 'E');
    Token t = real ? real_number(start) : integer(start, hex);
    if (is_alpha(peek()) || is_digit(peek())) text_.fail(at_, "a number cannot end like this");
    t.text = s_.substr(start, at_ - start);
    return t;
  }

  Token real_number(size_t start) {
    if (peek() == '.') ++at_;
    while (is_digit(peek())) ++at_;
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      while (is_digit(peek())) ++at_;
    }
    Token t{Token::kFloat, {}, start, kWeakFloat};
    const char* end = s_.data() + at_;
    const auto got = std::from_chars(s_.data() + start, end, t.real);
    if (got.ec == std::errc::result_out_of_range) {
      text_.fail(start, "no double is this large or this small");
    }
    if (got.ec != std::errc() || got.ptr != end) text_.fail(start, "this is not a number");
    if (peek() == 'f' || peek() == 'F') ++at_;
    return t;
  }

  Token integer(size_t start, bool hex) {
    Token t{Token::kInt, {}, start};
    const char* begin = s_.data() + start + (hex ? 2 : 0);
    const char* end = s_.data() + at_;
    if (!hex && *begin == '0' && end - begin > 1) {
      text_.fail(start, "octal numbers are not supported; drop the leading 0");
    }
    const auto got = std::from_chars(begin, end, t.integer, hex ? 16 : 10);
    if (got.ec == std::errc::result_out_of_range)
      text_.fail(start, "no 64-bit integer is this large");
    if (got.ec != std::errc() || got.ptr != end) text_.fail(start, "this is not a number");
    suffix(t);
    if (t.type == kWeakInt &&
        t.integer > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      t.type = CTN_UINT64;
    }
    if (t.type == CTN_UINT32 && t.integer > std::numeric_limits<uint32_t>::max())
      t.type = CTN_UINT64;
    return t;
  }

  // f as in 1f; u, l, ll and both, as in C.
  void suffix(Token& t) {
    if (peek() == 'f' || peek() == 'F') {
      ++at_;
      t.kind = Token::kFloat;
      t.type = kWeakFloat;
      t.real = static_cast<double>(t.integer);
      return;
    }
    int u = 0, l = 0;
    for (; at_ < s_.size(); ++at_) {
      if ((peek() == 'u' || peek() == 'U') && u == 0) {
        ++u;
      } else if ((peek() == 'l' || peek() == 'L') && l < 2) {
        ++l;
      } else {
        break;
      }
    }
    if (u != 0) t.type = l != 0 ? CTN_UINT64 : CTN_UINT32;
    if (u == 0 && l != 0) t.type = CTN_INT64;
  }

  const Text& text_;
  std::string_view s_;
  size_t at_ = 0;
};

}  // namespace

std::string quoted(std::string_view name) {
  std::string out("'");
  out.append(name).append("'");
  return out;
}

void Text::fail(size_t at, const std::string& message) const {
  at = std::min(at, text.size());
  const size_t before = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
  const size_t start = before == std::string_view::npos ? 0 : before + 1;
  const size_t end = std::min(text.find('\n', at), text.size());
  const auto line =
      1 + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(start), '\n');
  const size_t column = at - start;
  // Of a long line, the piece around the error.
  const size_t from = start + (column > kExcerpt ? column - kExcerpt / 2 : 0);
  std::string excerpt(text.substr(from, std::min(end - from, kExcerpt)));
  for (char& c : excerpt) {
    if (c == '\t' || c == '\r') c = ' ';
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
  }
  std::string out(what);
  if (!part.empty()) out.append(": ").append(part);
  out +=
      ", line " + std::to_string(line) + ", column " + std::to_string(column + 1) + ": " + message;
  out += "\n  " + excerpt + "\n  " + std::string(at - from, ' ') + "^";
  catena::fail(CTN_EINVAL, std::move(out));
}

std::vector<Token> tokenize(const Text& text) { return Lexer(text).run(); }

}  // namespace catena::expr
