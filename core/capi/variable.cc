// C functions of catena.h, section "variables".
#include <algorithm>
#include <cmath>
#include <memory>

#include "core/adopt.h"
#include "core/call.h"
#include "core/capi/api.h"
#include "core/hooks.h"

using namespace catena;

namespace {

// What set_user keeps: a binding's object whose drop may throw, or use the variable again.
struct UserSlot {
  Context* ctx;
  void* user;
  void (*drop)(void*);
};

void drop_slot(void* p) noexcept {
  const std::unique_ptr<UserSlot> slot(static_cast<UserSlot*>(p));
  slot->ctx->shielded("drop of a variable's user slot", [&] { slot->drop(slot->user); });
}

void check_context(const Context* ctx, const Variable& v, const char* what) {
  if (v.ctx != ctx) fail_argument(std::string(what) + " belongs to another context");
}

// A gradient must be of the kind of its variable.
void check_device(const Variable& v, const Variable& g, const char* what) {
  check_context(v.ctx, g, what);
  if (!v.data || !g.data || common_device(v.data->device(), g.data->device())) return;
  fail_argument(std::string(what) + " is on device " + g.data->device().name +
                ", the variable on " + v.data->device().name);
}

void check_fits(const Variable& v, const Variable& g, const char* what) {
  check_context(v.ctx, g, what);
  const Array &a = v.array(), &b = g.array();
  if (a.dtype != b.dtype)
    fail_argument(std::string(what) + " has dtype " + std::string(dtype_name(b.dtype)) +
                      ", the variable has " + std::string(dtype_name(a.dtype)),
                  CTN_EDTYPE);
  if (!std::ranges::equal(a.shape(), b.shape()))
    fail_argument(std::string(what) + " has shape " + shape_text(b.shape()) +
                      ", the variable has " + shape_text(a.shape()),
                  CTN_ESHAPE);
  check_device(v, g, what);
}

void check_all_fit(std::span<Variable* const> to, std::span<Variable* const> grads,
                   const char* what) {
  for (size_t i = 0; i < grads.size(); ++i)
    if (grads[i]) check_fits(*to[i], *grads[i], what);
}

// A variable that held itself would never go.
void check_other(ctn_variable v, ctn_variable g) {
  if (v && v == g) fail_argument("the gradient is the variable itself");
}

double checked_scale(double scale) {
  if (!(scale >= 0) || std::isinf(scale))
    fail(CTN_EINVAL, "backward: loss_scale is " + std::to_string(scale) + ", not 0 or positive");
  return scale;
}

}  // namespace

