// call_op: see call.h. The path of a call: bind attributes, check types, infer, allocate, run the
// kernel, record the node.
#include "core/call.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/checks.h"
#include "core/expr_fn.h"
#include "core/hooks.h"
#include "core/intrinsic.h"
#include "core/layout.h"

namespace catena {
namespace {

// The status of a function of the op: its text often does not say whose it is.
void check_op(ctn_status status, const Op& op) {
  if (status == CTN_OK) [[likely]]
    return;
  try {
    rethrow_status(status, op.name);
  } catch (const Error& e) {
    const std::string_view text = e.what();
    if (status == CTN_ENOMEM || text.starts_with('[') || text.starts_with(op.name + ": ") ||
        text.starts_with(op.name + " ") ||
        text.find("Invalid operation is performed in") != text.npos)
      throw;
    fail(e.code(), "[" + op.name + "] " + e.what());
  }
}

constexpr size_t kStackIn = 16;
constexpr size_t kStackAttrs = 24;

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

// Everything about one call, on the stack.
struct Call {
  Context& ctx;
  const Op& op;
  std::span<Variable* const> in;
  std::array<ctn_tensor, kStackIn> tensor_room;
  std::vector<ctn_tensor> tensor_heap;
  std::array<ctn_value, kStackAttrs> attr_room;
  std::vector<ctn_value> attr_heap;
  std::vector<Variable*> in_heap;
  ctn_tensor* tensors = tensor_room.data();
  ctn_value* attrs = attr_room.data();
  Device* device = nullptr;
  uint64_t flags;

  Call(Context& c, const Op& o, std::span<Variable* const> given, std::span<const ctn_value> values)
      : ctx(c), op(o), in(given), flags(c.config().flags()) {
    pad_inputs();
    if (op.attrs.size() > kStackAttrs) {
      attr_heap.resize(op.attrs.size());
      attrs = attr_heap.data();
    }
    bind_attrs(op.name, op.attrs, values, attrs);
    view_inputs();
    check_types();  // whatever `type_check` says: kernels rely on it
  }

  // Absent trailing optional inputs become NULL entries.
  void pad_inputs() {
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
    in_heap.assign(in.begin(), in.end());
    in_heap.resize(n, nullptr);
    in = in_heap;
  }

  void view_inputs() {
    if (in.size() > kStackIn) {
      tensor_heap.resize(in.size());
      tensors = tensor_heap.data();
    }
    for (size_t i = 0; i < in.size(); ++i) {
      ctn_tensor& t = tensors[i];
      t.layout = 0;
      if (!in[i]) {
        t.t = ctn_dltensor{};
        t.t.ndim = -1;
        continue;
      }
      if (in[i]->ctx != &ctx)
        fail(CTN_EINVAL,
             "[" + op.name + "] input " + std::to_string(i) + " belongs to another context");
      const Array& a = in[i]->array();
      a.describe(t.t);
      t.layout = only_layout(a);
      if (!t.layout) t.t.data = a.data();
      if (!device) device = &a.device();
      Device* const both = common_device(*device, a.device());
      if (!both)
        fail(CTN_EINVAL, "[" + op.name + "] inputs are on different devices: " + device->name +
                             " and " + a.device().name);
      device = both;
    }
    if (!device) device = &ctx.default_device();
    device = &device->for_calls(flags);
  }

  void check_types() const {
    const size_t n = op.in.size();
    for (size_t i = 0; i < in.size(); ++i) {
      if (!in[i]) continue;
      const InputDef& def = op.in[i < n ? i : n - 1];
      if (!(def.dtypes >> in[i]->dtype & 1))
        fail(CTN_EDTYPE, dtype_failure(op, {tensors, in.size()}, static_cast<int32_t>(i)));
    }
    if (op.checks) {
      std::string text;
      ctn_status code = CTN_OK;
      if (!op.checks->hold(op, {tensors, in.size()}, {attrs, op.attrs.size()}, &text, &code))
        fail(code, std::move(text));
    }
    if (op.flags & CTN_OP_SAME_SHAPE) check_same();
  }

