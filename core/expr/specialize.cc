// From a row and dtypes to a form: binds the type variables, makes every node again with its fixed
// type (which folds and simplifies what the types decide) and numbers what is live.
#include <algorithm>

#include "core/expr/lex.h"
#include "core/expr/row_data.h"

namespace catena::expr {

namespace {

struct Program {
  std::vector<ctn_inst> insts;
  ctn_program c() const { return {insts.data(), static_cast<int32_t>(insts.size()), 0}; }
};

class Specializer {
 public:
  explicit Specializer(const RowData& row) : row_(row) {}

  std::shared_ptr<const Form> run(std::span<const uint8_t> dtypes,
                                  std::span<const uint8_t> scalars) {
    bind(dtypes);
    set_scalars(scalars);
    resolved_ = row_.types.resolve(variables_, scalar_defaults_);
    ctn_form form{};
    form.size = sizeof form;
    form.version = CTN_FORM_VERSION;
    form.n_args = static_cast<int32_t>(args_.size());
    form.args = args_.data();
    std::vector<uint8_t> types;
    for (const ScalarDecl& s : row_.scalars) types.push_back(static_cast<uint8_t>(fixed(s.type)));
    form.n_scalars = static_cast<int32_t>(types.size());
    form.scalars = types.data();
    const std::vector<ctn_acc> accs = accumulators();
    form.n_acc = static_cast<int32_t>(accs.size());
    form.accs = accs.data();
    const int effect = row_.is_reduction() ? CTN_X_YIELD : CTN_X_STORE;
    const Program map = program(row_.map, effect), reduce = program(row_.reduce, CTN_X_YIELD),
                  post = program(row_.post, CTN_X_STORE);
    if (map.insts.size() + reduce.insts.size() + post.insts.size() > CTN_FORM_MAX_INSTS) {
      fail(CTN_EINVAL,
           row_.what + ": more than " + std::to_string(CTN_FORM_MAX_INSTS) + " instructions");
    }
    form.map = map.c();
    form.reduce = reduce.c();
    form.post = post.c();
    return Form::make(form);
  }

 private:
  [[noreturn]] void refuse(const std::string& message) const {
    fail(CTN_EDTYPE, row_.what + ": " + message);
  }

  void bind(std::span<const uint8_t> dtypes) {
    if (dtypes.size() != row_.args.size()) {
      fail(CTN_EINVAL, row_.what + ": " + std::to_string(row_.args.size()) +
                           " dtypes are needed, not " + std::to_string(dtypes.size()));
    }
    std::vector<const ArgDecl*> binder(row_.types.variables().size(), nullptr);
    bound_.assign(binder.size(), kInfer);
    for (size_t k = 0; k < dtypes.size(); ++k) {
      const ArgDecl& a = row_.args[k];
      const uint8_t d = dtypes[k];
      if (d == kInfer) continue;
      if (d >= CTN_DTYPE_COUNT)
        fail(CTN_EINVAL, row_.what + ": " + quoted(a.name) + " has an unknown dtype");
      if (a.variable < 0) {
        if (d != a.dtype) {
          refuse(quoted(a.name) + " is declared " + type_name(a.dtype) + " and given " +
                 type_name(d));
        }
        continue;
      }
      const auto v = static_cast<size_t>(a.variable);
      if (bound_[v] != kInfer && bound_[v] != d) {
        refuse(quoted(binder[v]->name) + " and " + quoted(a.name) + " are both " +
               row_.types.variables()[v] + " but have dtypes " + type_name(bound_[v]) + " and " +
               type_name(d));
      }
      bound_[v] = d;
      if (binder[v] == nullptr) binder[v] = &a;
    }
    for (size_t k = 0; k < dtypes.size(); ++k) {
      const ArgDecl& a = row_.args[k];
      const uint8_t d = a.variable < 0 ? a.dtype : bound_[static_cast<size_t>(a.variable)];
      if (d == kInfer) {
        refuse("the dtype of " + quoted(a.name) + " is not given, and nothing else is " +
               row_.types.variables()[static_cast<size_t>(a.variable)]);
      }
      args_.push_back({d, static_cast<uint8_t>(a.role), 0});
    }
    for (const uint8_t d : bound_) variables_.push_back(d == kInfer ? kUnbound : value_type(d));
  }

