// call_op: see call.h. The path of a call: bind attributes, check types, then the op's kind:
// expression, composite or primitive (primitive.cc).
#include "core/call.h"

#include <algorithm>
#include <array>

#include "core/bound_call.h"
#include "core/capture.h"
#include "core/checks.h"
#include "core/expr_fn.h"
#include "core/hooks.h"
#include "core/intrinsic.h"
#include "core/layout.h"
#include "core/waiting.h"

namespace catena {

namespace {

// A row op's function and the attributes that the core itself reads.
struct OpFunction {
  explicit OpFunction(const Op& op);
  const ExprFn fn;
  const int32_t axis, keepdims, dtype;  // attribute indexes, -1: none
};

// The attribute that is a dtype and nothing else: what the op converts to.
int32_t dtype_attr(const Op& op) {
  for (size_t i = 0; i < op.attrs.size(); ++i)
    if ((op.attrs[i].kinds & ~CTN_REQUIRED) == CTN_KIND_BIT(CTN_DTYPE))
      return static_cast<int32_t>(i);
  return -1;
}

int32_t attr_index(const Op& op, std::string_view name) {
  for (size_t i = 0; i < op.attrs.size(); ++i)
    if (op.attrs[i].name == name) return static_cast<int32_t>(i);
  return -1;
}

constexpr int32_t kMaxOps = 8192;

OpFunction::OpFunction(const Op& op)
    : fn(op.row, op.name, op.flags & CTN_OP_SAME_SHAPE),
      axis(attr_index(op, "axis")),
      keepdims(attr_index(op, "keepdims")),
      dtype(dtype_attr(op)) {}

const OpFunction& op_function(const Op& op) {
  static auto* table = new std::array<std::atomic<OpFunction*>, kMaxOps>{};
  if (op.id >= kMaxOps) fail(CTN_EUNSUPPORTED, "too many ops are registered");
  auto& slot = (*table)[static_cast<size_t>(op.id)];
  if (OpFunction* f = slot.load(std::memory_order_acquire)) return *f;
  auto made = std::make_unique<OpFunction>(op);
  OpFunction* expected = nullptr;
  if (!slot.compare_exchange_strong(expected, made.get(), std::memory_order_acq_rel))
    return *expected;
  return *made.release();
}

}  // namespace

ctn_call_info KernelCall::info(size_t n_out) const {
  ctn_call_info c{};
  c.size = sizeof c;
  c.n_in = static_cast<int32_t>(in.size());
  c.n_out = static_cast<int32_t>(n_out);
  c.n_attrs = static_cast<int32_t>(attrs.size());
  c.in = tensors.data();
  c.attrs = attrs.data();
  c.ctx = &ctx;
  c.followers = followers.data();
  c.n_followers = static_cast<int32_t>(followers.size());
  return c;
}

ctn_tensor tensor_of(const Array& a) {
  ctn_tensor t;
  a.describe(t.t);
  t.layout = only_layout(a);
  if (!t.layout) t.t.data = a.data();
  return t;
}

Call::Call(Context& c, const Op& o, std::span<Variable* const> given,
           std::span<const ctn_value> values)
    : ctx(c), op(o), in(given), flags(c.config().flags()) {
  pad_inputs();
  if (op.attrs.size() > kStackAttrs) {
    attr_heap_.resize(op.attrs.size());
    attrs_ = attr_heap_.data();
  }
  bind_attrs(op.name, op.attrs, values, attrs_);
  view_inputs();
  check_types();  // whatever `type_check` says: kernels rely on it
}

// Absent trailing optional inputs become NULL entries.
void Call::pad_inputs() {
  const size_t n = op.in.size();
  const size_t required = static_cast<size_t>(op.min_in);
  if (in.size() < required || (in.size() > n && !op.variadic))
    fail(CTN_EINVAL, count_failure(op, static_cast<int32_t>(in.size())));
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i]) continue;
    const InputDef& def = op.in[std::min(i, n - 1)];  // those of a list share the last one
    if (!(def.flags & CTN_IN_OPTIONAL))
      fail(CTN_EINVAL,
           "[" + op.name + "] input " + std::to_string(i) + " ('" + def.name + "') is NULL");
  }
  if (in.size() >= n || op.variadic) return;
  in_heap_.assign(in.begin(), in.end());
  in_heap_.resize(n, nullptr);
  in = in_heap_;
}

