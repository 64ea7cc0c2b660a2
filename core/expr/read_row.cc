// From the texts of a Source to a Row: parameters, the parts of the kernel and which names each
// part may use, accumulators and their identities.
#include <algorithm>
#include <limits>

#include "core/expr/names.h"
#include "core/expr/row_data.h"

namespace catena::expr {

namespace {

constexpr size_t kMaxAccumulators = 8;

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_type_variable(std::string_view s) {
  return !s.empty() && s.size() <= 16 && is_upper(s[0]) &&
         std::all_of(s.begin(), s.end(), [](char c) {
           return is_upper(c) || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
         });
}

bool blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == text.npos; }

std::string numbered(char which, size_t k) {
  return std::string(1, which).append(std::to_string(k));
}
std::string accumulator(char which, size_t k, size_t of) {
  return of == 1 ? std::string(1, which) : numbered(which, k);
}

class Reader {
 public:
  Reader(const Source& source, std::string_view what)
      : s_(source), what_(what), row_(std::make_unique<RowData>()) {
    row_->what = what;
  }

  std::shared_ptr<const Row> run() {
    declare_all();
    if (blank(s_.reduce)) {
      if (!blank(s_.post) || !blank(s_.identity)) {
        refuse("post and identity belong to a reduction, and reduce is empty");
      }
      read_elementwise();
    } else {
      read_reduction();
    }
    if (!blank(s_.grad)) read_gradient();
    return RowAccess::make(std::move(row_));
  }

 private:
  [[noreturn]] void refuse(const std::string& message) const {
    fail(CTN_EINVAL, std::string(what_) + ": " + message);
  }

  Text text(const char* part, std::string_view text) const { return {what_, part, text}; }

  void declare_all() {
    if (s_.in.size() + s_.out.size() > CTN_FORM_MAX_ARGS) refuse("more than 32 arguments");
    if (s_.scalars.size() > kMaxScalars) refuse("more than 32 scalars");
    if (s_.out.empty()) refuse("there is no output");
    for (const Param& p : s_.in) declare(p, false);
    row_->n_in = static_cast<int32_t>(s_.in.size());
    for (const Param& p : s_.out) declare(p, true);
    for (const Param& p : s_.scalars) {
      const auto index = static_cast<int>(row_->scalars.size());
      check_name(p.name);
      row_->scalars.push_back(
          {p.name, p.type.empty() ? row_->types.scalar(index) : scalar_type(p)});
    }
    // Only now is it known which names are types.
    for (const ArgDecl& a : row_->args) not_a_type(a.name);
    for (const ScalarDecl& a : row_->scalars) not_a_type(a.name);
  }

  Type scalar_type(const Param& p) const {
    if (const int d = dtype_named(p.type); d >= 0) return value_type(d);
    if (row_->types.find_variable(p.type) >= 0) return row_->types.variable(p.type);
    refuse("scalar " + quoted(p.name) + " has the unknown type " + quoted(p.type));
  }

  void declare(const Param& p, bool output) {
    check_name(p.name);
    ArgDecl a;
    a.name = p.name;
    a.role = !output ? CTN_ROLE_IN : p.inout ? CTN_ROLE_INOUT : CTN_ROLE_OUT;
    if (p.inout && !output) refuse(quoted(p.name) + " is marked inout but is an input");
    std::string_view type = p.type;
    if (type.starts_with("raw ")) {
      if (output) refuse(quoted(p.name) + " is an output and cannot be raw");
      a.role = CTN_ROLE_RAW;
      type.remove_prefix(4);
    }
    if (const int d = dtype_named(type); d >= 0) {
      a.dtype = static_cast<uint8_t>(d);
      a.type = value_type(d);
    } else if (is_type_variable(type)) {
      a.type = row_->types.variable(type);
      a.variable = row_->types.find_variable(type);
    } else {
      refuse(quoted(p.name) + " has the unknown type " + quoted(type));
    }
    row_->args.push_back(std::move(a));
  }

  void check_name(const std::string& name) const {
    const std::vector<Token> tokens = tokenize(text("name of a parameter", name));
    if (tokens.size() != 2 || tokens[0].kind != Token::kName) refuse(quoted(name) + " is no name");
    if (name == "i" || name == "n")
      refuse("the name " + quoted(name) + " is taken: i is the index, n the size");
    for (const char* word : {"if", "else", "const", "auto", "true", "false"}) {
      if (name == word) refuse("the name " + quoted(name) + " is a word of the language");
    }
    if (dtype_named(name) >= 0) refuse("the name " + quoted(name) + " is a type");
    const auto same = [&](const auto& other) { return other.name == name; };
    if (std::any_of(row_->args.begin(), row_->args.end(), same) ||
        std::any_of(row_->scalars.begin(), row_->scalars.end(), same)) {
      refuse("the name " + quoted(name) + " appears twice");
    }
  }

