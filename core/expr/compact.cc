// Cuts a gradient down to the arguments it reads and makes a row of it.
#include "core/expr/gradient.h"

namespace catena::expr {

namespace {

class Compaction {
 public:
  Compaction(const RowData& row, const Graph& wide)
      : row_(row), wide_(wide), out_(std::make_unique<RowData>()) {
    out_->types = row.types;
    out_->what = row.what + " (gradient)";
  }

  std::unique_ptr<RowData> run() {
    find_reads();
    for (int32_t k = 0; k < static_cast<int32_t>(reads_.size()); ++k) {
      if (reads_[static_cast<size_t>(k)]) add_argument(k);
    }
    out_->n_in = static_cast<int32_t>(out_->args.size());
    for (const Effect& e : wide_.effects) {
      ArgDecl a = row_.in(e.target);
      a.name = "g" + a.name;
      a.role = CTN_ROLE_OUT;
      out_->args.push_back(std::move(a));
      out_->grad_outputs.push_back(e.target);
    }
    if (out_->args.size() > CTN_FORM_MAX_ARGS)
      no_gradient(row_, "the gradient has more than 32 arguments");
    out_->scalars = row_.scalars;
    if (takes_count_) out_->scalars.push_back({"count", CTN_INT64});
    out_->takes_count = takes_count_ || row_.takes_count;
    rebuild();
    return std::move(out_);
  }

 private:
  const ArgDecl& declaration(int32_t k) const {
    const auto n_args = static_cast<int32_t>(row_.args.size());
    return row_.args[static_cast<size_t>(k < n_args ? k : k - row_.n_out())];
  }

  void find_reads() {
    live_ = wide_.live();
    reads_.assign(row_.args.size() + static_cast<size_t>(row_.n_out()), false);
    for (int v = 0; v < wide_.size(); ++v) {
      if (!live_[static_cast<size_t>(v)]) continue;
      const Node& n = wide_.at(v);
      if (n.op == CTN_X_ARG || n.op == CTN_X_RAW) reads_[static_cast<size_t>(n.a)] = true;
      if (n.op == CTN_X_SCALAR && n.a == static_cast<int32_t>(row_.scalars.size()))
        takes_count_ = true;
    }
    // A type that no argument of the gradient tells: one that does is read for its dtype alone.
    const auto n_args = static_cast<int32_t>(row_.args.size());
    for (int32_t k = 0; k < n_args && !types_known(); ++k) {
      if (declaration(k).variable >= 0 && !binds(declaration(k).variable)) {
        reads_[static_cast<size_t>(k)] = true;
      }
    }
  }

  bool binds(int32_t variable) const {
    for (size_t k = 0; k < reads_.size(); ++k) {
      if (reads_[k] && declaration(static_cast<int32_t>(k)).variable == variable) return true;
    }
    for (const Effect& e : wide_.effects) {
      if (row_.in(e.target).variable == variable) return true;
    }
    return false;
  }

  bool types_known() const {
    std::vector<Type> variables;
    for (size_t k = 0; k < out_->types.variables().size(); ++k) {
      variables.push_back(binds(static_cast<int32_t>(k)) ? Type{CTN_FLOAT32} : kUnbound);
    }
    const std::vector<Type> scalars(row_.scalars.size(), CTN_FLOAT32);
    const std::vector<Type> resolved = out_->types.resolve(variables, scalars);
    for (int v = 0; v < wide_.size(); ++v) {
      const Type t = wide_.type(v);
      if (live_[static_cast<size_t>(v)] && t >= kFirstSymbolic &&
          resolved[t - kFirstSymbolic] == kUnbound) {
        return false;
      }
    }
    return true;
  }

  void add_argument(int32_t k) {
    const auto n_args = static_cast<int32_t>(row_.args.size());
    ArgDecl a = declaration(k);
    if (k < row_.n_in) {
      out_->grad_args.push_back({GradArg::kInput, k});
    } else if (k < n_args) {
      out_->grad_args.push_back({GradArg::kOutput, k - row_.n_in});
    } else {
      out_->grad_args.push_back({GradArg::kGradOutput, k - n_args});
      a.name = "g" + a.name;
    }
    if (a.role == CTN_ROLE_OUT) a.role = CTN_ROLE_IN;
    number_.resize(reads_.size(), -1);
    number_[static_cast<size_t>(k)] = static_cast<int32_t>(out_->args.size());
    out_->args.push_back(std::move(a));
  }

  void rebuild() {
    std::vector<int> here(static_cast<size_t>(wide_.size()), -1);
    Graph& g = out_->map;
    for (int v = 0; v < wide_.size(); ++v) {
      if (!live_[static_cast<size_t>(v)]) continue;
      Node n = wide_.at(v);
      for (int j = 0; j < op_info(n.op).operands; ++j) {
        operand(n, j) = here[static_cast<size_t>(operand(n, j))];
      }
      if (n.op == CTN_X_ARG || n.op == CTN_X_RAW) n.a = number_[static_cast<size_t>(n.a)];
      here[static_cast<size_t>(v)] = g.emit(n);
    }
    int32_t target = out_->n_in;
    for (const Effect& e : wide_.effects) {
      const int value = here[static_cast<size_t>(e.value)];
      const Node& n = g.at(value);
      if (n.op == CTN_X_CONST && n.imm.u == 0) {
        out_->zero_outputs |= UINT64_C(1) << (target - out_->n_in);
      }
      out_->grad_passes.push_back(passed(g, value, row_.in(e.target).type));
      g.effects.push_back({target++, value});
    }
  }

  // The output whose gradient `value` is, widened and narrowed again apart; -1 if it is more.
  int32_t passed(const Graph& g, int value, Type target) const {
    std::vector<Type> by;
    const Node* n = &g.at(value);
    for (; n->op == CTN_X_CAST || n->op == kGate; n = &g.at(n->a))
      if (n->type != target || !by.empty()) by.push_back(n->type);
    if (n->op != CTN_X_ARG) return -1;
    for (const Type t : by)
      if (!out_->types.covers(t, n->type)) return -1;
    const GradArg& a = out_->grad_args[static_cast<size_t>(n->a)];
    return a.kind == GradArg::kGradOutput ? a.index : -1;
  }

  const RowData& row_;
  const Graph& wide_;
  std::unique_ptr<RowData> out_;
  std::vector<bool> live_, reads_;
  std::vector<int32_t> number_;
  bool takes_count_ = false;
};

}  // namespace

std::unique_ptr<RowData> compact_gradient(const RowData& row, const Graph& wide) {
  return Compaction(row, wide).run();
}

}  // namespace catena::expr
