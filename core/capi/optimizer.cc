// C functions of catena.h, section "optimizers".
#include "core/optimizer.h"

#include <cmath>

#include "core/capi/api.h"
#include "core/missing.h"

using namespace catena;

namespace {

const OptimizerEntry& entry_of(ctn_str name) {
  const OptimizerEntry* entry = Registry::get().find_optimizer(view(name));
  if (!entry) fail_missing(Sort::kOptimizer, view(name));
  return *entry;
}

}  // namespace

extern "C" {

ctn_status ctn_optimizer_create(ctn_context ctx, ctn_str name, const ctn_value* hyper,
                                int32_t n_hyper, ctn_optimizer* out) {
  return guarded([&] {
    require(out, "out");
    *out =
        Optimizer::create(*to_context(ctx), entry_of(name), list(hyper, n_hyper, "hyper")).detach();
  });
}
ctn_status ctn_optimizer_create_named(ctn_context ctx, ctn_str name, const ctn_attr* hyper,
                                      int32_t n_hyper, ctn_optimizer* out) {
  return guarded([&] {
    require(out, "out");
    *out =
        Optimizer::create(*to_context(ctx), entry_of(name), list(hyper, n_hyper, "hyper")).detach();
  });
}
void ctn_optimizer_retain(ctn_optimizer o) {
  if (o) static_cast<Optimizer*>(o)->retain();
}
void ctn_optimizer_release(ctn_optimizer o) {
  if (o) static_cast<Optimizer*>(o)->release();
}
ctn_status ctn_optimizer_setup(ctn_optimizer o, ctn_link target) {
  return guarded([&] { to_optimizer(o)->setup(*to_link(target)); });
}
ctn_status ctn_optimizer_update(ctn_optimizer o) {
  return guarded([&] {
    const Ref<Optimizer> own = Ref<Optimizer>::share(to_optimizer(o));  // hooks may let go of it
    own->update();
  });
}

ctn_status ctn_optimizer_set_hyper(ctn_optimizer o, ctn_str name, double value) {
  return guarded([&] { to_optimizer(o)->set_hyper(view(name), value); });
}
ctn_status ctn_optimizer_get_hyper(ctn_optimizer o, ctn_str name, double* out) {
  return guarded([&] {
    require(out, "out");
    *out = to_optimizer(o)->get_hyper(view(name));
  });
}
ctn_status ctn_optimizer_set_rule_hyper(ctn_optimizer o, ctn_str path, ctn_str name, double value) {
  return guarded([&] { to_optimizer(o)->set_rule_hyper(view(path), view(name), value); });
}
ctn_status ctn_optimizer_get_rule_hyper(ctn_optimizer o, ctn_str path, ctn_str name, double* out) {
  return guarded([&] {
    require(out, "out");
    *out = to_optimizer(o)->get_rule_hyper(view(path), view(name));
  });
}
ctn_status ctn_optimizer_enable_rule(ctn_optimizer o, ctn_str path, int32_t enabled) {
  return guarded([&] {
    to_optimizer(o)->rule(view(path)).param->extra->parameter->update_enabled = enabled != 0;
  });
}

ctn_status ctn_optimizer_add_hook(ctn_optimizer o, ctn_str path, ctn_str hook, ctn_str name,
                                  int32_t timing, const ctn_value* attrs, int32_t n_attrs) {
  return guarded([&] {
    const HookEntry* entry = Registry::get().find_hook(view(hook));
    const Values own(list(attrs, n_attrs, "attrs"), view(hook),
                     entry ? std::span<const AttrDef>(entry->attrs) : std::span<const AttrDef>());
    if (!entry) fail_missing(Sort::kHook, view(hook));
    to_optimizer(o)->add_hook(view(path), *entry, view(name), timing, own.get());
  });
}
ctn_status ctn_optimizer_add_callback(ctn_optimizer o, ctn_str path, ctn_str name, int32_t timing,
                                      const ctn_callback* hook) {
  return guarded([&] {
    ctn_value callback{};
    callback.kind = CTN_CALLBACK;
    callback.u.callback = hook;
    const Values own({&callback, 1}, "ctn_optimizer_add_callback");
    to_optimizer(o)->add_callback(view(path), view(name), timing, own[0]);
  });
}
ctn_status ctn_optimizer_remove_hook(ctn_optimizer o, ctn_str path, ctn_str name) {
  return guarded([&] { to_optimizer(o)->remove_hook(view(path), view(name)); });
}

ctn_status ctn_optimizer_set_loss_scale(ctn_optimizer o, double scale) {
  return guarded([&] {
    if (scale < 0 || !std::isfinite(scale))
      fail(CTN_EINVAL, "loss scale is " + std::to_string(scale) + ", not 0 or positive and finite");
    to_optimizer(o)->loss_scale = scale;
  });
}
ctn_status ctn_optimizer_loss_scale(ctn_optimizer o, double* scale) {
  return guarded([&] {
    require(scale, "scale");
    *scale = to_optimizer(o)->loss_scale;
  });
}
ctn_status ctn_optimizer_use_fp32_update(ctn_optimizer o, int32_t enabled) {
  return guarded([&] { to_optimizer(o)->fp32_update = enabled != 0; });
}

ctn_status ctn_optimizer_t(ctn_optimizer o, int64_t* t) {
  return guarded([&] {
    require(t, "t");
    *t = to_optimizer(o)->t;
  });
}
ctn_status ctn_optimizer_epoch(ctn_optimizer o, int64_t* epoch) {
  return guarded([&] {
    require(epoch, "epoch");
    *epoch = to_optimizer(o)->epoch;
  });
}
ctn_status ctn_optimizer_new_epoch(ctn_optimizer o, int64_t* epoch) {
  return guarded([&] {
    const int64_t now = ++to_optimizer(o)->epoch;
    if (epoch) *epoch = now;
  });
}
ctn_status ctn_optimizer_rule_t(ctn_optimizer o, ctn_str path, int64_t* t) {
  return guarded([&] {
    require(t, "t");
    *t = to_optimizer(o)->rule(view(path)).t;
  });
}
ctn_status ctn_optimizer_state(ctn_optimizer o, ctn_str path, ctn_str name, ctn_array* out) {
  return guarded([&] {
    require(out, "out");
    const Optimizer& optimizer = *to_optimizer(o);
    const UpdateRule& rule = to_optimizer(o)->rule(view(path));
    const ctn_optimizer_def& def = optimizer.entry().def;
    for (size_t k = 0; k < rule.states.size(); ++k) {
      if (view(def.state[k].name) != view(name) || !rule.states[k]) continue;
      *out = Ref<Array>(rule.states[k]).detach();
      return;
    }
    fail(CTN_ENOTFOUND, optimizer.entry().name + ": parameter '" + std::string(view(path)) +
                            "' has no state '" + std::string(view(name)) + "' yet");
  });
}
ctn_status ctn_optimizer_target(ctn_optimizer o, ctn_link* out) {
  return guarded([&] {
    require(out, "out");
    *out = Ref<Link>::share(&to_optimizer(o)->target()).detach();
  });
}

}  // extern "C"