  void check_same() const {
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

  ctn_call_info info(int32_t n_out) const {
    ctn_call_info c{};
    c.size = sizeof c;
    c.n_in = static_cast<int32_t>(in.size());
    c.n_out = n_out;
    c.n_attrs = static_cast<int32_t>(op.attrs.size());
    c.in = tensors;
    c.attrs = attrs;
    c.ctx = &ctx;
    return c;
  }

  int32_t visible_outputs() const {
    if (!op.def.count) return op.n_visible;
    int32_t n = 0;
    const ctn_call_info c = info(0);
    check_op(op.def.count(op.def.self, &c, &n), op);
    return n;
  }
};

void call_expression(Call& c, std::span<Variable*> out) {
  const OpFunction& f = op_function(c.op);
  ctn_value scalars[kStackAttrs];
  const size_t n_scalars = c.op.scalar_attrs.size();
  for (size_t s = 0; s < n_scalars; ++s)
    scalars[s] = c.attrs[static_cast<size_t>(c.op.scalar_attrs[s])];
  int32_t out_dtypes[8];
  for (size_t k = 0; k < out.size(); ++k) {
    out_dtypes[k] = c.op.out[k].like >= 0 ? -1 : c.op.out[k].dtype;
    if (f.dtype >= 0 && c.attrs[f.dtype].kind == CTN_DTYPE)
      out_dtypes[k] = dtype_index(c.attrs[f.dtype].u.dt);
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
                            : axes_mask(c.op.name, c.attrs[f.axis], space.ndim);
    if (f.keepdims >= 0 && c.attrs[f.keepdims].u.i) space.ones = space.axes;
    request.space = &space;
  }
  f.fn.call(c.ctx, request, out);
}

void call_composite(Call& c, std::span<Variable*> out) {
  ctn_call_info info = c.info(static_cast<int32_t>(out.size()));
  std::vector<ctn_variable> in(c.in.begin(), c.in.end());
  std::vector<ctn_variable> results(std::max<size_t>(out.size(), 1), nullptr);
  check_op(c.op.def.compose(c.op.def.self, &info, in.data(), results.data()), c.op);
  for (size_t k = 0; k < out.size(); ++k) {
    if (!results[k]) {
      for (ctn_variable v : results)
        if (v) to_variable(v)->release();
      fail(CTN_EINTERNAL, "[" + c.op.name + "] left output " + std::to_string(k) + " empty");
    }
    out[k] = to_variable(results[k]);
  }
}

// The outputs of a primitive: infer, then fresh arrays, views, copies or the inputs themselves.
struct Outputs {
  size_t n;
  std::vector<int64_t> dims;
  std::vector<ctn_out_spec> specs;
  std::vector<ctn_tensor> tensors;
  std::vector<Ref<Array>> arrays;  // after make()

  Outputs(const Call& c, size_t count)
      : n(count), dims(2 * count * CTN_MAX_NDIM), specs(count), tensors(count), arrays(count) {
    for (size_t k = 0; k < n; ++k) {
      specs[k] = ctn_out_spec{};
      specs[k].shape = &dims[2 * k * CTN_MAX_NDIM];
      specs[k].strides = specs[k].shape + CTN_MAX_NDIM;
    }
    const ctn_call_info info = c.info(static_cast<int32_t>(n));
    check_op(c.op.def.infer(c.op.def.self, &info, specs.data()), c.op);
    for (size_t k = 0; k < n; ++k) check(c, k);
  }

  void check(const Call& c, size_t k) const {
    const ctn_out_spec& s = specs[k];
    if (s.ndim < 0 || s.ndim > CTN_MAX_NDIM)
      fail(CTN_EINTERNAL, "[" + c.op.name + "] infer gave output " + std::to_string(k) + " " +
                              std::to_string(s.ndim) + " dimensions");
    if (s.mode == CTN_OUT_NEW) {
      if (dtype_index(s.dtype) < 0)
        fail(CTN_EINTERNAL,
             "[" + c.op.name + "] infer gave output " + std::to_string(k) + " no known dtype");
      element_count(shape(k), s.dtype.bits / 8);  // refuses sizes that nobody may compute with
    } else if (s.source < 0 || static_cast<size_t>(s.source) >= c.in.size() ||
               !c.in[static_cast<size_t>(s.source)]) {
      fail(CTN_EINTERNAL, "[" + c.op.name + "] infer named input " + std::to_string(s.source) +
                              " as the source of output " + std::to_string(k));
    } else if (s.mode < CTN_OUT_NEW || s.mode > CTN_OUT_COPY) {
      fail(CTN_EINTERNAL, "[" + c.op.name + "] infer gave output " + std::to_string(k) + " mode " +
                              std::to_string(s.mode));
    }
  }

  std::span<const int64_t> shape(size_t k) const {
    return {specs[k].shape, static_cast<size_t>(specs[k].ndim)};
  }
  Array& source(const Call& c, size_t k) const {
    return c.in[static_cast<size_t>(specs[k].source)]->array();
  }

  // tensors[k] without data, for those who decide how the outputs are made.
  void describe(const Call& c) {
    for (size_t k = 0; k < n; ++k) {
      const ctn_out_spec& s = specs[k];
      ctn_dltensor& t = tensors[k].t;
      tensors[k].layout = 0;
      if (s.mode == CTN_OUT_SAME || s.mode == CTN_OUT_COPY) {
        source(c, k).describe(t);
        continue;
      }
      const bool fresh = s.mode == CTN_OUT_NEW;
      if (fresh) c_strides(shape(k), s.strides);
      t = {nullptr, c.device->dl, s.ndim, fresh ? s.dtype : dtype_of(source(c, k).dtype),
           s.shape, s.strides,    0};
    }
  }

