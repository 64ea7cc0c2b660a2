// matmul and batch_matmul. The gradient of a product is a product with the other operand.
#include "functions.h"

namespace catena::functions {

using sdk::Call;
using sdk::Dims;
using sdk::Grad;
using sdk::op;
using sdk::Outs;
using sdk::Ref;
using sdk::Tensor;
using sdk::Var;
using sdk::Vars;

namespace {

// What two floating dtypes meet in: the wider, float32 where two 16-bit ones differ.
ctn_dtype joint(ctn_dtype a, ctn_dtype b) {
  if (a.bits != b.bits) return a.bits > b.bits ? a : b;
  return sdk::same_dtype(a, b) ? a : sdk::dtype_of(CTN_FLOAT32);
}

}  // namespace

void matmul_infer(const Call& call, Outs out) {
  const Tensor a = call.in(0), b = call.in(1);
  const ctn_dtype dtype = joint(a.dtype(), b.dtype());
  if (a.ndim() == 1) {
    out[0].make(dtype, {});
    return;
  }
  const int n = a.ndim();
  Dims shape(a.shape());
  shape[n - 2] = a.shape(call.b(attr::matmul::transa) ? n - 1 : n - 2);
  shape[n - 1] = b.shape(call.b(attr::matmul::transb) ? n - 2 : n - 1);
  out[0].make(dtype, shape.span());
}

void matmul_backward(Grad& g) {
  const Ref gy = g.gy(), a = g.in(0), b = g.in(1);
  if (!gy) return;
  const sdk::Spec a_spec = g.in_spec(0), b_spec = g.in_spec(1);
  if (a_spec.ndim() == 1) {  // gy is a scalar
    const Var all = op<"broadcast_to">({gy}, {a_spec.shape()});
    const auto times = [&](Ref other, ctn_dtype dtype) {
      return cast_to(op<"mul">({all, cast_to(other, gy.dtype())}), dtype);
    };
    if (g.needed(0)) g.set(0, times(b, a_spec.dtype()));
    if (g.needed(1)) g.set(1, times(a, b_spec.dtype()));
    return;
  }
  const bool ta = g.b(attr::matmul::transa), tb = g.b(attr::matmul::transb);
  if (g.needed(0)) {
    const Var ga = ta ? op<"matmul">({b, gy}, {tb, true}) : op<"matmul">({gy, b}, {false, !tb});
    g.set(0, cast_to(ga, a_spec.dtype()));
  }
  if (g.needed(1)) {
    const Var gb = tb ? op<"matmul">({gy, a}, {true, ta}) : op<"matmul">({a, gy}, {!ta, false});
    g.set(1, cast_to(gb, b_spec.dtype()));
  }
}

namespace {

// (B, N) is a batch of N x 1 matrices.
Var as_batch(const Tensor& t, Ref v) {
  if (t.ndim() == 3) return Var(v);
  return op<"reshape">({v}, {Dims{t.shape(0), t.shape(1), 1}});
}

}  // namespace

Var batch_matmul_compose(const Call& call, Vars in) {
  return op<"matmul">({as_batch(call.in(0), in[0]), as_batch(call.in(1), in[1])},
                      {call.b(attr::batch_matmul::transa), call.b(attr::batch_matmul::transb)});
}

}  // namespace catena::functions
