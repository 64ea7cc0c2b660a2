// An expression as a differentiable function of variables: broadcasting, reductions, and gradients
// of any order by way of the row's own gradient rows. Shared by rows of ops and kernels of users.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include "core/variable.h"

namespace catena {

class ExprFn {
 public:
  // `same_shape`: inputs must have equal shapes instead of being broadcast.
  ExprFn(std::shared_ptr<const expr::Row> row, std::string name, bool same_shape);

  struct Request {
    std::span<Variable* const> in;
    std::span<const ctn_value> scalars;  // one per scalar of the row
    const Op* op = nullptr;
    std::span<const int32_t> out_dtypes;  // -1: as the row says; empty: all -1
    const Space* space = nullptr;         // given for reductions (axes) and gradients (all of it)
  };
  // Writes new handles to out[n_out of the row].
  void call(Context& ctx, const Request& request, std::span<Variable*> out) const;

  // The shape all inputs broadcast to (or must have).
  void find_space(const Request& request, Space& space) const;

  // Gradients of a node made by this function: gx[i] for inputs i in `needed`, from gy[j] (NULL
  // where there is none).
  void backward(Node& node, std::span<Variable* const> gy, uint64_t needed,
                std::span<Ref<Variable>> gx) const;

  const expr::Row& row() const { return *row_; }
  const std::string& name() const { return name_; }
  bool is_reduction() const { return row_->is_reduction(); }

 private:
  struct Gradient;
  const ExprFn& gradient(uint64_t needed, uint64_t given) const;
  using Results = RefStack<Variable, CTN_FORM_MAX_ARGS>;
  // Runs the row over arrays; pushes fresh variables without a graph. request.in is not read.
  void compute(Context& ctx, std::span<Array* const> in, const Request& request, const Space& space,
               size_t n_out, Results& results) const;
  void run_gradient(Node& node, std::span<Variable* const> gy, Request& request, size_t n_out,
                    Results& results) const;
  uint64_t pass_on(const Node& node, std::span<Variable* const> gy, const ExprFn& g,
                   uint64_t needed, const Space& space, std::span<Ref<Variable>> gx) const;
  Ref<Variable> fit(const Node& node, size_t i, Ref<Variable> g, const Space& space) const;
  // Inputs (low half) and outputs (high half) that the gradient for `needed` reads.
  uint64_t reads(uint64_t needed) const;
  void record(Context& ctx, const Request& request, const Space& space,
              std::span<Variable* const> out) const;
  void broadcast(Space& space, std::span<const int64_t> shape, size_t i) const;

  std::shared_ptr<const expr::Row> row_;
  std::string name_;
  bool same_shape_;
  std::vector<Align> align_;  // of inputs, then outputs
  bool keeps_space_;          // some argument is not of the full shape
  static constexpr uint64_t kReadsCached = 16;
  mutable std::atomic<uint64_t> reads_[kReadsCached]{};  // by needed mask; bit 63: known
  mutable FormCache forms_;
  mutable std::mutex mutex_;
  mutable std::atomic<const Gradient*> gradients_{nullptr};  // read without the lock
};

// A gradient row, for the inputs that need one from the outputs that have one.
struct ExprFn::Gradient {
  Gradient(uint64_t needed_, uint64_t given_, std::shared_ptr<const expr::Row> row,
           std::string name)
      : needed(needed_), given(given_), fn(std::move(row), std::move(name), false) {}
  const uint64_t needed, given;
  const Gradient* next = nullptr;
  ExprFn fn;
};

// The function of a row op; made once and kept.
const ExprFn& function_of(const Op& op);
// Sums v over the axes of `space` (and keeps them as 1 if it says so).
Ref<Variable> sum_axes(Context& ctx, Variable& v, const Space& space);
// Sums v down to `shape`, the inverse of broadcasting.
Ref<Variable> sum_to_shape(Context& ctx, Variable& v, std::span<const int64_t> shape);
// Axes of a reduction from its attribute value (absent or None: all); throws CTN_EINVAL naming
// `what`.
uint32_t axes_mask(std::string_view what, const ctn_value& axis, int32_t ndim);

}  // namespace catena
