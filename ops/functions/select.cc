// select_item and what it is made of: pick and put_pick, each the gradient of the other.
#include "functions.h"

namespace catena::functions {

using sdk::Call;
using sdk::Dims;
using sdk::Grad;
using sdk::op;
using sdk::Outs;
using sdk::Var;
using sdk::Vars;

Var select_item_compose(const Call&, Vars in) { return op<"pick">({in[0], in[1]}); }

void pick_infer(const Call& call, Outs out) {
  out[0].make(call.in(in::pick::x).dtype(), call.in(in::pick::t).shape());
}

void pick_backward(Grad& g) {
  if (!g.gy()) return;
  const int64_t classes = g.in_spec(in::pick::x).shape(1);
  g.set(in::pick::x,
        op<"put_pick">({g.gy(), g.in(in::pick::t)}, {classes, g[attr::pick::ignore_label]}));
}

void put_pick_infer(const Call& call, Outs out) {
  const sdk::Tensor x = call.in(in::put_pick::x);
  const int64_t n = call.i(attr::put_pick::n);
  if (n < 0 || x.ndim() == 0)
    sdk::fail(CTN_ESHAPE, "elements of shape ", x.shape(), " do not fit into ", n, " classes");
  Dims shape(x.shape());
  shape.insert(1, n);
  out[0].make(x.dtype(), shape);
}

void put_pick_backward(Grad& g) {
  if (!g.gy()) return;
  g.set(in::put_pick::x,
        op<"pick">({g.gy(), g.in(in::put_pick::t)}, {g[attr::put_pick::ignore_label]}));
}

}  // namespace catena::functions