  // plan: who decided; NULL: nobody.
  void make(const Call& c, const Plan* plan) {
    for (size_t k = 0; k < n; ++k) {
      const ctn_out_spec& s = specs[k];
      const uint64_t layout = plan ? plan->out_layout(k) : 0;
      if (s.mode == CTN_OUT_SAME)
        arrays[k] = Ref<Array>::share(&source(c, k));
      else if (s.mode == CTN_OUT_COPY)
        arrays[k] = copy_to(source(c, k), c.ctx.device(s.device), c.op.name.c_str());
      else if (s.mode != CTN_OUT_NEW)
        arrays[k] =
            Array::make_view(source(c, k), shape(k), {s.strides, shape(k).size()}, s.offset);
      else if (layout)
        arrays[k] = Array::make_packed(*c.device, dtype_index(s.dtype), shape(k), layout,
                                       c.op.name.c_str());
      else
        arrays[k] = Array::make(*c.device, dtype_index(s.dtype), shape(k), c.op.name.c_str());
    }
  }

  // Room to be written: tensors with data.
  void open(Exec& exec) {
    for (size_t k = 0; k < n; ++k) {
      Array& a = *arrays[k];
      const uint64_t layout = specs[k].mode == CTN_OUT_NEW ? only_layout(a) : 0;
      a.describe(tensors[k].t);
      tensors[k].layout = layout;
      tensors[k].t.data = layout ? packed_data(a, layout, exec) : a.data();
    }
  }
  void written() const {
    for (size_t k = 0; k < n; ++k)
      if (!tensors[k].layout) arrays[k]->written();
  }

  // Nothing to write, so no kernel is run: it may rely on outputs having elements, and walk along
  // sizes that are only bounded by memory.
  bool empty() const {
    for (size_t k = 0; k < n; ++k)
      if (specs[k].mode == CTN_OUT_NEW && !std::ranges::count(shape(k), 0)) return false;
    return true;
  }
  bool all(int32_t mode) const {
    for (const ctn_out_spec& s : specs)
      if (s.mode != mode) return false;
    return n > 0;
  }
  bool any_new() const {
    for (const ctn_out_spec& s : specs)
      if (s.mode == CTN_OUT_NEW) return true;
    return false;
  }
};

std::string no_kernel_text(const Call& c, const KernelList* list, const std::string& reasons) {
  std::string text =
      "[" + c.op.name + "] no kernel on backend '" + c.device->backend->name + "' for inputs (";
  for (size_t i = 0; i < c.in.size(); ++i)
    text += (i ? ", " : "") + (c.in[i] ? array_text(c.in[i]->array()) : std::string("None"));
  text += ")";
  if (!list) return text + ": none is registered";
  return text + ": " + reasons;
}

const Kernel& choose_kernel(const Call& c, const ctn_call_info& info) {
  const KernelList* list =
      c.op.kernels[static_cast<size_t>(c.device->backend->id)].load(std::memory_order_acquire);
  std::string reasons;
  const uint32_t dtype_bit = c.in.empty() || !c.in[0] ? ~0u : 1u << c.in[0]->dtype;
  const bool tell = c.ctx.logs(CTN_LOG_DEBUG);
  if (list) {
    for (const Kernel* k : list->items) {
      ctn_str why{};
      int32_t yes = 1;
      if (!(k->dtypes & dtype_bit)) {
        yes = 0;
        why = str("dtype not supported");
      } else if (k->backend->off_bit & c.flags) {
        yes = 0;
        why = str(k->backend->off_text);
      } else if (k->def.supports) {
        check_op(k->def.supports(k->def.self, &info, &yes, &why), c.op);
      }
      if (tell)
        c.ctx.log(CTN_LOG_DEBUG, "kernel",
                  c.op.name + ": " + k->backend->name + " priority " +
                      std::to_string(k->def.priority) +
                      (yes ? " runs" : " declined: " + std::string(view(why))));
      if (yes) return *k;
      if (!reasons.empty()) reasons += "; ";
      reasons += k->backend->name + ": " + std::string(view(why));
    }
  }
  fail(CTN_EUNSUPPORTED, no_kernel_text(c, list, reasons));
}

// The inputs as the kernel takes them: packed where it asked for a layout, otherwise plain, in C
// order unless it reads strides.
class Inputs {
 public:
  Inputs(const Call& c, const Kernel& kernel, const Plan* plan, Exec& exec)
      : tensors_(c.tensors, c.tensors + c.in.size()) {
    const bool strided = kernel.def.flags & CTN_KERNEL_STRIDED;
    for (size_t i = 0; i < c.in.size(); ++i) {
      if (!c.in[i]) continue;
      const uint64_t layout = plan ? plan->in_layout(i) : 0;
      Array* a = c.in[i]->data;
      if (!a->contiguous && (layout || !strided)) {
        packed_.push_back(to_contiguous(*a));
        a = packed_.back().get();
        a->describe(tensors_[i].t);
      }
      tensors_[i].layout = layout;
      tensors_[i].t.data = layout ? packed_data(*a, layout, exec) : a->data();
    }
  }
  const ctn_tensor* get() const { return tensors_.data(); }

