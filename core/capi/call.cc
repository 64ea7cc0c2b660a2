// C functions of catena.h, section "calling functions".
#include "core/call.h"

#include <functional>

#include "core/adopt.h"
#include "core/capi/api.h"
#include "core/expr_fn.h"
#include "core/missing.h"

using namespace catena;

namespace {

const Op& op_of(int32_t id) {
  const Op* op = Registry::get().op(id);
  if (!op) [[unlikely]]
    fail(CTN_ENOTFOUND, "there is no op with id " + std::to_string(id));
  return *op;
}

// A user's kernel and the context it was made in. The function lives with the process, found again
// by its text, as cuda.elementwise memoizes kernels.
struct UserKernel : ctn_kernel_s {
  std::atomic<int32_t> refs{1};
  Context* ctx = nullptr;
  const ExprFn* fn = nullptr;
};

UserKernel& kernel_of(ctn_kernel k) {
  require(k, "kernel");
  return *static_cast<UserKernel*>(k);
}

const ExprFn& kernel_function(const ctn_kernel_source& s) {
  static auto* mutex = new std::mutex;
  static auto* table = new std::map<std::string, const ExprFn*>;
  std::string key;
  for (const ctn_str& part : {s.name, s.in, s.out, s.map, s.reduce, s.post, s.identity, s.grad})
    key.append(view(part)).push_back('\0');
  std::lock_guard lock(*mutex);
  const ExprFn*& slot = (*table)[key];
  if (slot) return *slot;
  const std::string name(s.name.n ? view(s.name) : "kernel");
  expr::Source source;
  source.in = expr::parse_params(view(s.in), name);
  source.out = expr::parse_params(view(s.out), name);
  source.map = view(s.map);
  source.reduce = view(s.reduce);
  source.post = view(s.post);
  source.identity = view(s.identity);
  source.grad = view(s.grad);
  slot = new ExprFn(expr::Row::parse(source, name), name, false);
  return *slot;
}

// Before anything is read or made for them: counts that no call of the op can have. What depends on
// the call is checked by the call itself.
void check_counts(const Op& op, int32_t n_in, int32_t n_out) {
  const auto most = static_cast<int32_t>(op.in.size());
  if (n_in < 0 || (n_in > most && !op.variadic))
    fail(CTN_EINVAL, "[" + op.name + "] takes " + (op.min_in < most ? "up to " : "") +
                         std::to_string(most) + " inputs, called with " + std::to_string(n_in));
  if (n_out < 0 || (n_out != op.n_visible && !op.def.count))
    fail(CTN_EINVAL, "[" + op.name + "] gives " + std::to_string(op.n_visible) +
                         " outputs, room for " + std::to_string(n_out) + " was passed");
}

void call_checked(Context& ctx, const Op& op, std::span<Variable* const> in,
                  std::span<const ctn_value> attrs, ctn_variable* out, int32_t n_out) {
  if (n_out) require(out, "out");
  constexpr int32_t kFew = 16;
  if (op.def.count && n_out > kFew) {
    const int32_t n = count_outputs(ctx, op, in, attrs);
    if (n != n_out)
      fail(CTN_EINVAL, "[" + op.name + "] gives " + std::to_string(n) + " outputs, room for " +
                           std::to_string(n_out) + " was passed");
  }
  VariableResults results(n_out);
  if (ctx.hook_count.load(std::memory_order_relaxed) != 0) [[unlikely]] {
    const HeldVariables held(in);  // a hook may let go of them
    call_op(ctx, op, in, attrs, results.get());
  } else {
    call_op(ctx, op, in, attrs, results.get());
  }
  results.give(out);
}

}  // namespace

