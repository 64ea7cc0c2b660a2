// The derived gradient of a row: the passes over its programs, with or without the values of
// outputs, whichever has less to be kept.
#include <bit>

#include "core/expr/derive.h"
#include "core/expr/gradient.h"

namespace catena::expr {

namespace {

// The arguments of a gradient are numbered inputs, outputs, gradients of outputs until compact().
class Derivation {
 public:
  // from_outputs: use an output's value where the derivative needs what was stored there.
  Derivation(const RowData& row, uint64_t needed, uint64_t given, bool from_outputs)
      : row_(row), types_(row.types), needed_(needed), given_(given), from_outputs_(from_outputs) {}

  Graph run() {
    if (row_.is_reduction()) {
      reduction();
    } else {
      Deriver pass(row_.map, g_, types_);
      replace_outputs(pass, row_.map);
      pass.copy_forward(-1);
      pass.find_active(input_leaves());
      seed_outputs(pass, row_.map);
      pass.run();
      collect(pass);
    }
    return std::move(g_);
  }

 private:
  void replace_outputs(Deriver& pass, const Graph& program) {
    if (!from_outputs_) return;
    for (const Effect& e : program.effects) {
      const Node& n = program.at(e.value);
      const bool plain = op_info(n.op).operands == 0 && n.op != CTN_X_ACC;
      if (!plain && types_.may_float(n.type)) {
        pass.replace(e.value, g_.emit({CTN_X_ARG, n.type, e.target}));
      }
    }
  }

  void seed_outputs(Deriver& pass, const Graph& program) {
    for (const Effect& e : program.effects) {
      const Type t = program.type(e.value);
      if (!types_.may_float(t) || !has(given_, e.target - row_.n_in)) continue;
      pass.seed(e.value, g_.emit({CTN_X_ARG, t, e.target + row_.n_out()}));
    }
  }

  std::vector<bool> input_leaves() const {
    std::vector<bool> leaves(static_cast<size_t>(row_.map.size()), false);
    for (int v = 0; v < row_.map.size(); ++v) {
      const Node& n = row_.map.at(v);
      leaves[static_cast<size_t>(v)] = n.op == CTN_X_ARG && n.a < row_.n_in && has(needed_, n.a);
    }
    return leaves;
  }

  void collect(const Deriver& pass) {
    std::vector<int> found(static_cast<size_t>(row_.n_in), -1);
    for (int v = 0; v < row_.map.size(); ++v) {
      const Node& n = row_.map.at(v);
      if (n.op == CTN_X_ARG && n.a < row_.n_in) found[static_cast<size_t>(n.a)] = pass.adjoint(v);
    }
    for (int32_t i = 0; i < row_.n_in; ++i) {
      if (!has(needed_, i)) continue;
      int value = found[static_cast<size_t>(i)];
      if (value < 0) value = g_.constant(row_.in(i).type, kWeakInt, slot_i(0));
      g_.effects.push_back({i, value});
    }
  }

  // Differentiable as it stands only if the accumulators are sums: then the gradient of an element
  // is that of the result times the slope of map.
  void reduction() {
    for (const Effect& e : row_.reduce.effects) {
      if (joining_op(row_.reduce, e) != CTN_X_ADD) {
        no_gradient(row_, "a reduction other than a + b needs a stated gradient");
      }
    }
    Deriver post(row_.post, g_, types_);
    replace_outputs(post, row_.post);
    post.copy_forward(static_cast<int32_t>(row_.scalars.size()));
    std::vector<bool> leaves(static_cast<size_t>(row_.post.size()), false);
    for (int v = 0; v < row_.post.size(); ++v) {
      leaves[static_cast<size_t>(v)] = row_.post.at(v).op == CTN_X_ACC;
    }
    post.find_active(leaves);
    seed_outputs(post, row_.post);
    post.run();

    Deriver map(row_.map, g_, types_);
    map.copy_forward(-1);
    map.find_active(input_leaves());
    for (int v = 0; v < row_.post.size(); ++v) {
      const Node& n = row_.post.at(v);
      if (n.op != CTN_X_ACC || post.adjoint(v) < 0) continue;
      for (const Effect& e : row_.map.effects) {
        if (e.target == n.a) map.seed(e.value, post.adjoint(v));
      }
    }
    map.run();
    collect(map);
  }

  const RowData& row_;
  const TypePool& types_;
  uint64_t needed_, given_;
  bool from_outputs_;
  Graph g_;
};

// Why a derived graph cannot be run, NULL if it can.
const char* defect(const Graph& g, bool of_reduction) {
  if (!of_reduction) return nullptr;
  const std::vector<bool> live = g.live();
  for (int v = 0; v < g.size(); ++v) {
    if (!live[static_cast<size_t>(v)]) continue;
    if (g.at(v).op == CTN_X_ACC) {
      return "the gradient needs an accumulator that no output holds; state the gradient";
    }
    if (g.at(v).op == CTN_X_INDEX) {
      return "the gradient reads i, whose order in a reduction is not the input's; state the "
             "gradient";
    }
  }
  return nullptr;
}

bool has_all(uint64_t mask, int32_t n) {
  const uint64_t all = (UINT64_C(1) << n) - 1;
  return (mask & all) == all;
}

// What reading an output or input costs: it has to be kept. Instructions decide between equals.
std::pair<int, int> cost(const RowData& row, const Graph& g) {
  const std::vector<bool> live = g.live();
  uint64_t reads = 0;
  int nodes = 0;
  for (int v = 0; v < g.size(); ++v) {
    if (!live[static_cast<size_t>(v)]) continue;
    ++nodes;
    const Node& n = g.at(v);
    const bool reads_argument = n.op == CTN_X_ARG || n.op == CTN_X_RAW;
    if (reads_argument && n.a < static_cast<int32_t>(row.args.size())) reads |= UINT64_C(1) << n.a;
  }
  return {std::popcount(reads), nodes};
}

}  // namespace

namespace {

// The better of the two derivations. Throws CTN_EGRAD where neither can be run.
struct Choice {
  Choice(const RowData& row, uint64_t needed, uint64_t given) {
    Graph plain = Derivation(row, needed, given, false).run();
    Graph other = Derivation(row, needed, given, true).run();
    const char* why = defect(plain, row.is_reduction());
    const bool usable = defect(other, row.is_reduction()) == nullptr;
    from_outputs = usable && (why != nullptr || cost(row, other) < cost(row, plain));
    if (why != nullptr && !from_outputs) no_gradient(row, why);
    graph = std::move(from_outputs ? other : plain);
  }
  Graph graph;
  bool from_outputs;
};

}  // namespace

// The choice for all inputs and outputs holds for some of them too: what is kept for a gradient is
// decided when a function is called, before it is known which of them take part.
Graph derive_gradient(const RowData& row, uint64_t needed, uint64_t given) {
  const uint64_t all = candidates(row);
  if (needed == all && has_all(given, row.n_out())) return Choice(row, needed, given).graph;
  try {
    const Choice whole(row, all, ~UINT64_C(0));
    Graph part = Derivation(row, needed, given, whole.from_outputs).run();
    if (defect(part, row.is_reduction()) == nullptr) return part;
  } catch (const Error& e) {
    if (e.code() != CTN_EGRAD) throw;  // for some of them there may be one
  }
  return Choice(row, needed, given).graph;
}

}  // namespace catena::expr
