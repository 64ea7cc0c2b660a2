// softmax and log_softmax: gradients of any order.
#include "functions.h"

namespace catena::functions {

using sdk::Call;
using sdk::Grad;
using sdk::op;
using sdk::Outs;
using sdk::Ref;
using sdk::Var;

namespace {

Var sum_along(Ref x, int64_t axis) { return op<"sum">({x}, {axis, true}); }

Var times(Ref a, Ref b) { return op<"broadcast_mul">({a, b}); }

}  // namespace

void softmax_infer(const Call& call, Outs out) { out[0].like(call.in(0)); }

void softmax_backward(Grad& g) {
  if (g.gy()) g.set(0, op<"softmax_grad">({g.out(0), g.gy()}, {g.i(attr::softmax::axis)}));
}

void softmax_grad_infer(const Call& call, Outs out) { out[0].like(call.in(0)); }

// Of gx = y * (gy - s), s = sum(gy * y), with g flowing back:
//   to y:  g * (gy - s) - gy * sum(g * y)
//   to gy: y * (g - sum(g * y)), the same function of g
void softmax_grad_backward(Grad& grad) {
  const Ref g = grad.gy();
  if (!g) return;
  const Ref y = grad.in(in::softmax_grad::y), gy = grad.in(in::softmax_grad::gy);
  const int64_t axis = grad.i(attr::softmax_grad::axis);
  if (grad.needed(in::softmax_grad::y)) {
    const Var inner = op<"broadcast_sub">({gy, sum_along(times(gy, y), axis)});
    grad.set(in::softmax_grad::y, times(g, inner) - times(gy, sum_along(times(g, y), axis)));
  }
  if (grad.needed(in::softmax_grad::gy))
    grad.set(in::softmax_grad::gy, op<"softmax_grad">({y, g}, {axis}));
}

void log_softmax_infer(const Call& call, Outs out) { out[0].like(call.in(0)); }

void log_softmax_backward(Grad& g) {
  if (g.gy()) g.set(0, op<"log_softmax_grad">({g.out(0), g.gy()}));
}

void log_softmax_grad_infer(const Call& call, Outs out) { out[0].like(call.in(0)); }

// Of gx = gy - exp(y) * sum(gy), with g flowing back:
//   to y:  -g * exp(y) * sum(gy)
//   to gy: g - sum(g * exp(y))
void log_softmax_grad_backward(Grad& grad) {
  const Ref g = grad.gy();
  if (!g) return;
  const Ref gy = grad.in(in::log_softmax_grad::gy);
  const Var weighted = g * op<"exp">({grad.in(in::log_softmax_grad::y)});
  if (grad.needed(in::log_softmax_grad::y))
    grad.set(in::log_softmax_grad::y, -times(weighted, sum_along(gy, 1)));
  if (grad.needed(in::log_softmax_grad::gy))
    grad.set(in::log_softmax_grad::gy, op<"broadcast_sub">({g, sum_along(weighted, 1)}));
}

}  // namespace catena::functions
