// Parsing type checks. The language (plugin.h, ctn_op_def.checks) is a subset of Python's
// expressions:
//
//   check      = [ "if" guard { "and" guard } ":" ] comparison
//   guard      = comparison | [ "not" ] NAME
//   comparison = sum CMP sum { CMP sum }
//   sum        = product { ("+" | "-") product }
//   product    = unary { ("*" | "//" | "%") unary }
//   unary      = "-" unary | primary
//   primary    = INT | "'" KIND "'" | DTYPE | "(" sum ")" | "(" INT "," [ INT { "," INT } ] ")"
//              | ( "prod" | "sum" ) "(" sum ")" | "in_types" "." "size"
//              | INPUT [ "[" INT "]" ] "." ( "ndim" | "size" | "dtype" [ "." "kind" ] | SHAPE )
//              | [ "$" ] ATTR [ "[" sum "]" ]
//   SHAPE      = "shape" [ "[" ( sum | [ sum ] ":" [ sum ] ) "]" ]
#include <algorithm>
#include <optional>

#include "core/checks_tree.h"
#include "core/file.h"
#include "core/registry.h"

namespace catena {
namespace checks {
namespace {

constexpr int kMostDepth = 32;  // of brackets and signs

enum class Token : uint8_t { kEnd, kName, kNumber, kQuoted, kMark };

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Parser {
 public:
  Parser(const Op& op, std::string_view text, Tree& out)
      : op_(op), text_(text), nodes_(out.nodes), guards_(out.guards), checks_(out.checks) {
    next();
  }

  // One check for each link of the chain.
  void parse() {
    const auto first = static_cast<uint32_t>(guards_.size());
    if (is_word("if")) parse_guards();
    const auto n = static_cast<uint32_t>(guards_.size()) - first;
    std::vector<Comparison> chain = parse_chain();
    if (token_ != Token::kEnd) refuse("unexpected " + quoted(word_));
    for (const Comparison& c : chain) {
      Check check;
      check.comparison = c;
      check.first_guard = first;
      check.n_guards = n;
      check.code = is_dtype(c) ? CTN_EDTYPE : CTN_ESHAPE;
      check.each_member = each_member_;
      check.each_entry = each_entry_;
      checks_.push_back(check);
    }
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    fail(CTN_EINVAL, "op " + op_.name + ", check " + quoted(text_) + ", column " +
                         std::to_string(start_ + 1) + ": " + why);
  }

  // ---- tokens

  void next() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    start_ = at_;
    if (at_ == text_.size()) return set(Token::kEnd, 0);
    const char c = text_[at_];
    size_t n = 1;
    if (is_letter(c)) {
      while (at_ + n < text_.size() && (is_letter(text_[at_ + n]) || is_digit(text_[at_ + n]))) ++n;
      return set(Token::kName, n);
    }
    if (is_digit(c)) {
      while (at_ + n < text_.size() && is_digit(text_[at_ + n])) ++n;
      return set(Token::kNumber, n);
    }
    if (c == '\'') {
      if (at_ + 2 >= text_.size() || text_[at_ + 2] != '\'')
        refuse("a kind is one letter in quotes");
      return set(Token::kQuoted, 3);
    }
    const std::string_view pair = text_.substr(at_, 2);
    for (const std::string_view two : {"==", "!=", "<=", ">=", "//"}) {
      if (pair == two) n = 2;
    }
    set(Token::kMark, n);
  }
  void set(Token token, size_t n) {
    token_ = token;
    word_ = text_.substr(at_, n);
    at_ += n;
  }
  bool is_mark(std::string_view mark) const { return token_ == Token::kMark && word_ == mark; }
  bool is_word(std::string_view word) const { return token_ == Token::kName && word_ == word; }
  bool take(std::string_view mark) {
    if (!is_mark(mark)) return false;
    next();
    return true;
  }
  void expect(std::string_view mark) {
    if (!take(mark)) refuse("expected " + quoted(mark));
  }
  std::string_view expect_name(const char* what) {
    if (token_ != Token::kName) refuse(std::string("expected ") + what);
    const std::string_view name = word_;
    next();
    return name;
  }
  int64_t expect_number() {
    const bool minus = take("-");
    if (token_ != Token::kNumber || word_.size() > 18) refuse("expected a number");
    int64_t value = 0;
    for (const char c : word_) value = value * 10 + (c - '0');
    next();
    return minus ? -value : value;
  }

