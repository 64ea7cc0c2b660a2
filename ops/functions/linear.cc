// linear: sizes, and gradients as matrix products.
#include "functions.h"

namespace catena::functions {

using sdk::Call;
using sdk::Grad;
using sdk::op;
using sdk::Outs;
using sdk::Tensor;
using sdk::Var;

void linear_infer(const Call& call, Outs out) {
  const Tensor x = call.in(in::linear::x), w = call.in(in::linear::W);
  const int64_t n = sdk::size_of(x.shape().subspan(1));
  if (n != w.shape(1))
    sdk::refuse("LinearFunction", "in_types[0].shape[1] == in_types[1].shape[1]",
                sdk::text(n, " != ", w.shape(1)));
  out[0].make(x.dtype(), {x.shape(0), w.shape(0)});
}

void linear_backward(Grad& g) {
  const sdk::Ref gy = g.gy();
  if (!gy) return;
  const sdk::Spec x = g.in_spec(in::linear::x), w = g.in_spec(in::linear::W);
  if (g.needed(in::linear::x)) {
    Var gx = cast_to(op<"matmul">({gy, g.in(in::linear::W)}), x.dtype());
    if (x.ndim() != 2) gx = op<"reshape">({gx}, {x.shape()});
    g.set(in::linear::x, gx);
  }
  if (g.needed(in::linear::W)) {
    Var rows(g.in(in::linear::x));
    if (x.ndim() != 2) rows = op<"reshape">({rows}, {sdk::Dims{x.shape(0), w.shape(1)}});
    g.set(in::linear::W, cast_to(op<"matmul">({gy, rows}, {true}), w.dtype()));
  }
  if (g.n_in() > in::linear::b && g.needed(in::linear::b))
    g.set(in::linear::b, op<"sum">({gy}, {int64_t{0}}));
}

}  // namespace catena::functions
