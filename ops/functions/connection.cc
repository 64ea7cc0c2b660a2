// embed_id and its gradient, each the gradient of the other.
#include "functions.h"

namespace catena::functions {

using sdk::Call;
using sdk::Dims;
using sdk::Grad;
using sdk::op;
using sdk::Outs;

void embed_id_infer(const Call& call, Outs out) {
  Dims shape(call.in(in::embed_id::x).shape());
  shape.push(call.in(in::embed_id::W).shape(1));
  out[0].make(call.in(in::embed_id::W).dtype(), shape);
}

void embed_id_backward(Grad& g) {
  if (!g.gy()) return;
  const int64_t rows = g.in_spec(in::embed_id::W).shape(0);
  g.set(in::embed_id::W, op<"embed_id_grad">({g.in(in::embed_id::x), g.gy()},
                                             {rows, g[attr::embed_id::ignore_label]}));
}

void embed_id_grad_infer(const Call& call, Outs out) {
  const sdk::Tensor gy = call.in(in::embed_id_grad::gy);
  const int64_t rows = call.i(attr::embed_id_grad::n);
  if (rows < 0) sdk::fail(CTN_EINVAL, "n is ", rows);
  out[0].make(gy.dtype(), {rows, gy.shape(gy.ndim() - 1)});
}

void embed_id_grad_backward(Grad& g) {
  if (!g.gy()) return;
  g.set(in::embed_id_grad::gy, op<"embed_id">({g.in(in::embed_id_grad::x), g.gy()},
                                              {g[attr::embed_id_grad::ignore_label]}));
}

}  // namespace catena::functions
