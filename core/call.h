// Calling ops and expressions on variables: checks, shape inference, kernels, graph recording. The
// one way forward passes, gradients and links compute. Knows ops by id only.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include "core/variable.h"

namespace catena {

// Calls op; `in` entries may be NULL; `attrs` positional, may be short. Writes new handles to
// out[n_out]. Throws.
void call_op(Context& ctx, const Op& op, std::span<Variable* const> in,
             std::span<const ctn_value> attrs, std::span<Variable*> out);
// How many outputs such a call gives the caller.
int32_t count_outputs(Context& ctx, const Op& op, std::span<Variable* const> in,
                      std::span<const ctn_value> attrs);

struct BackwardOptions {
  bool retain_grad = false;
  bool double_backprop = false;
  double loss_scale = 0;
};
void backward(Variable& v, const BackwardOptions& options);

struct GradOptions : BackwardOptions {
  bool set_grad = false;
  std::span<Variable* const> grad_outputs;
  std::span<Variable* const> grad_inputs;
};
// grads[inputs.size()]: new handles or NULL.
void grad_of(std::span<Variable* const> outputs, std::span<Variable* const> inputs,
             const GradOptions& options, std::span<Variable*> grads);

// a + b as differentiable variables of equal shape and dtype.
Ref<Variable> add_variables(Variable& a, Variable& b);

}  // namespace catena