  void not_a_type(const std::string& name) const {
    if (row_->types.find_variable(name) >= 0)
      refuse("the name " + quoted(name) + " is a type variable");
  }

  void store_outputs(const Parser& parser, const Text& where, Graph& g) const {
    for (int32_t j = 0; j < row_->n_out(); ++j) {
      const Name& name = parser.name(row_->out(j).name);
      if (name.value == kUnset)
        where.fail(where.text.size(), "output " + quoted(name.name) + " gets no value");
      if (name.value == kHalfSet) {
        where.fail(where.text.size(),
                   "output " + quoted(name.name) + " gets no value on some paths");
      }
      g.effects.push_back({row_->n_in + j, name.value});
    }
  }

  void read_elementwise() {
    Graph& g = row_->map;
    Names names(*row_, g, "map");
    names.inputs();
    names.outputs();
    names.scalars();
    names.source("i", CTN_X_INDEX);
    names.source("n", CTN_X_SIZE);
    const Text map = text("map", s_.map);
    Parser parser(map, row_->types, g, names.take());
    parser.statements(false);
    store_outputs(parser, map, g);
  }

  void read_reduction() {
    for (const ArgDecl& a : row_->args) {
      if (a.role == CTN_ROLE_INOUT)
        refuse(quoted(a.name) + " is inout, which a reduction cannot have");
    }
    std::vector<int> mapped = read_map();
    for (const int v : mapped) row_->accs.push_back({row_->map.type(v)});
    // What reduce makes may be wider than what map gives: a + b of two bools is an int32.
    for (int pass = 0; !read_reduce(); ++pass) {
      if (pass == 4) refuse("reduce: the type of the accumulator does not settle");
    }
    Builder build(row_->types, row_->map, Text{what_, "map", s_.map});
    for (size_t k = 0; k < mapped.size(); ++k) {
      row_->map.effects.push_back(
          {static_cast<int32_t>(k), build.convert(mapped[k], row_->accs[k].type)});
    }
    read_post();
    read_identity();
  }

  // The value per element of each accumulator.
  std::vector<int> read_map() {
    const Text map = text("map", s_.map);
    Graph& g = row_->map;
    Names names(*row_, g, "map");
    names.inputs();
    names.scalars();
    names.source("i", CTN_X_INDEX);
    names.source("n", CTN_X_SIZE);
    const std::vector<std::string> assigned = assigned_names(s_.map, what_);
    size_t count = 0;
    while (std::find(assigned.begin(), assigned.end(), numbered('a', count)) != assigned.end()) {
      names.add({numbered('a', count++), kAuto, kUnset, true});
    }
    if (count > kMaxAccumulators) refuse("map: more than 8 accumulators");
    Parser parser(map, row_->types, g, names.take());
    const int value = parser.statements(count == 0);
    if (count == 0) {
      if (value == kUnset)
        map.fail(map.text.size(), "map must end in an expression, or assign a0, a1, ...");
      return {parser.build().settle(value)};
    }
    std::vector<int> values;
    for (size_t k = 0; k < count; ++k) {
      const Name& name = parser.name(numbered('a', k));
      if (name.value < 0)
        map.fail(map.text.size(), quoted(name.name) + " gets no value on some paths");
      values.push_back(name.value);
    }
    return values;
  }

  // False if an accumulator had to be widened and the text must be read again.
  bool read_reduce() {
    const size_t count = row_->accs.size();
    row_->reduce = Graph();
    Graph& g = row_->reduce;
    Names names(*row_, g, "reduce");
    for (const bool item : {false, true}) {
      for (size_t k = 0; k < count; ++k) {
        const Type t = row_->accs[k].type;
        const int source = item ? CTN_X_ITEM : CTN_X_ACC;
        const int v = g.emit({static_cast<uint16_t>(source), t, static_cast<int32_t>(k)});
        names.add({accumulator(item ? 'b' : 'a', k, count), t, v, !item && count > 1});
      }
    }
    names.scalars();
    const Text reduce = text("reduce", s_.reduce);
    Parser parser(reduce, row_->types, g, names.take());
    const int value = parser.statements(count == 1);
    if (count == 1 && value == kUnset) {
      reduce.fail(reduce.text.size(), "reduce must end in an expression of a and b");
    }
    bool settled = true;
    for (size_t k = 0; k < count; ++k) {
      Type& type = row_->accs[k].type;
      Type made = type;
      int v = value;
      if (count == 1) {
        made = parser.build().type(v);
      } else {
        const Name& name = parser.name(accumulator('a', k, count));
        v = name.value;
        if (name.widest != kUnbound) made = name.widest;
      }
      const bool fits = is_weak(made) || row_->types.covers(type, made);
      const Type wide = fits ? type : row_->types.promote(type, made);
      settled = settled && wide == type;
      type = wide;
      g.effects.push_back({static_cast<int32_t>(k), parser.build().convert(v, type)});
    }
    return settled;
  }

