// dropout: when it does what, and its gradient.
#include "functions.h"

namespace catena::functions {

using sdk::Call;
using sdk::Grad;
using sdk::op;
using sdk::Outs;
using sdk::Results;
using sdk::Var;
using sdk::Vars;

int dropout_count(const Call& call) {
  const bool both = call.b(attr::dropout::return_mask) && sdk::config(call.context(), "train");
  return both ? 2 : 1;
}

void dropout_compose(const Call& call, Vars in, Results& out) {
  const double ratio = call.f(attr::dropout::ratio);
  if (!sdk::config(call.context(), "train")) {
    out.set(0, Var(in[0]));
    return;
  }
  if (!(ratio >= 0 && ratio < 1))
    sdk::fail(CTN_EINVAL, "dropout_ratio must be in the range [0, 1), got ", ratio);
  Var y, mask(in[1]);
  if (mask) {
    y = in[0] * mask;
  } else {
    auto drawn = op<"dropout_random">.outs<2>({in[0]}, {ratio});
    y = std::move(drawn[0]);
    mask = std::move(drawn[1]);
  }
  out.set(0, std::move(y));
  if (out.size() > 1) out.set(1, std::move(mask));
}

void dropout_random_infer(const Call& call, Outs out) {
  const double ratio = call.f(attr::dropout_random::ratio);
  if (!(ratio >= 0 && ratio < 1))
    sdk::fail(CTN_EINVAL, "dropout_ratio must be in the range [0, 1), got ", ratio);
  out[0].like(call.in(0));
  out[1].like(call.in(0));
}

// The mask is a constant: what flows back to it goes nowhere.
void dropout_random_backward(Grad& g) {
  if (g.gy()) g.set(0, g.gy() * g.out(out::dropout_random::mask));
}

}  // namespace catena::functions