  // ---- nodes

  int32_t add(Node node) {
    nodes_.push_back(std::move(node));
    return static_cast<int32_t>(nodes_.size()) - 1;
  }
  Node& node(int32_t id) { return nodes_[static_cast<size_t>(id)]; }
  const Node& node(int32_t id) const { return nodes_[static_cast<size_t>(id)]; }

  // An attribute that may be a list stands for it where one is wanted.
  void want(int32_t id, Type type) {
    Node& n = node(id);
    if (n.what == What::kAttr && type == Type::kTuple) {
      n.what = What::kAttrTuple;
      n.type = Type::kTuple;
    }
    if (n.type != type) refuse(type == Type::kTuple ? "a shape is wanted" : "a number is wanted");
  }
  // Numbers from here on: a list attribute is tried entry by entry.
  void settle(int32_t id) {
    const Node& n = node(id);
    if (n.what != What::kAttr) return;
    const uint64_t kinds = op_.attrs[static_cast<size_t>(n.index)].kinds;
    if ((kinds & CTN_KIND_BIT(CTN_INTS)) == 0) return;
    if (each_entry_ >= 0 && each_entry_ != n.index) refuse("two lists without an index");
    each_entry_ = n.index;
  }
  int32_t want_number(int32_t id) {
    want(id, Type::kInt);
    settle(id);
    return id;
  }
  bool is_dtype(const Comparison& c) const {
    return node(c.a).type == Type::kDtype || node(c.a).type == Type::kKind;
  }

  // ---- grammar

  void parse_guards() {
    do {
      next();
      guards_.push_back(parse_guard());
    } while (is_word("and"));
    expect(":");
  }

  Guard parse_guard() {
    Guard guard{};
    guard.negated = is_word("not");
    if (guard.negated) next();
    const size_t at = at_, start = start_;
    const Token token = token_;
    const std::string_view word = word_;
    if (token == Token::kName) {
      next();
      if (is_mark(":") || is_word("and")) return name_guard(guard, word);
    }
    if (guard.negated) refuse("'not' stands before a name");
    at_ = at, start_ = start, token_ = token, word_ = word;
    const std::vector<Comparison> chain = parse_chain();
    if (chain.size() != 1) refuse("a guard has one comparison");
    if (each_member_ || each_entry_ >= 0) refuse("a guard cannot name a list as a whole");
    guard.kind = Guard::kComparison;
    guard.comparison = chain[0];
    return guard;
  }

  Guard name_guard(Guard guard, std::string_view name) {
    guard.kind = Guard::kInput;
    for (const InputDef& in : op_.in) {
      if (in.name == name) return guard;
      ++guard.index;
    }
    guard.kind = Guard::kAttr;
    guard.index = 0;
    for (const AttrDef& attr : op_.attrs) {
      if (attr.name == name) return guard;
      ++guard.index;
    }
    refuse("no input or attribute is called " + quoted(name));
  }

  std::optional<Cmp> parse_cmp() {
    constexpr std::string_view kMarks[] = {"==", "!=", "<", "<=", ">", ">="};
    for (size_t i = 0; i < std::size(kMarks); ++i) {
      if (take(kMarks[i])) return static_cast<Cmp>(i);
    }
    return std::nullopt;
  }

  std::vector<Comparison> parse_chain() {
    std::vector<Comparison> chain;
    int32_t left = parse_sum();
    bool shapes = node(left).type == Type::kTuple;
    while (const std::optional<Cmp> cmp = parse_cmp()) {
      const int32_t right = parse_sum();
      shapes = shapes || node(right).type == Type::kTuple;
      chain.push_back({*cmp, left, right});
      left = right;
    }
    if (chain.empty()) refuse("expected a comparison");
    // Neighbours share a side: what one shape makes of the attributes is settled for all at once.
    for (const Comparison& c : chain) check_types(c, shapes);
    return chain;
  }

