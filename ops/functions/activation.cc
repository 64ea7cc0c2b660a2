// Activation functions made of others: those that match a parameter to the axes of x, or join
// halves.
#include "functions.h"

namespace catena::functions {

using sdk::Call;
using sdk::Dims;
using sdk::op;
using sdk::Ref;
using sdk::Results;
using sdk::Var;
using sdk::Vars;

namespace {

// p with its axes moved behind the first `axis` ones of x: (1, ..., p's shape, 1, ...).
Var align(Ref p, int ndim, int axis) {
  Dims shape;
  const Dims own = p.shape();
  for (int k = 0; k < axis; ++k) shape.push(1);
  for (const int64_t d : own) shape.push(d);
  while (shape.size() < ndim) shape.push(1);
  return op<"reshape">({p}, {shape});
}

void check_parameter(const Call& call, const char* label) {
  const sdk::Tensor x = call.in(0), p = call.in(1);
  if (x.ndim() < p.ndim() + 1)
    sdk::refuse(label, "in_types[0].ndim >= in_types[1].ndim + 1",
                sdk::text(x.ndim(), " < ", p.ndim() + 1));
  const auto inner = x.shape().subspan(1, p.shape().size());
  if (!std::equal(inner.begin(), inner.end(), p.shape().begin()))
    sdk::refuse(label, sdk::text("in_types[0].shape[1:", p.ndim() + 1, "] == in_types[1].shape"),
                sdk::text(inner, " != ", p.shape()));
}

}  // namespace

int identity_count(const Call& call) { return call.n_in(); }

void identity_compose(const Call&, Vars in, Results& out) {
  for (int k = 0; k < in.size(); ++k) out.set(k, Var(in[k]));
}

Var swish_compose(const Call& call, Vars in) {
  check_parameter(call, "Swish");
  return op<"swish_row">({in[0], align(in[1], call.in(0).ndim(), 1)});
}

Var prelu_compose(const Call& call, Vars in) {
  check_parameter(call, "PReLUFunction");
  return op<"prelu_row">({in[0], align(in[1], call.in(0).ndim(), 1)});
}

Var crelu_compose(const Call& call, Vars in) {
  const int axis = sdk::wrap_axis(call.i(attr::crelu::axis), call.in(0).ndim());
  return op<"concat">({op<"relu">({in[0]}), op<"relu">({-in[0]})}, {axis});
}

Var maxout_compose(const Call& call, Vars in) {
  const sdk::Tensor x = call.in(0);
  const int64_t pool = call.i(attr::maxout::pool_size);
  if (pool <= 0) sdk::fail(CTN_EINVAL, "pool_size must be a positive integer, got ", pool);
  const int axis = sdk::wrap_axis(call.i(attr::maxout::axis), x.ndim());
  const int64_t channels = x.shape(axis);
  if (channels % pool != 0)
    sdk::refuse("Maxout", sdk::text("x.shape[", axis, "] % pool_size == 0"),
                sdk::text("x.shape[", axis, "]=", channels, ", pool_size=", pool));
  Dims shape(x.shape());
  shape[axis] = channels / pool;
  shape.insert(axis + 1, pool);
  return op<"max">({op<"reshape">({in[0]}, {shape})}, {axis + 1});
}

// ---- bias and scale: the same matching from an axis on

namespace {

Var matched(const Call& call, Ref y, int64_t axis_attr) {
  const sdk::Tensor x = call.in(0), p = call.in(1);
  const int64_t axis = axis_attr;
  if (axis < 0 || axis > x.ndim() - p.ndim() ||
      !std::equal(p.shape().begin(), p.shape().end(), x.shape().begin() + axis))
    sdk::fail(CTN_ESHAPE, "the shape of y ", p.shape(), " does not match that of x ", x.shape(),
              " from axis ", axis);
  return align(y, x.ndim(), static_cast<int>(axis));
}

}  // namespace

Var bias_compose(const Call& call, Vars in) {
  return op<"broadcast_add">({in[0], matched(call, in[1], call.i(attr::bias::axis))});
}

Var scale_compose(const Call& call, Vars in) {
  return op<"broadcast_mul">({in[0], matched(call, in[1], call.i(attr::scale::axis))});
}

}  // namespace catena::functions