extern "C" {

ctn_status ctn_variable_new(ctn_array a, int32_t requires_grad, ctn_variable* out) {
  return guarded([&] {
    require(out, "out");
    Array& array = *to_array(a);
    *out = Variable::make(array.ctx(), Ref<Array>::share(&array), requires_grad != 0).detach();
  });
}
void ctn_variable_retain(ctn_variable v) {
  if (v) static_cast<Variable*>(v)->retain();
}
void ctn_variable_release(ctn_variable v) {
  if (v) static_cast<Variable*>(v)->release();
}

ctn_status ctn_variable_array(ctn_variable v, ctn_array* out) {
  return guarded([&] {
    require(out, "out");
    Array& a = to_variable(v)->array();
    a.retain();
    *out = &a;
  });
}
ctn_status ctn_variable_spec(ctn_variable v, ctn_dltensor* out) {
  return guarded([&] {
    require(out, "out");
    to_variable(v)->array().describe(*out);
  });
}
ctn_status ctn_variable_view(ctn_variable v, ctn_dltensor* out) {
  return guarded([&] {
    require(out, "out");
    to_variable(v)->array().fill_tensor(*out);
  });
}
ctn_status ctn_variable_set_array(ctn_variable v, ctn_array a) {
  return guarded([&] { to_variable(v)->set_array(*to_array(a)); });
}
ctn_status ctn_variable_to_device(ctn_variable v, ctn_device device) {
  return guarded([&] {
    Variable& x = *to_variable(v);
    Device& to = x.ctx->device(device);
    const Ref<Array> a = to_device(x.array(), to);
    const Ref<Variable> old = x.shared_grad();
    const Ref<Variable> g =
        old ? Variable::make(*x.ctx, to_device(old->array(), to), false) : nullptr;
    x.set_array(*a);
    if (g) x.set_grad(g.get());
  });
}
ctn_status ctn_variable_grad(ctn_variable v, ctn_variable* out) {
  return guarded([&] {
    require(out, "out");
    Variable* g = to_variable(v)->grad;
    if (g) g->retain();
    *out = g;
  });
}
ctn_status ctn_variable_set_grad(ctn_variable v, ctn_variable g) {
  return guarded([&] {
    check_other(v, g);
    if (g) check_device(*to_variable(v), *to_variable(g), "gradient");
    to_variable(v)->set_grad(static_cast<Variable*>(g));
  });
}
ctn_status ctn_variable_clear_grad(ctn_variable v) {
  return guarded([&] { to_variable(v)->set_grad(nullptr); });
}
ctn_status ctn_variable_add_grad(ctn_variable v, ctn_variable g) {
  return guarded([&] {
    check_other(v, g);
    // Adding runs an op, and hooks of it may let go of either.
    const Ref<Variable> x = Ref<Variable>::share(to_variable(v));
    const Ref<Variable> more = Ref<Variable>::share(to_variable(g));
    const Ref<Variable> now = Ref<Variable>::share(x->grad);
    check_device(*x, *more, "gradient");
    if (now) check_fits(*now, *more, "gradient");
    const Ref<Variable> sum = now ? add_variables(*now, *more) : more;
    x->set_grad(sum.get());
  });
}
int32_t ctn_variable_requires_grad(ctn_variable v) {
  return v ? static_cast<Variable*>(v)->requires_grad : 0;
}
int32_t ctn_variable_rank(ctn_variable v) { return v ? static_cast<Variable*>(v)->rank : 0; }

ctn_status ctn_variable_set_name(ctn_variable v, ctn_str name) {
  return guarded([&] { to_variable(v)->more().name = std::string(view(name)); });
}
ctn_status ctn_variable_name(ctn_variable v, ctn_str* out) {
  return guarded([&] {
    require(out, "out");
    const Variable& x = *to_variable(v);
    *out = x.extra ? str(x.extra->name) : ctn_str{"", 0};
  });
}

ctn_status ctn_variable_creator(ctn_variable v, int32_t* op, ctn_variable* in, int32_t room,
                                int32_t* n) {
  return guarded([&] {
    Node* node = to_variable(v)->creator;
    const std::span<ctn_variable> to = list(in, room, "in");
    const int32_t count = node ? node->n_in : 0;
    for (int32_t i = 0; i < count && i < room; ++i)
      to[static_cast<size_t>(i)] = node->input(i).detach();
    if (op) *op = node && node->op ? node->op->id : -1;
    if (n) *n = count;
  });
}

ctn_status ctn_variable_unchain(ctn_variable v) {
  return guarded([&] { to_variable(v)->unchain(); });
}
ctn_status ctn_variable_unchain_backward(ctn_variable v) {
  return guarded([&] { unchain_backward(*to_variable(v)); });
}
ctn_context ctn_variable_context(ctn_variable v) {
  return v ? static_cast<Variable*>(v)->ctx : nullptr;
}

ctn_status ctn_variable_set_user(ctn_variable v, void* user, void (*drop)(void*)) {
  return guarded([&] {
    Variable& x = *to_variable(v);
    VariableExtra& extra = x.more();
    auto slot = drop ? std::make_unique<UserSlot>(UserSlot{x.ctx, user, drop}) : nullptr;
    // The slot is the new one before the old object hears of it: its drop may come back here.
    void* const old = std::exchange(extra.user, slot ? slot.release() : user);
    const auto old_drop = std::exchange(extra.drop_user, drop ? drop_slot : nullptr);
    if (old_drop) old_drop(old);
  });
}
void* ctn_variable_user(ctn_variable v) {
  const auto* x = static_cast<Variable*>(v);
  if (!x || !x->extra) return nullptr;
  const bool boxed = x->extra->drop_user == drop_slot;
  return boxed ? static_cast<UserSlot*>(x->extra->user)->user : x->extra->user;
}

ctn_status ctn_variable_backward(ctn_variable v, const ctn_backward_options* options) {
  return guarded([&] {
    ctn_backward_options o{};
    if (options) o = adopt(options, "backward options");
    BackwardOptions own;
    own.retain_grad = o.retain_grad != 0;
    own.double_backprop = o.enable_double_backprop != 0;
    own.loss_scale = checked_scale(o.loss_scale);
    const Ref<Variable> root = Ref<Variable>::share(to_variable(v));  // hooks may let go of it
    backward(*root, own);
  });
}

ctn_status ctn_grad_of(const ctn_variable* outputs, int32_t n_out, const ctn_variable* inputs,
                       int32_t n_in, const ctn_grad_options* options, ctn_variable* grads) {
  return guarded([&] {
    const VariableList out(outputs, n_out, "outputs"), in(inputs, n_in, "inputs");
    for (Variable* v : out.get()) require(v, "an output");
    for (Variable* v : in.get()) require(v, "an input");
    if (!n_out) fail_argument("there are no outputs");
    const Context* ctx = out.get()[0]->ctx;
    for (Variable* v : out.get()) check_context(ctx, *v, "an output");
    for (Variable* v : in.get()) check_context(ctx, *v, "an input");
    if (n_in) require(grads, "grads");
    ctn_grad_options o{};
    if (options) o = adopt(options, "grad options");
    const VariableList grad_out(o.grad_outputs, o.grad_outputs ? n_out : 0, "grad_outputs");
    const VariableList grad_in(o.grad_inputs, o.grad_inputs ? n_in : 0, "grad_inputs");
    check_all_fit(out.get(), grad_out.get(), "an entry of grad_outputs");
    check_all_fit(in.get(), grad_in.get(), "an entry of grad_inputs");
    GradOptions own;
    own.set_grad = o.set_grad != 0;
    own.retain_grad = o.retain_grad != 0;
    own.double_backprop = o.enable_double_backprop != 0;
    own.loss_scale = checked_scale(o.loss_scale);
    own.grad_outputs = grad_out.get();
    own.grad_inputs = grad_in.get();
    const HeldVariables held_out(out.get()), held_in(in.get());
    const HeldVariables held_grad_out(grad_out.get()), held_grad_in(grad_in.get());
    VariableResults results(n_in);
    grad_of(out.get(), in.get(), own, results.get());
    results.give(grads);
  });
}

ctn_status ctn_function_hook_add(ctn_context ctx, const ctn_function_hook* hook, uint64_t* id) {
  return guarded([&] {
    require(hook, "hook");
    require(id, "id");
    *id = add_hook(*to_context(ctx), adopt(hook, "function hook"));
  });
}
ctn_status ctn_function_hook_remove(ctn_context ctx, uint64_t id) {
  return guarded([&] { remove_hook(*to_context(ctx), id); });
}

}  // extern "C"