  void check_types(const Comparison& c, bool shapes) {
    if (shapes) {
      want(c.a, Type::kTuple);
      want(c.b, Type::kTuple);
    }
    const Type type = node(c.a).type;
    if (type != node(c.b).type) refuse("both sides must be numbers, shapes, dtypes or kinds");
    if (type == Type::kInt) {
      settle(c.a);
      settle(c.b);
    } else if (c.cmp != Cmp::kEq && c.cmp != Cmp::kNe) {
      refuse("shapes, dtypes and kinds are equal or not, they have no order");
    }
  }

  int32_t binary(What what, int32_t a, int32_t b) {
    want_number(a);
    want_number(b);
    Node n{what};
    n.a = a;
    n.b = b;
    return add(std::move(n));
  }

  int32_t parse_sum() {
    int32_t left = parse_product();
    while (true) {
      if (take("+")) {
        left = binary(What::kAdd, left, parse_product());
      } else if (take("-")) {
        left = binary(What::kSub, left, parse_product());
      } else {
        return left;
      }
    }
  }

  int32_t parse_product() {
    int32_t left = parse_unary();
    while (true) {
      if (take("*")) {
        left = binary(What::kMul, left, parse_unary());
      } else if (take("//")) {
        left = binary(What::kFloorDiv, left, parse_unary());
      } else if (take("%")) {
        left = binary(What::kMod, left, parse_unary());
      } else {
        return left;
      }
    }
  }

  int32_t parse_unary() {
    if (++depth_ > kMostDepth) refuse("nested too deeply");
    int32_t id = -1;
    if (take("-")) {
      id = negated(parse_unary());
    } else {
      id = parse_primary();
    }
    --depth_;
    return id;
  }

  // "-2" is a number, not an operation: Chainer writes shape[-2].
  int32_t negated(int32_t operand) {
    want_number(operand);
    if (node(operand).what == What::kConst && node(operand).value > 0) {
      node(operand).value = -node(operand).value;
      return operand;
    }
    Node n{What::kNeg};
    n.a = operand;
    return add(std::move(n));
  }

  int32_t parse_primary() {
    if (token_ == Token::kNumber) return constant(What::kConst, Type::kInt, expect_number());
    if (token_ == Token::kQuoted) {
      const char letter = word_[1];
      if (std::string_view("fiub").find(letter) == std::string_view::npos) {
        refuse("the kinds are 'f', 'i', 'u' and 'b'");
      }
      next();
      return constant(What::kKindConst, Type::kKind, letter);
    }
    if (take("(")) return parse_bracket();
    if (take("$")) return parse_attr(expect_name("an attribute"), true);
    return parse_name(expect_name("a number, an input or an attribute"));
  }

  int32_t constant(What what, Type type, int64_t value) {
    Node n{what, type};
    n.value = value;
    return add(std::move(n));
  }

  int32_t parse_bracket() {
    const int32_t first = parse_sum();
    if (take(")")) return first;
    if (node(first).what != What::kConst || !is_mark(",")) refuse("expected ')'");
    Node n{What::kTuple, Type::kTuple};
    n.items.push_back(node(first).value);
    while (take(",") && !is_mark(")")) n.items.push_back(expect_number());
    expect(")");
    return add(std::move(n));
  }

  int32_t parse_name(std::string_view name) {
    for (size_t i = 0; i < op_.in.size(); ++i) {
      if (op_.in[i].name == name) return parse_input(static_cast<int32_t>(i));
    }
    if ((name == "prod" || name == "sum") && is_mark("(")) return parse_call(name);
    if (name == "in_types" && take(".")) {
      if (expect_name("size") != "size") refuse("in_types has only a size");
      return add(Node{What::kCount});
    }
    const int32_t dtype = dtype_from_name(name);
    if (dtype >= 0) return constant(What::kDtypeConst, Type::kDtype, dtype);
    return parse_attr(name, false);
  }

  int32_t parse_call(std::string_view name) {
    expect("(");
    const int32_t argument = parse_sum();
    want(argument, Type::kTuple);
    expect(")");
    Node n{name == "prod" ? What::kProd : What::kSum};
    n.a = argument;
    return add(std::move(n));
  }