 private:
  std::vector<ctn_tensor> tensors_;
  std::vector<Ref<Array>> packed_;
};

void run_kernel(Call& c, Outputs& outs) {
  outs.describe(c);
  ctn_run run{};
  run.size = sizeof run;
  ctn_call_info call = c.info(static_cast<int32_t>(outs.n));
  call.out = outs.tensors.data();
  run.call = &call;
  const Kernel& kernel = choose_kernel(c, call);
  if (outs.empty()) return outs.make(c, nullptr);
  std::shared_ptr<const Plan> plan;
  if (kernel.def.plan) plan = c.ctx.plans.get(kernel, call, c.device->index, c.flags);
  Exec exec(c.ctx, *c.device, c.op.name);
  run.exec = &exec;
  const Inputs in(c, kernel, plan.get(), exec);
  call.in = in.get();
  outs.make(c, plan.get());
  outs.open(exec);
  if (plan) {
    run.state = plan->state();
    if (plan->scratch_bytes()) run.scratch = exec.scratch(plan->scratch_bytes());
  }
  check_op(kernel.def.run(kernel.def.self, &run), c.op);
  outs.written();
}

// Variadic inputs and counted outputs share the last definition.
template <class Index>
size_t def_index(size_t defs, Index i) {
  return std::min(static_cast<size_t>(i), defs - 1);
}

void record_primitive(const Call& c, std::span<Variable* const> out, const Outputs& outs) {
  if (!(c.flags & kEnableBackprop) || c.op.flags & CTN_OP_NODIFF) return;
  bool wanted = false;
  for (size_t i = 0; i < c.in.size(); ++i) {
    const size_t def = def_index(c.op.in.size(), i);
    wanted = wanted || (c.in[i] && c.in[i]->requires_grad && is_floating(c.in[i]->dtype) &&
                        !(c.op.in[def].flags & CTN_IN_NO_GRAD));
  }
  if (!wanted) return;
  const auto n_in = static_cast<int32_t>(c.in.size());
  Ref<Node> node = Node::make(c.ctx, n_in, static_cast<int32_t>(out.size()),
                              {c.attrs, c.op.attrs.size()}, nullptr, outs.arrays);
  node->op = &c.op;
  for (int32_t i = 0; i < n_in; ++i) {
    Variable* v = c.in[static_cast<size_t>(i)];
    if (!v) continue;
    v->retain_node();
    node->in[i] = v;
    node->rank = std::max(node->rank, v->rank);
    if (c.op.retain_in >> def_index(c.op.in.size(), i) & 1) (node->kept_in[i] = v->data)->retain();
  }
  for (size_t k = 0; k < out.size(); ++k)
    if (c.op.retain_out >> def_index(c.op.out.size(), k) & 1)
      (node->kept_out[k] = outs.arrays[k].get())->retain();
  for (size_t k = out.size(); k-- > 0;) {
    if (!is_floating(outs.arrays[k]->dtype)) continue;
    out[k]->requires_grad = true;
    Ref<Node> own = k == 0 ? Ref<Node>::take(node.detach()) : node;  // the last takes our count
    out[k]->set_creator(std::move(own), static_cast<int32_t>(k));
  }
}

void call_primitive(Call& c, std::span<Variable*> out) {
  const size_t hidden = c.op.out.size() - static_cast<size_t>(c.op.n_visible);
  const size_t n = c.op.def.count ? out.size() : out.size() + hidden;
  Outputs outs(c, n);
  if (n == 1 && outs.specs[0].mode == CTN_OUT_SAME) {
    Variable* same = c.in[static_cast<size_t>(outs.specs[0].source)];
    same->retain();
    out[0] = same;
    return;
  }
  if (outs.any_new())
    run_kernel(c, outs);
  else
    outs.make(c, nullptr);
  std::vector<Ref<Variable>> made(n);
  std::vector<Variable*> raw(n);
  for (size_t k = 0; k < n; ++k) {
    made[k] = Variable::make(c.ctx, outs.arrays[k], false);
    raw[k] = made[k].get();
  }
  record_primitive(c, raw, outs);
  for (size_t k = 0; k < out.size(); ++k) out[k] = made[k].detach();
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
  if (op.row)
    call_expression(c, out);
  else if (op.def.compose)
    call_composite(c, out);
  else
    call_primitive(c, out);
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