void Call::view_inputs() {
  if (in.size() > kStackIn) {
    tensor_heap_.resize(in.size());
    array_heap_.resize(in.size());
    tensors_ = tensor_heap_.data();
    arrays_ = array_heap_.data();
  }
  for (size_t i = 0; i < in.size(); ++i) {
    arrays_[i] = nullptr;
    if (!in[i]) {
      tensors_[i] = {};
      tensors_[i].t.ndim = -1;
      continue;
    }
    if (in[i]->ctx != &ctx)
      fail(CTN_EINVAL,
           "[" + op.name + "] input " + std::to_string(i) + " belongs to another context");
    Array& a = in[i]->array();
    arrays_[i] = &a;
    if (is_waiting(*a.storage)) {
      a.describe(tensors_[i].t);
      tensors_[i].layout = 0;
      has_waiting_ = true;
    } else {
      tensors_[i] = tensor_of(a);
    }
    if (!device_) device_ = &a.device();
    Device* const both = common_device(*device_, a.device());
    if (!both)
      fail(CTN_EINVAL, "[" + op.name + "] inputs are on different devices: " + device_->name +
                           " and " + a.device().name);
    device_ = both;
  }
  if (!device_) device_ = &ctx.default_device();
  device_ = &device_->for_calls(flags);
}

void Call::see_waiting() {
  for (size_t i = 0; has_waiting_ && i < in.size(); ++i)
    if (arrays_[i]) tensors_[i] = tensor_of(*arrays_[i]);
  has_waiting_ = false;
}

void Call::check_types() const {
  const size_t n = op.in.size();
  const std::span<const ctn_tensor> seen(tensors_, in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    if (!in[i]) continue;
    const InputDef& def = op.in[i < n ? i : n - 1];
    if (!(def.dtypes >> in[i]->dtype & 1))
      fail(CTN_EDTYPE, dtype_failure(op, seen, static_cast<int32_t>(i)));
  }
  if (op.checks) {
    std::string text;
    ctn_status code = CTN_OK;
    if (!op.checks->hold(op, seen, attrs(), &text, &code)) fail(code, std::move(text));
  }
  if (op.flags & CTN_OP_SAME_SHAPE) check_same();
}

void Call::check_same() const {
  const size_t defs = op.in.size();
  for (size_t i = 1; i < in.size(); ++i) {
    const Variable &a = *in[0], &b = *in[i];
    const bool bound = op.in[std::min(i, defs - 1)].var == op.in[0].var;
    const bool dtypes = a.dtype == b.dtype || !bound;
    if (dtypes && a.ndim == b.ndim &&
        std::equal(a.shape().begin(), a.shape().end(), b.shape().begin()))
      continue;
    const std::string what = dtypes ? "shape" : "dtype", k = std::to_string(i);
    const std::string left = dtypes ? shape_text(a.shape()) : std::string(dtype_name(a.dtype));
    const std::string right = dtypes ? shape_text(b.shape()) : std::string(dtype_name(b.dtype));
    fail(dtypes ? CTN_ESHAPE : CTN_EDTYPE,
         "Invalid operation is performed in: " + (op.label.empty() ? op.name : op.label) +
             " (Forward)\n\nExpect: in_types[0]." + what + " == in_types[" + k + "]." + what +
             "\nActual: " + left + " != " + right);
  }
}

int32_t Call::visible_outputs() const {
  if (!op.def.count) return op.n_visible;
  int32_t n = 0;
  const ctn_call_info c = for_kernel().info(0);
  check_op(op.def.count(op.def.self, &c, &n), op.name);
  return n;
}

bool Call::is_recorded() const {
  if (!(flags & kEnableBackprop) || op.flags & CTN_OP_NODIFF) return false;
  for (size_t i = 0; i < in.size(); ++i) {
    const InputDef& def = op.in[std::min(i, op.in.size() - 1)];
    if (in[i] && in[i]->requires_grad && is_floating(in[i]->dtype) && !(def.flags & CTN_IN_NO_GRAD))
      return true;
  }
  return false;
}

