// Copies between devices: a device is named as Chainer does it, by a number, or as everywhere else.
// The runtime does the copying; this knows no backend but the one that Chainer's numbers mean.
#include "functions.h"

namespace catena::functions {

using sdk::Call;
using sdk::Grad;
using sdk::op;
using sdk::Outs;
using sdk::Var;
using sdk::Vars;

namespace {

ctn_device find(ctn_context ctx, std::string_view name) {
  ctn_device device{};
  sdk::check(sdk::api().device_find(ctx, sdk::str(name), &device));
  return device;
}

// -1 is host memory. Other numbers are those of GPUs: of the backend the array is on, else of the
// context's own; where both are in host memory, of cuda.
ctn_device numbered(const Call& call, int64_t number) {
  const ctn_device here = call.in(0).device();
  if (number < -1 || number >= CTN_DEV_NEXT)
    sdk::fail(CTN_EINVAL, "copy: there is no device ", number);
  if (number < 0) return here.type == CTN_DEV_CPU ? here : find(call.context(), "cpu");
  const auto beside = [&](ctn_device d) {  // of the same backend
    d.id = d.id / CTN_DEV_NEXT * CTN_DEV_NEXT + static_cast<int32_t>(number);
    return d;
  };
  if (here.type != CTN_DEV_CPU) return beside(here);
  ctn_device own{};
  sdk::check(sdk::api().context_device(call.context(), &own, nullptr));
  if (own.type != CTN_DEV_CPU) return beside(own);
  return find(call.context(), sdk::text("cuda:", number));
}

}  // namespace

Var copy_compose(const Call& call, Vars in) {
  constexpr int kDst = attr::copy::dst;
  ctn_device to{};
  switch (call.kind(kDst)) {
    case CTN_DEVICE: to = call.device(kDst); break;
    case CTN_STR: to = find(call.context(), call.s(kDst)); break;
    default: to = numbered(call, call.i(kDst));
  }
  return op<"copy_to">({in[0]}, {to, call.in(0).device()});
}

void copy_to_infer(const Call& call, Outs out) {
  out[0].copy(0, call.in(0), call.device(attr::copy_to::to));
}

void copy_to_backward(Grad& g) {
  const ctn_device to = g.device(attr::copy_to::to), from = g.device(attr::copy_to::from);
  if (g.needed(0)) g.set(0, op<"copy_to">({g.gy()}, {from, to}));
}

}  // namespace catena::functions