  int32_t parse_attr(std::string_view name, bool by_value) {
    constexpr uint64_t kNumbers =
        CTN_KIND_BIT(CTN_INT) | CTN_KIND_BIT(CTN_BOOL) | CTN_KIND_BIT(CTN_INTS);
    for (size_t i = 0; i < op_.attrs.size(); ++i) {
      if (op_.attrs[i].name != name) continue;
      if ((op_.attrs[i].kinds & kNumbers) == 0) refuse(quoted(name) + " is no int, bool or ints");
      Node n{What::kAttr};
      n.index = static_cast<int32_t>(i);
      n.by_value = by_value;
      if (take("[")) {
        n.what = What::kAttrItem;
        n.a = want_number(parse_sum());
        expect("]");
      }
      return add(std::move(n));
    }
    refuse("no input, attribute or dtype is called " + quoted(name));
  }

  int32_t parse_input(int32_t index) {
    Node n{What::kNdim};
    n.index = index;
    const bool variadic = op_.variadic && index + 1 == static_cast<int32_t>(op_.in.size());
    if (variadic && take("[")) {
      const int64_t member = expect_number();
      if (member < 0 || member > 1000) refuse("a member is counted from 0");
      n.index = index + static_cast<int32_t>(member);
      expect("]");
    } else if (variadic) {
      n.index = kMember;
      each_member_ = true;
    }
    expect(".");
    const std::string_view field = expect_name("ndim, size, shape or dtype");
    if (field == "shape") return parse_shape(std::move(n));
    if (field == "dtype") {
      n.what = What::kDtype;
      n.type = Type::kDtype;
      if (take(".")) {
        if (expect_name("kind") != "kind") refuse("a dtype has only a kind");
        n.what = What::kKind;
        n.type = Type::kKind;
      }
      return add(std::move(n));
    }
    if (field != "ndim" && field != "size") refuse("an input has ndim, size, shape and dtype");
    n.what = field == "ndim" ? What::kNdim : What::kSize;
    return add(std::move(n));
  }

  int32_t parse_shape(Node n) {
    n.what = What::kShape;
    n.type = Type::kTuple;
    if (!take("[")) return add(std::move(n));
    if (!is_mark(":")) n.a = want_number(parse_sum());
    if (take(":")) {
      n.what = What::kSlice;
      if (!is_mark("]")) n.b = want_number(parse_sum());
    } else {
      n.what = What::kDim;
      n.type = Type::kInt;
      if (node(n.a).what == What::kConst) {  // the usual case, without another node to visit
        n.value = node(n.a).value;
        n.a = -1;
      }
    }
    expect("]");
    return add(std::move(n));
  }

  const Op& op_;
  std::string_view text_;
  std::vector<Node>& nodes_;
  std::vector<Guard>& guards_;
  std::vector<Check>& checks_;
  size_t at_ = 0, start_ = 0;
  Token token_ = Token::kEnd;
  std::string_view word_;
  int depth_ = 0;
  bool each_member_ = false;
  int32_t each_entry_ = -1;
};

// What an expression op asks for by its flags and type variables, in Chainer's order.
std::vector<std::string> implied(const Op& op) {
  std::vector<std::string> out;
  if (!op.row) return out;
  for (size_t i = 1; i < op.in.size(); ++i) {
    const auto first = std::find_if(op.in.begin(), op.in.end(), [&](const InputDef& in) {
      return in.var == op.in[i].var && in.dtypes == op.in[i].dtypes;
    });
    // A single dtype is checked as a class already.
    if (first->name != op.in[i].name && (first->dtypes & (first->dtypes - 1)) != 0) {
      out.push_back(first->name + ".dtype == " + op.in[i].name + ".dtype");
    }
  }
  for (size_t i = 1; i < op.in.size() && (op.flags & CTN_OP_SAME_SHAPE) != 0; ++i) {
    out.push_back(op.in[0].name + ".shape == " + op.in[i].name + ".shape");
  }
  return out;
}

}  // namespace
}  // namespace checks

std::unique_ptr<const TypeChecks> TypeChecks::parse(const Op& op) {
  std::vector<std::string> texts = checks::implied(op);
  for (const std::string& text : op.check_texts) {
    if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
  }
  if (texts.empty()) return nullptr;
  std::unique_ptr<TypeChecks> out(new TypeChecks);
  out->impl_->first_member = op.in.empty() ? 0 : op.in.size() - 1;
  for (const std::string& text : texts) checks::Parser(op, text, *out->impl_).parse();
  return out;
}

}  // namespace catena