namespace {

void call_expression(Call& c, std::span<Variable*> out) {
  const OpFunction& f = op_function(c.op);
  ctn_value scalars[expr::kMaxScalars];
  const size_t n_scalars = c.op.scalar_attrs.size();
  for (size_t s = 0; s < n_scalars; ++s) scalars[s] = c.attr(c.op.scalar_attrs[s]);
  int32_t out_dtypes[8];
  for (size_t k = 0; k < out.size(); ++k) {
    out_dtypes[k] = c.op.out[k].like >= 0 ? -1 : c.op.out[k].dtype;
    if (f.dtype >= 0 && c.attr(f.dtype).kind == CTN_DTYPE)
      out_dtypes[k] = dtype_index(c.attr(f.dtype).u.dt);
  }
  ExprFn::Request request;
  request.in = c.in;
  request.scalars = {scalars, n_scalars};
  request.op = &c.op;
  request.out_dtypes = {out_dtypes, out.size()};
  Space space;
  if (f.fn.is_reduction()) {
    f.fn.find_space(request, space);  // all inputs fit it
    space.axes = f.axis < 0 ? axes_mask(c.op.name, ctn_value{}, space.ndim)
                            : axes_mask(c.op.name, c.attr(f.axis), space.ndim);
    if (f.keepdims >= 0 && c.attr(f.keepdims).u.i) space.ones = space.axes;
    request.space = &space;
  }
  f.fn.call(c.ctx, request, out);
}

void call_composite(Call& c, std::span<Variable*> out) {
  const ctn_call_info info = c.for_kernel().info(out.size());
  std::vector<ctn_variable> in(c.in.begin(), c.in.end());
  std::vector<ctn_variable> results(std::max<size_t>(out.size(), 1), nullptr);
  check_op(c.op.def.compose(c.op.def.self, &info, in.data(), results.data()), c.op.name);
  for (size_t k = 0; k < out.size(); ++k) {
    if (!results[k]) {
      for (ctn_variable v : results)
        if (v) to_variable(v)->release();
      fail(CTN_EINTERNAL, "[" + c.op.name + "] left output " + std::to_string(k) + " empty");
    }
    out[k] = to_variable(results[k]);
  }
}

void run_now(Call& c, bool may_wait, std::span<Variable*> out) {
  if (c.op.row)
    call_expression(c, out);
  else if (c.op.def.compose)
    call_composite(c, out);
  else
    call_primitive(c, may_wait, out);
}

void check_nan(const Call& c, std::span<Variable* const> out) {
  for (size_t k = 0; k < out.size(); ++k) {
    const int64_t at = first_nan(out[k]->array());
    if (at >= 0) {
      fail(CTN_ENAN, "NaN in output " + std::to_string(k) + " of " + c.op.name +
                         " (forward), element " + std::to_string(at) + " of " +
                         array_text(out[k]->array()));
    }
  }
}

}  // namespace

const ExprFn& function_of(const Op& op) { return op_function(op).fn; }

std::string_view Node::label() const { return op ? std::string_view(op->name) : fn->name(); }

Ref<Array> call_now(Context& ctx, const Op& op, std::span<const Ref<Array>> in,
                    std::span<const ctn_value> attrs) {
  std::vector<Ref<Variable>> given;
  std::vector<Variable*> raw;
  for (const Ref<Array>& a : in) {
    given.push_back(a ? Variable::make(ctx, a, false) : nullptr);
    raw.push_back(given.back().get());
  }
  Call c(ctx, op, raw, attrs);
  c.see_waiting();
  Variable* out = nullptr;
  run_now(c, false, {&out, 1});
  const Ref<Variable> made = Ref<Variable>::take(out);
  return Ref<Array>::share(&made->array());
}

int32_t count_outputs(Context& ctx, const Op& op, std::span<Variable* const> in,
                      std::span<const ctn_value> attrs) {
  if (!op.def.count) return op.n_visible;
  return Call(ctx, op, in, attrs).visible_outputs();
}

void call_op(Context& ctx, const Op& op, std::span<Variable* const> in,
             std::span<const ctn_value> attrs, std::span<Variable*> out) {
  Call c(ctx, op, in, attrs);
  const int32_t expected = c.visible_outputs();
  if (static_cast<int32_t>(out.size()) != expected)
    fail(CTN_EINVAL, "[" + op.name + "] gives " + std::to_string(expected) + " outputs, room for " +
                         std::to_string(out.size()) + " was passed");
  const bool hooked = ctx.hook_count.load(std::memory_order_relaxed) != 0;
  if (hooked) run_hooks(ctx, CTN_HOOK_FORWARD_PRE, op.id, c.in);
  // While somebody captures, what is done late may become part of that.
  const bool captured = ctx.captures.load(std::memory_order_relaxed) != 0;
  const bool may_wait = !hooked && !(c.flags & kDebug) && !captured;
  if (!op.def.compose) {
    if (ctx.waiting.any()) {
      if (may_wait && follow(c, out)) return;
      ctx.waiting.run_of_thread();
    }
    c.see_waiting();
  }
  run_now(c, may_wait, out);
  if (!hooked && !(c.flags & kDebug)) return;
  try {
    if (hooked) run_hooks(ctx, CTN_HOOK_FORWARD_POST, op.id, c.in);
    if (c.flags & kDebug) check_nan(c, out);
  } catch (...) {
    for (Variable*& v : out) std::exchange(v, nullptr)->release();
    throw;
  }
}

}  // namespace catena
