// What a Row holds, for the files that make, differentiate and specialise rows. Knows no text.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/expr/expr.h"
#include "core/expr/graph.h"

namespace catena::expr {

struct ArgDecl {
  std::string name;
  int32_t role = CTN_ROLE_IN;
  int32_t variable = -1;        // type variable, or
  uint8_t dtype = CTN_FLOAT32;  // the fixed dtype
  Type type = 0;                // of its values
};

struct ScalarDecl {
  std::string name;
  Type type = 0;
};

struct Accumulator {
  Type type = 0;
  Type identity_type = 0, identity_held = 0;  // as Node's type and a of a constant
  Slot identity = {.u = 0};
};

struct RowData {
  std::string what;
  TypePool types;
  std::vector<ArgDecl> args;  // inputs, outputs
  int32_t n_in = 0;
  std::vector<ScalarDecl> scalars;
  std::vector<Accumulator> accs;  // none: elementwise
  Graph map, reduce, post;
  bool has_stated = false;
  // The gradient as the text states it. Its arguments are numbered inputs, outputs, gradients of
  // outputs; its effects name the input; scalar n_scalars is the count of a reduction.
  Graph stated;

  // of a gradient
  std::vector<GradArg> grad_args;
  std::vector<int32_t> grad_outputs;
  std::vector<int32_t> grad_passes;
  uint64_t zero_outputs = 0;
  bool takes_count = false;

  mutable std::mutex mutex;  // of the cache
  mutable std::map<std::pair<uint64_t, uint64_t>, std::shared_ptr<const Row>> gradients;

  int32_t n_out() const { return static_cast<int32_t>(args.size()) - n_in; }
  const ArgDecl& in(int32_t i) const { return args[static_cast<size_t>(i)]; }
  const ArgDecl& out(int32_t j) const { return in(n_in + j); }
  bool is_reduction() const { return !accs.empty(); }
};

// The opcode by which a reduce joins accumulator and item of one effect, conversions apart; 0 where
// it does more than one operation.
int joining_op(const Graph& reduce, const Effect& effect);

struct RowAccess {
  static std::shared_ptr<const Row> make(std::unique_ptr<RowData> data) {
    return std::shared_ptr<const Row>(new Row(std::move(data)));
  }
};

}  // namespace catena::expr