  void read_post() {
    const size_t count = row_->accs.size();
    std::string_view body = s_.post;
    std::string made;
    if (blank(body)) {
      if (count != 1 || row_->n_out() != 1)
        refuse("post is needed with several outputs or accumulators");
      made = row_->out(0).name + " = a";
      body = made;
    }
    Graph& g = row_->post;
    Names names(*row_, g, "post");
    for (size_t k = 0; k < count; ++k) {
      const Type t = row_->accs[k].type;
      const int v = g.emit({CTN_X_ACC, t, static_cast<int32_t>(k)});
      names.add({accumulator('a', k, count), t, v});
    }
    names.outputs();
    names.scalars();
    names.source("n", CTN_X_SIZE);
    const Text post = text("post", body);
    Parser parser(post, row_->types, g, names.take());
    parser.statements(false);
    store_outputs(parser, post, g);
  }

  void read_identity() {
    if (blank(s_.identity)) {
      for (const Effect& e : row_->reduce.effects) guess_identity(e);
      return;
    }
    const Text identity = text("identity", s_.identity);
    Graph g;
    Parser parser(identity, row_->types, g, {});
    const std::vector<int> values = parser.values();
    if (values.size() != row_->accs.size()) {
      identity.fail(0,
                    std::to_string(row_->accs.size()) + " values are needed, one per accumulator");
    }
    for (size_t k = 0; k < values.size(); ++k) {
      const Node& n = g.at(values[k]);
      if (n.op != CTN_X_CONST) identity.fail(0, "an identity must be a constant");
      set_identity(k, n.type, static_cast<Type>(n.a), n.imm);
    }
  }

  void set_identity(size_t k, Type type, Type held, Slot value) {
    row_->accs[k].identity_type = type;
    row_->accs[k].identity_held = held;
    row_->accs[k].identity = value;
  }

  void guess_identity(const Effect& e) {
    const auto k = static_cast<size_t>(e.target);
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    switch (joining_op(row_->reduce, e)) {
      case CTN_X_ADD:
      case CTN_X_OR:
      case CTN_X_XOR: return set_identity(k, kWeakInt, kWeakInt, slot_i(0));
      case CTN_X_MUL: return set_identity(k, kWeakInt, kWeakInt, slot_i(1));
      case CTN_X_AND: return set_identity(k, kWeakInt, kWeakInt, slot_i(-1));
      case CTN_X_MIN: return set_identity(k, kWeakFloat, kWeakFloat, slot_f(kInfinity));
      case CTN_X_MAX: return set_identity(k, kWeakFloat, kWeakFloat, slot_f(-kInfinity));
      default: refuse("identity must be stated for this reduce");
    }
  }

  void read_gradient() {
    for (const ArgDecl& a : row_->args) {
      if (a.role == CTN_ROLE_INOUT) refuse("grad: a kernel with inout arguments has no gradient");
    }
    Graph& g = row_->stated;
    const int32_t n_in = row_->n_in, n_out = row_->n_out();
    Names names(*row_, g, "grad");
    names.inputs();
    for (int32_t j = 0; j < n_out; ++j) names.argument(n_in + j, row_->out(j));
    for (int32_t j = 0; j < n_out; ++j) {
      ArgDecl gy = row_->out(j);
      gy.name = "g" + gy.name;
      if (row_->types.may_float(gy.type)) names.argument(n_in + n_out + j, gy);
    }
    for (int32_t i = 0; i < n_in; ++i) {
      const ArgDecl& a = row_->in(i);
      if (a.role == CTN_ROLE_RAW || !row_->types.may_float(a.type)) continue;
      names.add({"g" + a.name, a.type, kUnset, true});
    }
    names.scalars();
    names.source("i", CTN_X_INDEX);
    const auto n_scalars = static_cast<int32_t>(row_->scalars.size());
    // In a reduction n is the number of elements reduced, which the caller hands in.
    const bool reduces = row_->is_reduction();
    names.source("n", reduces ? CTN_X_SCALAR : CTN_X_SIZE, reduces ? n_scalars : 0);
    const Text grad = text("grad", s_.grad);
    Parser parser(grad, row_->types, g, names.take());
    parser.statements(false);
    for (int32_t i = 0; i < n_in; ++i) {
      const ArgDecl& a = row_->in(i);
      if (a.role == CTN_ROLE_RAW || !row_->types.may_float(a.type)) continue;
      const int value = parser.name("g" + a.name).value;
      if (value == kHalfSet)
        grad.fail(grad.text.size(), quoted("g" + a.name) + " gets no value on some paths");
      if (value != kUnset) g.effects.push_back({i, value});
    }
    row_->has_stated = true;
  }

  const Source& s_;
  std::string_view what_;
  std::unique_ptr<RowData> row_;
};

}  // namespace

std::shared_ptr<const Row> Row::parse(const Source& source, std::string_view what) {
  return Reader(source, what).run();
}

}  // namespace catena::expr
