// Views that permute, insert, remove or reverse axes.
#include "functions.h"

namespace catena::functions {

using sdk::Call;
using sdk::Dims;
using sdk::Grad;
using sdk::op;
using sdk::Outs;
using sdk::Tensor;
using sdk::Var;
using sdk::Vars;

namespace {

// Axis k of the result is axis order[k] of the input.
void permute(const Call& call, Outs out, const Dims& order) {
  const Tensor x = call.in(0);
  Dims shape, strides;
  for (const int64_t k : order) {
    shape.push(x.shape(static_cast<int>(k)));
    strides.push(x.stride(static_cast<int>(k)));
  }
  out[0].view(0, x.dtype(), shape, strides, 0);
}

void permute_back(Grad& g, const Dims& order) {
  if (!g.gy()) return;
  Dims inverse = Dims::filled(order.size(), 0);
  for (int k = 0; k < order.size(); ++k) inverse[static_cast<int>(order[k])] = k;
  g.set(0, op<"transpose">({g.gy()}, {inverse}));
}

Dims identity_order(int ndim) {
  Dims order;
  for (int k = 0; k < ndim; ++k) order.push(k);
  return order;
}

Dims transpose_order(const sdk::Attrs& attrs, int ndim) {
  Dims order;
  if (attrs.is_none(attr::transpose::axes)) {
    for (int k = ndim - 1; k >= 0; --k) order.push(k);
    return order;
  }
  const auto axes = attrs.ints(attr::transpose::axes);
  bool taken[CTN_MAX_NDIM] = {};
  for (const int64_t axis : axes) {
    const int k = sdk::wrap_axis(axis, ndim, "axes:");
    if (taken[k]) sdk::fail(CTN_EINVAL, "repeated axis in transpose: ", axes);
    taken[k] = true;
    order.push(k);
  }
  if (order.size() != ndim)
    sdk::refuse("Transpose", "in_types[0].ndim == len(axes)",
                sdk::text(ndim, " != ", order.size()));
  return order;
}

Dims swapaxes_order(const sdk::Attrs& attrs, int ndim) {
  Dims order = identity_order(ndim);
  std::swap(order[sdk::wrap_axis(attrs.i(attr::swapaxes::axis1), ndim, "axis1")],
            order[sdk::wrap_axis(attrs.i(attr::swapaxes::axis2), ndim, "axis2")]);
  return order;
}

Dims rollaxis_order(const sdk::Attrs& attrs, int ndim) {
  const int axis = sdk::wrap_axis(attrs.i(attr::rollaxis::axis), ndim);
  int64_t start = attrs.i(attr::rollaxis::start);
  if (start < -ndim || start > ndim)
    sdk::refuse("Rollaxis", sdk::text("-in_types[0].ndim <= ", start, " <= in_types[0].ndim"),
                sdk::text("in_types[0].ndim: ", ndim));
  if (start < 0) start += ndim;
  Dims order = identity_order(ndim);
  order.erase(axis);
  order.insert(static_cast<int>(start > axis ? start - 1 : start), axis);
  return order;
}

}  // namespace

void transpose_infer(const Call& call, Outs out) {
  permute(call, out, transpose_order(call, call.in(0).ndim()));
}
void transpose_backward(Grad& g) { permute_back(g, transpose_order(g, g.in_spec(0).ndim())); }

void swapaxes_infer(const Call& call, Outs out) {
  permute(call, out, swapaxes_order(call, call.in(0).ndim()));
}
void swapaxes_backward(Grad& g) { permute_back(g, swapaxes_order(g, g.in_spec(0).ndim())); }

void rollaxis_infer(const Call& call, Outs out) {
  permute(call, out, rollaxis_order(call, call.in(0).ndim()));
}
void rollaxis_backward(Grad& g) { permute_back(g, rollaxis_order(g, g.in_spec(0).ndim())); }

// ---- axes of size 1

void expand_dims_infer(const Call& call, Outs out) {
  const Tensor x = call.in(0);
  const int axis = sdk::wrap_axis(call.i(attr::expand_dims::axis), x.ndim() + 1);
  Dims shape(x.shape()), strides(x.strides());
  // A stride that keeps C order what it was.
  const int64_t stride = axis < x.ndim() ? x.shape(axis) * x.stride(axis) : 1;
  shape.insert(axis, 1);
  strides.insert(axis, stride);
  out[0].view(0, x.dtype(), shape, strides, 0);
}

void expand_dims_backward(Grad& g) {
  if (g.gy()) g.set(0, op<"reshape">({g.gy()}, {g.in_spec(0).shape()}));
}

void squeeze_infer(const Call& call, Outs out) {
  const Tensor x = call.in(0);
  const bool all = call.is_none(attr::squeeze::axis);
  bool gone[CTN_MAX_NDIM] = {};
  if (!all) {
    for (const int64_t axis : call.ints(attr::squeeze::axis)) {
      const int k = sdk::wrap_axis(axis, x.ndim());
      if (x.shape(k) != 1)
        sdk::fail(CTN_EINVAL,
                  "cannot select an axis to squeeze out which has size not equal to one: axis ", k,
                  " of ", x.shape());
      gone[k] = true;
    }
  }
  Dims shape, strides;
  for (int k = 0; k < x.ndim(); ++k) {
    if (all ? x.shape(k) == 1 : gone[k]) continue;
    shape.push(x.shape(k));
    strides.push(x.stride(k));
  }
  out[0].view(0, x.dtype(), shape, strides, 0);
}

void squeeze_backward(Grad& g) {
  if (g.gy()) g.set(0, op<"reshape">({g.gy()}, {g.in_spec(0).shape()}));
}

// ---- flip

void flip_infer(const Call& call, Outs out) {
  const Tensor x = call.in(0);
  const int axis = sdk::wrap_axis(call.i(attr::flip::axis), x.ndim());
  Dims strides(x.strides());
  const int64_t last = x.shape(axis) > 0 ? x.shape(axis) - 1 : 0;
  const int64_t offset = last * strides[axis];
  strides[axis] = -strides[axis];
  out[0].view(0, x.dtype(), x.shape(), strides, offset);
}

void flip_backward(Grad& g) {
  if (g.gy()) g.set(0, op<"flip">({g.gy()}, {g.i(attr::flip::axis)}));
}

Var fliplr_compose(const Call&, Vars in) { return op<"flip">({in[0]}, {1}); }
Var flipud_compose(const Call&, Vars in) { return op<"flip">({in[0]}, {0}); }

}  // namespace catena::functions
