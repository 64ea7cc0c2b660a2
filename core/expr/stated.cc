// The stated gradient of a row, for the inputs and output gradients of one request.
#include "core/expr/gradient.h"

namespace catena::expr {

namespace {

// Copies the stated gradient for some inputs. An output without a gradient counts as zero: what is
// proportional to it vanishes (value -1), whatever the other factors are.
class Selection {
 public:
  Selection(const RowData& row, uint64_t given) : row_(row), given_(given) {}

  Graph run(uint64_t needed) {
    const Graph& f = row_.stated;
    std::vector<Effect> wanted;
    for (int32_t i = 0; i < row_.n_in; ++i) {
      if (!has(needed, i)) continue;
      const int value = stated_for(i);
      if (value < 0) no_gradient(row_, "the stated gradient does not assign g" + row_.in(i).name);
      wanted.push_back({i, value});
    }
    for (int v = 0; v < f.size(); ++v) here_.push_back(copy(f.at(v)));
    for (const Effect& e : wanted) g_.effects.push_back({e.target, present(e.value)});
    return std::move(g_);
  }

 private:
  int stated_for(int32_t input) const {
    for (const Effect& e : row_.stated.effects) {
      if (e.target == input) return e.value;
    }
    return -1;
  }

  int here(int v) const { return here_[static_cast<size_t>(v)]; }
  int present(int v) {
    return here(v) >= 0 ? here(v) : g_.constant(row_.stated.type(v), kWeakInt, slot_i(0));
  }

  int copy(const Node& from) {
    Node n = from;
    const auto first_gy = static_cast<int32_t>(row_.args.size());
    if (n.op == CTN_X_ARG && n.a >= first_gy && !has(given_, n.a - first_gy)) return -1;
    const int count = op_info(n.op).operands;
    bool any = false, all = count > 0;
    for (int j = 0; j < count; ++j) {
      const bool absent = here(operand(n, j)) < 0;
      any = any || absent;
      all = all && absent;
    }
    if (any) {
      const bool a = here(operand(n, 0)) >= 0;
      switch (n.op) {
        case CTN_X_CAST:
        case kGate:
        case CTN_X_NEG:
        case CTN_X_MUL: return -1;
        case CTN_X_DIV:
        case kDivide:
          if (!a) return -1;
          break;
        case CTN_X_ADD:
          if (!all) return a ? here(n.a) : here(n.b);
          return -1;
        case CTN_X_SUB:
          if (!all) return a ? here(n.a) : g_.unary(CTN_X_NEG, n.type, here(n.b));
          return -1;
        case CTN_X_SELECT:
          if (here(n.b) < 0 && here(n.c) < 0) return -1;
          break;
        default: break;
      }
    }
    for (int j = 0; j < count; ++j) operand(n, j) = present(operand(from, j));
    return g_.emit(n);
  }

  const RowData& row_;
  uint64_t given_;
  Graph g_;
  std::vector<int> here_;
};

}  // namespace

Graph select_stated(const RowData& row, uint64_t needed, uint64_t given) {
  return Selection(row, given).run(needed);
}

}  // namespace catena::expr
