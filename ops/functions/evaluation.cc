// What type checks of evaluations cannot say as data.
#include "functions.h"

namespace catena::functions {

void accuracy_infer(const sdk::Call& call, sdk::Outs out) {
  const sdk::Tensor y = call.in(0), t = call.in(1);
  if (y.ndim() < 2) sdk::fail(CTN_ESHAPE, "scores of shape ", y.shape(), " have no second axis");
  for (int k = t.ndim() + 1; k < y.ndim(); ++k)
    if (y.shape(k) != 1)
      sdk::refuse("Accuracy", sdk::text("in_types[0].shape[", k, "] == 1"),
                  sdk::text(y.shape(k), " != 1"));
  if (y.shape(1) == 0 && t.size() != 0)
    sdk::fail(CTN_EINVAL, "attempt to get argmax of an empty sequence");
  out[0].make(y.dtype(), {});
}

}  // namespace catena::functions
