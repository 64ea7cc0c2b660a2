// Reductions made of rows: weighted means, products, positions of extremes.
#include "functions.h"

namespace catena::functions {

using sdk::Call;
using sdk::Dims;
using sdk::op;
using sdk::Ref;
using sdk::Tensor;
using sdk::Var;
using sdk::Vars;

Dims reduced_axes(const sdk::Attrs& attrs, int axis_attr, int ndim) {
  bool taken[CTN_MAX_NDIM] = {};
  if (attrs.is_none(axis_attr)) {
    for (int k = 0; k < ndim; ++k) taken[k] = true;
  } else {
    for (const int64_t axis : attrs.ints(axis_attr)) {
      const int k = sdk::wrap_axis(axis, ndim);
      if (taken[k]) sdk::fail(CTN_EINVAL, "duplicate value in axis: ", attrs.ints(axis_attr));
      taken[k] = true;
    }
  }
  Dims axes;
  for (int k = 0; k < ndim; ++k)
    if (taken[k]) axes.push(k);
  return axes;
}

namespace {

Var weighted_mean(const Call& call, Vars in, int axis_attr, int keepdims_attr) {
  const sdk::Value axis(call[axis_attr]), keepdims(call[keepdims_attr]);
  if (!in[1]) return op<"mean_row">({in[0]}, {axis, keepdims});
  const Tensor x = call.in(0), w = call.in(1);
  Var weights(in[1]);
  if (!call.is_none(axis_attr)) {
    if (call.ints(axis_attr).size() != 1)
      sdk::fail(CTN_EINVAL, "tuple axis is not supported when weights is given");
    const int k = sdk::wrap_axis(call.ints(axis_attr)[0], x.ndim());
    if (w.ndim() != 1 || w.shape(0) != x.shape(k))
      sdk::fail(CTN_ESHAPE, "weights of shape ", w.shape(), " do not fit axis ", k, " of ",
                x.shape());
    Dims shape = Dims::filled(x.ndim(), 1);
    shape[k] = x.shape(k);
    weights = op<"reshape">({weights}, {shape});
  } else if (!std::equal(x.shape().begin(), x.shape().end(), w.shape().begin(), w.shape().end())) {
    sdk::fail(CTN_ESHAPE, "weights of shape ", w.shape(), " do not fit x of shape ", x.shape());
  }
  const Var total = op<"sum">({op<"broadcast_mul">({in[0], weights})}, {axis, keepdims});
  return op<"broadcast_div">({total, op<"sum">({in[1]})});
}

}  // namespace

// ---- max, min

namespace {

// Elements of the result need elements to choose from.
void check_choice(const Call& call, int axis_attr, const char* name) {
  const Tensor x = call.in(0);
  if (x.size() != 0) return;
  const Dims axes = reduced_axes(call, axis_attr, x.ndim());
  int64_t results = 1;
  for (int k = 0, a = 0; k < x.ndim(); ++k) {
    if (a < axes.size() && axes[a] == k)
      ++a;
    else
      results *= x.shape(k);
  }
  if (results != 0)
    sdk::fail(CTN_EINVAL, "zero-size array to reduction operation ", name,
              " which has no identity");
}

}  // namespace

Var max_compose(const Call& call, Vars in) {
  check_choice(call, attr::max::axis, "maximum");
  return op<"max_row">({in[0]}, {call[attr::max::axis], call[attr::max::keepdims]});
}

Var min_compose(const Call& call, Vars in) {
  check_choice(call, attr::min::axis, "minimum");
  return op<"min_row">({in[0]}, {call[attr::min::axis], call[attr::min::keepdims]});
}

Var mean_compose(const Call& call, Vars in) {
  return weighted_mean(call, in, attr::mean::axis, attr::mean::keepdims);
}

Var average_compose(const Call& call, Vars in) {
  return weighted_mean(call, in, attr::average::axis, attr::average::keepdims);
}

// ---- prod

namespace {

// x[..., begin : begin + n]
Var columns(Ref x, int64_t begin, int64_t n) {
  const Dims all = x.shape();
  Dims start = Dims::filled(all.size(), 0), shape = all;
  start[all.size() - 1] = begin;
  shape[all.size() - 1] = n;
  return op<"slice">({x}, {shape, start, Dims::filled(all.size(), 1)});
}

// Product along the last axis by halving it: ordinary products all the way, so that every order of
// derivative exists, zeros among the factors included.
Var product_of_columns(Ref x, int64_t n) {
  Var y(x), rest;
  while (n > 1) {
    if (n % 2 != 0) {
      const Var last = columns(y, n - 1, 1);
      rest = rest ? rest * last : last;
    }
    n /= 2;
    y = columns(y, 0, n) * columns(y, n, n);
  }
  return rest ? y * rest : y;
}

}  // namespace

Var prod_compose(const Call& call, Vars in) {
  const Tensor x = call.in(0);
  const Dims axes = reduced_axes(call, attr::prod::axis, x.ndim());
  Dims order, kept, result;
  int64_t n = 1;
  for (int k = 0, a = 0; k < x.ndim(); ++k) {
    const bool gone = a < axes.size() && axes[a] == k;
    if (gone) {
      ++a;
      n *= x.shape(k);
      if (call.b(attr::prod::keepdims)) result.push(1);
    } else {
      order.push(k);
      kept.push(x.shape(k));
      result.push(x.shape(k));
    }
  }
  for (const int64_t k : axes) order.push(k);
  if (n == 0) {  // the product of nothing: a sum of nothing, plus one
    const Var none = op<"sum">({in[0]}, {axes, call.b(attr::prod::keepdims)});
    return none + 1.0;
  }
  kept.push(n);
  Var y = op<"transpose">({in[0]}, {order});
  y = op<"reshape">({y}, {kept});
  return op<"reshape">({product_of_columns(y, n)}, {result});
}

// ---- argmax, argmin

namespace {

void check_not_empty(const Call& call, int axis_attr, const char* name) {
  const Tensor x = call.in(0);
  const bool empty = call.is_none(axis_attr)
                         ? x.size() == 0
                         : x.shape(sdk::wrap_axis(call.i(axis_attr), x.ndim())) == 0;
  if (empty) sdk::fail(CTN_EINVAL, "attempt to get ", name, " of an empty sequence");
}

}  // namespace

Var argmax_compose(const Call& call, Vars in) {
  check_not_empty(call, attr::argmax::axis, "argmax");
  return op<"argmax_row">({in[0]}, {call[attr::argmax::axis]});
}

Var argmin_compose(const Call& call, Vars in) {
  check_not_empty(call, attr::argmin::axis, "argmin");
  return op<"argmin_row">({in[0]}, {call[attr::argmin::axis]});
}

}  // namespace catena::functions
