// Local response normalization: shapes, and gradients of any order.
#include "functions.h"

namespace catena::functions {

using sdk::Call;
using sdk::Grad;
using sdk::op;
using sdk::Outs;
using sdk::Ref;
using sdk::Var;

namespace {

void require_window(int64_t n) {
  if (n < 0) sdk::fail(CTN_EINVAL, "a window of ", n, " channels");
}

// The type that kernels compute with.
ctn_dtype wide(ctn_dtype dtype) {
  const bool is_wide = sdk::same_dtype(dtype, sdk::dtype_of(CTN_FLOAT64));
  return is_wide ? dtype : sdk::dtype_of(CTN_FLOAT32);
}

}  // namespace

void local_response_normalization_infer(const Call& call, Outs out) {
  require_window(call.i(attr::local_response_normalization::n));
  out[0].like(call.in(0));
  out[1].make(wide(call.in(0).dtype()), call.in(0).shape());
}

void local_response_normalization_backward(Grad& g) {
  namespace a = attr::local_response_normalization;
  if (g.gy())
    g.set(0, op<"local_response_normalization_grad">({g.in(0), g.out(1), g.gy()},
                                                     {g[a::n], g[a::k], g[a::alpha], g[a::beta]}));
}

void local_response_normalization_grad_infer(const Call& call, Outs out) {
  require_window(call.i(attr::local_response_normalization_grad::n));
  out[0].like(call.in(0));
}

// With W the sum over windows, s = k + alpha * W(x^2), p = s^-beta, r = p / s and
// c = 2 * alpha * beta:
//   gx = gy * p - c * x * W(gy * x * r)
// For g flowing back and v = c * W(g * x):
//   to gy: g * p - v * x * r, the same function of g
//   to s:  h = gy * r * ((1 + beta) * v * x / s - beta * g)
//   to x:  2 * alpha * x * W(h) - c * g * W(gy * x * r) - v * gy * r
void local_response_normalization_grad_backward(Grad& grad) {
  namespace a = attr::local_response_normalization_grad;
  namespace k = in::local_response_normalization_grad;
  if (!grad.gy()) return;
  const int64_t n = grad.i(a::n);
  const double alpha = grad.f(a::alpha), beta = grad.f(a::beta), c = 2 * alpha * beta;
  const auto windows = [n](Ref u) { return op<"channel_window_sum">({u}, {n}); };

  const ctn_dtype own = grad.in_spec(k::x).dtype(), type = wide(own);
  const Var x = cast_to(grad.in(k::x), type), gy = cast_to(grad.in(k::gy), type);
  const Var g = cast_to(grad.gy(), type);
  const Var s = windows(op<"square">({x})) * alpha + grad.f(a::k);
  const Var p = op<"pow_constant">({s}, {-beta}), r = p / s;
  const Var v = windows(g * x) * c;
  if (grad.needed(k::gy)) grad.set(k::gy, cast_to(g * p - v * x * r, own));
  if (!grad.needed(k::x)) return;
  const Var h = gy * r * (v * x / s * (1 + beta) - g * beta);
  const Var to_x = x * windows(h) * (2 * alpha) - g * windows(gy * x * r) * c - v * gy * r;
  grad.set(k::x, cast_to(to_x, own));
}

void channel_window_sum_infer(const Call& call, Outs out) {
  require_window(call.i(attr::channel_window_sum::n));
  out[0].like(call.in(0));
}

void channel_window_sum_backward(Grad& g) {
  if (g.gy()) g.set(0, op<"channel_window_sum">({g.gy()}, {g.i(attr::channel_window_sum::n)}));
}

}  // namespace catena::functions
