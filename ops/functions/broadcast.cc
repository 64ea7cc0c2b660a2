// Broadcasting as views with stride 0, and its inverse, a sum.
#include "functions.h"

namespace catena::functions {

using sdk::Call;
using sdk::Dims;
using sdk::Grad;
using sdk::op;
using sdk::Outs;
using sdk::Results;
using sdk::Tensor;
using sdk::Var;
using sdk::Vars;

void broadcast_to_infer(const Call& call, Outs out) {
  const Tensor x = call.in(0);
  const Dims shape(call.ints(attr::broadcast_to::shape));
  const int lead = shape.size() - x.ndim();
  if (lead < 0)
    sdk::refuse("BroadcastTo", sdk::text("in_types[0].ndim <= ", shape.size()),
                sdk::text(x.ndim(), " > ", shape.size()));
  Dims strides = Dims::filled(shape.size(), 0);
  bool same = lead == 0;
  for (int k = 0; k < x.ndim(); ++k) {
    const int64_t want = shape[lead + k];
    if (x.shape(k) == want) {
      strides[lead + k] = x.stride(k);
      continue;
    }
    same = false;
    if (x.shape(k) != 1)
      sdk::refuse("BroadcastTo",
                  sdk::text("in_type[0].shape[", k - x.ndim(), "] == ", want,
                            " or in_type[0].shape[", k - x.ndim(), "] == 1"),
                  sdk::text("in_type[0].shape: ", x.shape()));
  }
  if (same)
    out[0].same(0, x);
  else
    out[0].view(0, x.dtype(), shape, strides, 0);
}

void broadcast_to_backward(Grad& g) {
  if (g.gy()) g.set(0, op<"sum_to">({g.gy()}, {g.in_spec(0).shape()}));
}

int broadcast_count(const Call& call) { return call.n_in(); }

void broadcast_compose(const Call& call, Vars in, Results& out) {
  int ndim = 0;
  for (int k = 0; k < in.size(); ++k) ndim = std::max(ndim, call.in(k).ndim());
  Dims joint = Dims::filled(ndim, 1);
  for (int k = 0; k < in.size(); ++k) {
    const Tensor x = call.in(k);
    for (int d = 0; d < x.ndim(); ++d) {
      int64_t& size = joint[ndim - x.ndim() + d];
      if (x.shape(d) == 1 || x.shape(d) == size) continue;
      if (size != 1)
        sdk::refuse("Broadcast", "each dimension has the same size or is 1",
                    sdk::text(size, " != ", x.shape(d)));
      size = x.shape(d);
    }
  }
  for (int k = 0; k < in.size(); ++k) out.set(k, op<"broadcast_to">({in[k]}, {joint}));
}

Var sum_to_compose(const Call& call, Vars in) {
  const Tensor x = call.in(0);
  const Dims shape(call.ints(attr::sum_to::shape));
  const int lead = x.ndim() - shape.size();
  if (lead < 0) sdk::fail(CTN_ESHAPE, "shape ", shape, " has more dimensions than ", x.shape());
  Dims axes;
  for (int k = 0; k < x.ndim(); ++k) {
    if (k < lead || (shape[k - lead] == 1 && x.shape(k) != 1))
      axes.push(k);
    else if (shape[k - lead] != x.shape(k))
      sdk::fail(CTN_ESHAPE, "shape ", x.shape(), " is not ", shape, " broadcast");
  }
  if (axes.size() == 0) return Var(in[0]);
  const bool only_lead = axes.size() == lead;
  Var y = op<"sum">({in[0]}, {axes, !only_lead});
  return only_lead ? y : op<"reshape">({y}, {shape});
}

}  // namespace catena::functions