extern "C" {

ctn_status ctn_call(ctn_context ctx, int32_t op, const ctn_variable* in, int32_t n_in,
                    const ctn_value* attrs, int32_t n_attrs, ctn_variable* out, int32_t n_out) {
  return guarded([&] {
    Context& c = *to_context(ctx);
    const Op& o = op_of(op);
    check_counts(o, n_in, n_out);
    const VariableList inputs(in, n_in, "in");
    call_checked(c, o, inputs.get(), list(attrs, n_attrs, "attrs"), out, n_out);
  });
}

ctn_status ctn_call_named(ctn_context ctx, ctn_str op, const ctn_variable* in, int32_t n_in,
                          const ctn_attr* attrs, int32_t n_attrs, ctn_variable* out,
                          int32_t n_out) {
  return guarded([&] {
    Context& c = *to_context(ctx);
    const Op* o = Registry::get().find_op(view(op));
    if (!o) fail_missing(Sort::kOp, view(op));
    check_counts(*o, n_in, n_out);
    const VariableList inputs(in, n_in, "in");
    std::vector<ctn_value> values(o->attrs.size());
    bind_named(o->name, o->attrs, list(attrs, n_attrs, "attrs"), values.data());
    call_checked(c, *o, inputs.get(), values, out, n_out);
  });
}

ctn_status ctn_call_outputs(ctn_context ctx, int32_t op, const ctn_variable* in, int32_t n_in,
                            const ctn_value* attrs, int32_t n_attrs, int32_t* n_out) {
  return guarded([&] {
    require(n_out, "n_out");
    Context& c = *to_context(ctx);
    const Op& o = op_of(op);
    check_counts(o, n_in, o.n_visible);
    const VariableList inputs(in, n_in, "in");
    *n_out = count_outputs(c, o, inputs.get(), list(attrs, n_attrs, "attrs"));
  });
}

ctn_status ctn_kernel_create(ctn_context ctx, const ctn_kernel_source* source, ctn_kernel* out) {
  return guarded([&] {
    require(source, "source");
    require(out, "out");
    Context& c = *to_context(ctx);
    const ctn_kernel_source own = adopt(source, "ctn_kernel_source");
    check_flags(own.flags, 0, "ctn_kernel_source");
    const ExprFn& fn = kernel_function(own);
    auto* k = new UserKernel;
    k->ctx = &c;
    k->fn = &fn;
    c.retain();
    *out = k;
  });
}
void ctn_kernel_retain(ctn_kernel k) {
  if (k) static_cast<UserKernel*>(k)->refs.fetch_add(1);
}
void ctn_kernel_release(ctn_kernel k) {
  auto* kernel = static_cast<UserKernel*>(k);
  if (!kernel || kernel->refs.fetch_sub(1) != 1) return;
  kernel->ctx->release();
  delete kernel;
}

ctn_status ctn_kernel_call(ctn_kernel k, const ctn_variable* in, int32_t n_in, const int64_t* axes,
                           int32_t n_axes, int32_t keepdims, ctn_variable* out, int32_t n_out) {
  return guarded([&] {
    const UserKernel& kernel = kernel_of(k);
    const ExprFn& fn = *kernel.fn;
    if (n_in != fn.row().n_in() || n_out != fn.row().n_out())
      fail(CTN_EINVAL, "[" + fn.name() + "] takes " + std::to_string(fn.row().n_in()) +
                           " inputs and gives " + std::to_string(fn.row().n_out()) +
                           " outputs, called with " + std::to_string(n_in) + " and " +
                           std::to_string(n_out));
    if (n_axes < 0)
      fail(CTN_EINVAL, "[" + fn.name() + "] reduces " + std::to_string(n_axes) + " axes");
    if (!fn.is_reduction() && (axes || n_axes || keepdims))
      fail(CTN_EINVAL, "[" + fn.name() + "] is elementwise: it has no axes and no keepdims");
    const VariableList inputs(in, n_in, "in");
    require(out, "out");
    for (Variable* v : inputs.get()) {
      require(v, "an input");
      if (v->ctx != kernel.ctx) fail(CTN_EINVAL, "[" + fn.name() + "] input of another context");
    }
    ExprFn::Request request;
    request.in = inputs.get();
    Space space;
    if (fn.is_reduction()) {
      fn.find_space(request, space);
      if (axes && n_axes > space.ndim)
        fail(CTN_EINVAL, "[" + fn.name() + "] reduces " + std::to_string(n_axes) + " axes of " +
                             std::to_string(space.ndim));
      ctn_value axis{};
      axis.kind = axes ? CTN_INTS : CTN_NONE;
      axis.n = axes ? static_cast<uint32_t>(n_axes) : 0;
      axis.u.is = axes;
      space.axes = axes_mask(fn.name(), axis, space.ndim);
      if (keepdims) space.ones = space.axes;
      request.space = &space;
    }
    VariableResults results(n_out);
    fn.call(*kernel.ctx, request, results.get());
    results.give(out);
  });
}

}  // extern "C"
