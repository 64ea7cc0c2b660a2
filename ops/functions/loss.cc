// Losses: what each adds up and divides by, and the softmax cross entropy's gradients of any order.
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

// True for "mean", false for "no".
bool reduces(std::string_view reduce) {
  if (reduce != "mean" && reduce != "no")
    sdk::fail(CTN_EINVAL, "only 'mean' and 'no' are valid for 'reduce', but '", reduce,
              "' is given");
  return reduce == "mean";
}

}  // namespace

Var sigmoid_cross_entropy_compose(const Call& call, Vars in) {
  const Tensor x = call.in(0);
  if (!reduces(call.s(attr::sigmoid_cross_entropy::reduce)))
    return op<"sigmoid_cross_entropy_row">({in[0], in[1]});
  double divisor = 0;
  if (!call.b(attr::sigmoid_cross_entropy::normalize)) {
    if (x.ndim() == 0) sdk::fail(CTN_ESHAPE, "x has no first axis to take the mean over");
    divisor = static_cast<double>(std::max<int64_t>(x.shape(0), 1));
  }
  return std::move(op<"sigmoid_cross_entropy_mean">.outs<2>({in[0], in[1]}, {divisor})[0]);
}

Var softmax_cross_entropy_compose(const Call& call, Vars in) {
  namespace a = attr::softmax_cross_entropy;
  const bool mean = reduces(call.s(a::reduce));
  const Var weight = in[2] ? cast_to(in[2], call.in(0).dtype()) : Var();
  return op<"softmax_cross_entropy_loss">({in[0], in[1], weight},
                                          {call[a::normalize], call[a::ignore_label], mean});
}

// Numbers of a sample are kept in the type that kernels compute with.
void softmax_cross_entropy_loss_infer(const Call& call, Outs out) {
  const Tensor x = call.in(0), t = call.in(1);
  const bool wide = x.dtype_index() == CTN_FLOAT64;
  const ctn_dtype kept = sdk::dtype_of(wide ? CTN_FLOAT64 : CTN_FLOAT32);
  if (call.b(attr::softmax_cross_entropy_loss::mean))
    out[0].make(x.dtype(), {});
  else
    out[0].make(x.dtype(), t.shape());
  out[1].make(kept, t.shape());
  out[2].make(kept, t.shape());
}

void softmax_cross_entropy_loss_backward(Grad& g) {
  namespace a = attr::softmax_cross_entropy_loss;
  if (!g.gy()) return;
  g.set(0, op<"softmax_cross_entropy_grad">({g.in(0), g.in(1), g.in(2), g.out(1), g.out(2), g.gy()},
                                            {g[a::normalize], g[a::ignore_label], g[a::mean]}));
}

void softmax_cross_entropy_grad_infer(const Call& call, Outs out) { out[0].like(call.in(0)); }

// gx = v * gloss * (p - e), v being what a sample counts, p = softmax(x), e 1 at the label and 0
// elsewhere. With g flowing back:
//   to gloss: v * (sum(g * p) - g at the label)
//   to x:     v * gloss * p * (g - sum(g * p))
void softmax_cross_entropy_grad_backward(Grad& grad) {
  namespace a = attr::softmax_cross_entropy_grad;
  namespace k = in::softmax_cross_entropy_grad;
  const Ref g = grad.gy();
  if (!g) return;
  const Ref x = grad.in(k::x), t = grad.in(k::t), gloss = grad.in(k::gloss);
  const sdk::Spec spec = grad.in_spec(k::x);
  const bool mean = grad.b(a::mean);
  const sdk::Value ignore(grad[a::ignore_label]);
  const Var p = op<"softmax">({x}, {1});
  const Var v = op<"softmax_cross_entropy_weights">(
      {t, grad.in(k::class_weight)},
      {spec.shape(1), spec.dtype(), grad[a::normalize], ignore, mean});
  if (grad.needed(k::gloss)) {
    const Var inner = op<"sum">({g * p}, {1}) - op<"pick">({g, t}, {ignore});
    const Var each = v * inner;
    grad.set(k::gloss, mean ? op<"sum">({each}) : each);
  }
  if (grad.needed(k::x)) {
    Dims lines = spec.shape();
    lines[1] = 1;
    const Var scale = op<"reshape">({op<"broadcast_mul">({v, gloss})}, {lines});
    grad.set(k::x, op<"broadcast_mul">({op<"softmax_grad">({p, g}, {1}), scale}));
  }
}

void softmax_cross_entropy_weights_infer(const Call& call, Outs out) {
  namespace a = attr::softmax_cross_entropy_weights;
  if (!sdk::is_floating(call.dtype(a::typ)))
    sdk::fail(CTN_EDTYPE, "weights of ", sdk::dtype_name(call.dtype(a::typ)), " are not floating");
  out[0].make(call.dtype(attr::softmax_cross_entropy_weights::typ), call.in(0).shape());
}

}  // namespace catena::functions
