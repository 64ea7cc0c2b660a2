// Reshaping: a view where the strides allow one, otherwise a view of a copy in C order.
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

// Groups of old axes and of new axes with equal products are matched from the left; within a group
// the old axes must lie as one, and the new ones then divide it.
bool view_strides(const Tensor& from, const Dims& to, Dims* strides) {
  *strides = sdk::c_strides(to);
  if (from.contiguous()) return true;
  Dims old_shape, old_strides;  // without axes of size 1, which do not matter
  for (int k = 0; k < from.ndim(); ++k) {
    if (from.shape(k) == 1) continue;
    old_shape.push(from.shape(k));
    old_strides.push(from.stride(k));
  }
  int o = 0, n = 0;
  while (o < old_shape.size() && n < to.size()) {
    int o_end = o + 1, n_end = n + 1;
    int64_t o_size = old_shape[o], n_size = to[n];
    while (o_size != n_size) {
      if (o_size < n_size)
        o_size *= old_shape[o_end++];
      else
        n_size *= to[n_end++];
    }
    for (int k = o; k + 1 < o_end; ++k)
      if (old_strides[k] != old_strides[k + 1] * old_shape[k + 1]) return false;
    int64_t step = old_strides[o_end - 1];
    for (int k = n_end - 1; k >= n; --k) {
      (*strides)[k] = step;
      step *= to[k];
    }
    o = o_end;
    n = n_end;
  }
  return true;  // what is left of the new axes has size 1
}

int64_t times(int64_t a, int64_t b) {
  int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product))
    sdk::fail(CTN_EINVAL, a, " * ", b, " does not fit 64 bits");
  return product;
}

Dims resolve_shape(const Tensor& x, std::span<const int64_t> shape) {
  Dims resolved(shape);
  int unknown = -1;
  int64_t known = 1;
  bool empty = false;  // steps of other axes must fit nevertheless
  for (int k = 0; k < resolved.size(); ++k) {
    if (resolved[k] == 0) {
      empty = true;
    } else if (resolved[k] > 0) {
      if (__builtin_mul_overflow(known, resolved[k], &known))
        sdk::fail(CTN_EINVAL, "shape ", shape, " has too many elements");
    } else if (resolved[k] == -1 && unknown < 0) {
      unknown = k;
    } else {
      sdk::fail(CTN_EINVAL, "can only specify one unknown dimension, got shape ", shape);
    }
  }
  if (empty) known = 0;
  if (unknown < 0) {
    if (known != x.size())
      sdk::refuse("Reshape", sdk::text("prod(in_types[0].shape) == prod(", shape, ")"),
                  sdk::text(x.size(), " != ", known));
    return resolved;
  }
  if (known == 0 || x.size() % known != 0)
    sdk::refuse("Reshape", sdk::text("prod(in_types[0].shape) % known_size(=", known, ") == 0"),
                sdk::text(known == 0 ? x.size() : x.size() % known, " != 0"));
  resolved[unknown] = x.size() / known;
  return resolved;
}

namespace {

Var reshaped(const Tensor& x, sdk::Ref v, const Dims& shape) {
  if (std::equal(shape.begin(), shape.end(), x.shape().begin(), x.shape().end())) return Var(v);
  Dims strides;
  if (view_strides(x, shape, &strides)) return op<"reshape_view">({v}, {shape});
  return op<"reshape_view">({op<"contiguous">({v})}, {shape});
}

}  // namespace

Var reshape_compose(const Call& call, Vars in) {
  const Tensor x = call.in(0);
  return reshaped(x, in[0], resolve_shape(x, call.ints(attr::reshape::shape)));
}

Var flatten_compose(const Call& call, Vars in) {
  return reshaped(call.in(0), in[0], Dims{call.in(0).size()});
}

void reshape_view_infer(const Call& call, Outs out) {
  const Tensor x = call.in(0);
  const Dims shape = resolve_shape(x, call.ints(attr::reshape_view::shape));
  Dims strides;
  if (!view_strides(x, shape, &strides))
    sdk::fail(CTN_EINVAL, "strides ", x.strides(), " of shape ", x.shape(), " cannot be seen as ",
              shape);
  out[0].view(0, x.dtype(), shape, strides, 0);
}

void reshape_view_backward(Grad& g) {
  if (g.gy()) g.set(0, op<"reshape">({g.gy()}, {g.in_spec(0).shape()}));
}

// ---- depth2space, space2depth: six axes, permuted

Var depth2space_compose(const Call& call, Vars in) {
  const Tensor x = call.in(0);
  const int64_t r = call.i(attr::depth2space::r), c = x.shape(1) / (r * r);
  const int64_t b = x.shape(0), h = x.shape(2), w = x.shape(3);
  Var y = op<"reshape">({in[0]}, {Dims{b, r, r, c, h, w}});
  y = op<"transpose">({y}, {Dims{0, 3, 4, 1, 5, 2}});
  return op<"reshape">({y}, {Dims{b, c, times(h, r), times(w, r)}});
}

Var space2depth_compose(const Call& call, Vars in) {
  const Tensor x = call.in(0);
  const int64_t r = call.i(attr::space2depth::r), c = x.shape(1);
  const int64_t b = x.shape(0), h = x.shape(2) / r, w = x.shape(3) / r;
  Var y = op<"reshape">({in[0]}, {Dims{b, c, h, r, w, r}});
  y = op<"transpose">({y}, {Dims{0, 3, 5, 1, 2, 4}});
  return op<"reshape">({y}, {Dims{b, times(c, times(r, r)), h, w}});
}

}  // namespace catena::functions