  void set_scalars(std::span<const uint8_t> given) {
    if (!given.empty() && given.size() != row_.scalars.size()) {
      fail(CTN_EINVAL, row_.what + ": " + std::to_string(row_.scalars.size()) +
                           " scalar types are needed, not " + std::to_string(given.size()));
    }
    Type usual = kUnbound;
    for (const ctn_form_arg& a : args_) {
      if (is_float(value_type(a.dtype))) {
        usual = value_type(a.dtype);
        break;
      }
    }
    for (size_t k = 0; k < row_.scalars.size(); ++k) {
      Type t = usual;
      if (t == kUnbound)
        t = given.empty() || given[k] == kInfer ? Type{CTN_FLOAT64} : value_type(given[k]);
      if (t >= CTN_DTYPE_COUNT) fail(CTN_EINVAL, row_.what + ": a scalar has an unknown type");
      scalar_defaults_.push_back(t);
    }
  }

  Type fixed(Type t) const {
    if (t < kFirstSymbolic) return t;
    const Type r = resolved_[t - kFirstSymbolic];
    if (r == kUnbound) {
      fail(CTN_EINTERNAL,
           row_.what + ": type " + row_.types.name(t) + " has no argument that tells it");
    }
    return r;
  }

  std::vector<ctn_acc> accumulators() const {
    std::vector<ctn_acc> accs;
    for (const Accumulator& a : row_.accs) {
      const Type t = fixed(a.type), stated = computed(fixed(a.identity_type));
      const Slot value = cast_value(a.identity, computed(a.identity_held), stated);
      accs.push_back({static_cast<uint8_t>(t), {}, to_bits(cast_value(value, stated, t), t)});
    }
    return accs;
  }

  int make(Graph& g, const Node& from, const std::vector<int>& here) const {
    Node n = from;
    n.type = fixed(from.type);
    if (n.op == CTN_X_CONST) return g.constant(n.type, static_cast<Type>(from.a), from.imm);
    const OpInfo& info = op_info(n.op);
    for (int j = 0; j < info.operands; ++j) {
      operand(n, j) = here[static_cast<size_t>(operand(from, j))];
    }
    if (n.op == CTN_X_CAST) return g.cast(n.a, n.type);
    if (info.takes == Takes::kBits || info.takes == Takes::kInteger) check_integer(from, info);
    // Only a derivative applies a floating function to what turns out an integer: it is 0 there.
    if (info.takes == Takes::kFloat && !is_float(g.type(n.a))) return g.constant(n.type, 0);
    return g.emit(n);
  }

  void check_integer(const Node& from, const OpInfo& info) const {
    const Type t = fixed(from.type);
    if (takes(info.takes, t)) return;
    refuse(std::string("operator ") + info.name + " needs integers, but " +
           row_.types.name(from.type) + " is " + type_name(t));
  }

  Program program(const Graph& from, int effect) const {
    Graph g;
    std::vector<int> here(static_cast<size_t>(from.size()), -1);
    const std::vector<bool> wanted = from.live();
    for (int v = 0; v < from.size(); ++v) {
      const auto k = static_cast<size_t>(v);
      if (wanted[k]) here[k] = make(g, from.at(v), here);
    }
    for (const Effect& e : from.effects) {
      g.effects.push_back({e.target, here[static_cast<size_t>(e.value)]});
    }
    const std::vector<bool> live = g.live();
    std::vector<int> number(static_cast<size_t>(g.size()), -1);
    Program p;
    for (int v = 0; v < g.size(); ++v) {
      if (!live[static_cast<size_t>(v)]) continue;
      Node n = g.at(v);
      if (n.op == CTN_X_CONST) n.a = 0;
      for (int j = 0; j < op_info(n.op).operands; ++j) {
        operand(n, j) = number[static_cast<size_t>(operand(n, j))];
      }
      number[static_cast<size_t>(v)] = static_cast<int>(p.insts.size());
      p.insts.push_back({n.op, static_cast<uint8_t>(n.type), 0, n.a, n.b, n.c, {.u = n.imm.u}});
    }
    for (const Effect& e : g.effects) {
      const auto type = static_cast<uint8_t>(g.type(e.value));
      const int value = number[static_cast<size_t>(e.value)];
      p.insts.push_back({static_cast<uint16_t>(effect), type, 0, e.target, value, 0, {.u = 0}});
    }
    return p;
  }

  const RowData& row_;
  std::vector<uint8_t> bound_;  // dtype of each type variable
  std::vector<ctn_form_arg> args_;
  std::vector<Type> variables_, scalar_defaults_, resolved_;
};

}  // namespace

std::shared_ptr<const Form> Row::specialize(std::span<const uint8_t> arg_dtypes,
                                            std::span<const uint8_t> scalar_types) const {
  return Specializer(*d_).run(arg_dtypes, scalar_types);
}

}  // namespace catena::expr
