// Primitives: see bound_call.h. Infer the outputs, choose a kernel and its plan, make room, run,
// record the node.
#include <algorithm>

#include "core/bound_call.h"
#include "core/capture.h"
#include "core/layout.h"
#include "core/waiting.h"

namespace catena {

// ---- outputs

Outputs::Outputs(const KernelCall& c, size_t n) : specs(n), arrays(n) {
  set_room();
  const ctn_call_info info = c.info(n);
  check_op(c.op.def.infer(c.op.def.self, &info, specs.data()), c.op.name);
  for (size_t k = 0; k < n; ++k) check(c, k);
}

Outputs::Outputs(const Array& like) : specs(1), arrays(1) {
  set_room();
  specs[0].mode = CTN_OUT_NEW;
  specs[0].ndim = like.ndim;
  specs[0].dtype = dtype_of(like.dtype);
  std::ranges::copy(like.shape(), specs[0].shape);
}

void Outputs::set_room() {
  const size_t n = specs.size();
  dims_.resize(2 * n * CTN_MAX_NDIM);
  tensors_.resize(n);
  for (size_t k = 0; k < n; ++k) {
    specs[k] = ctn_out_spec{};
    specs[k].shape = &dims_[2 * k * CTN_MAX_NDIM];
    specs[k].strides = specs[k].shape + CTN_MAX_NDIM;
  }
}

void Outputs::check(const KernelCall& c, size_t k) const {
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

bool Outputs::any_new() const {
  for (const ctn_out_spec& s : specs)
    if (s.mode == CTN_OUT_NEW) return true;
  return false;
}

bool Outputs::is_like(std::span<const int64_t> other, int dtype) const {
  return specs.size() == 1 && specs[0].mode == CTN_OUT_NEW &&
         dtype_index(specs[0].dtype) == dtype && std::ranges::equal(shape(0), other);
}

// Nothing to write, so no kernel is run: it may rely on outputs having elements, and walk along
// sizes that are only bounded by memory.
bool Outputs::empty() const {
  for (size_t k = 0; k < size(); ++k)
    if (specs[k].mode == CTN_OUT_NEW && !std::ranges::count(shape(k), 0)) return false;
  return true;
}

std::span<const ctn_tensor> Outputs::describe(const KernelCall& c) {
  for (size_t k = 0; k < size(); ++k) {
    const ctn_out_spec& s = specs[k];
    ctn_dltensor& t = tensors_[k].t;
    tensors_[k].layout = 0;
    if (s.mode == CTN_OUT_SAME || s.mode == CTN_OUT_COPY) {
      source(c, s).describe(t);
      continue;
    }
    const bool fresh = s.mode == CTN_OUT_NEW;
    if (fresh) c_strides(shape(k), s.strides);
    t = {nullptr, c.device.dl, s.ndim, fresh ? s.dtype : dtype_of(source(c, s).dtype),
         s.shape, s.strides,   0};
  }
  return tensors_;
}

// plan: who decided; NULL: nobody. What is there already stays.
void Outputs::make(const KernelCall& c, const Plan* plan) {
  const char* owner = c.op.name.c_str();
  for (size_t k = 0; k < size(); ++k) {
    const ctn_out_spec& s = specs[k];
    if (arrays[k]) continue;
    if (s.mode == CTN_OUT_SAME)
      arrays[k] = Ref<Array>::share(&source(c, s));
    else if (s.mode == CTN_OUT_COPY)
      arrays[k] = copy_to(source(c, s), c.ctx.device(s.device), owner);
    else if (s.mode != CTN_OUT_NEW)
      arrays[k] = Array::make_view(source(c, s), shape(k), {s.strides, shape(k).size()}, s.offset);
    else if (const uint64_t layout = plan ? plan->out_layout(k) : 0)
      arrays[k] = Array::make_packed(c.device, dtype_index(s.dtype), shape(k), layout, owner);
    else
      arrays[k] = Array::make(c.device, dtype_index(s.dtype), shape(k), owner);
  }
}

// Room to be written: tensors with data.
void Outputs::open(const Plan* plan, Exec& exec) {
  for (size_t k = 0; k < size(); ++k) {
    Array& a = *arrays[k];
    const uint64_t layout = took_input                     ? plan->out_layout(k)
                            : specs[k].mode == CTN_OUT_NEW ? only_layout(a)
                                                           : 0;
    a.describe(tensors_[k].t);
    tensors_[k].layout = layout;
    tensors_[k].t.data = layout ? packed_data(a, layout, exec) : a.data();
  }
}

void Outputs::written() const {
  for (size_t k = 0; k < size(); ++k) {
    if (!tensors_[k].layout)
      arrays[k]->written();
    else if (took_input)
      written_packed(*arrays[k], tensors_[k].layout);
  }
}

// ---- inputs

namespace {

// The inputs as the kernel takes them: packed where it asked for a layout, otherwise plain, in C
// order unless it reads strides. What the output begins as is copied in C order.
class Inputs {
 public:
  Inputs(const KernelCall& c, const Kernel& kernel, const Plan* plan, Exec& exec)
      : tensors_(c.tensors.begin(), c.tensors.end()) {
    const bool strided = kernel.def.flags & CTN_KERNEL_STRIDED;
    for (size_t i = 0; i < c.in.size(); ++i) {
      if (!c.in[i]) continue;
      const uint64_t layout = plan ? plan->in_layout(i) : 0;
      Array* a = c.in[i];
      const bool begins = plan && plan->onto() == i + 1;
      if (!a->contiguous && (layout || begins || !strided)) {
        packed_.push_back(to_contiguous(*a));
        a = packed_.back().get();
        a->describe(tensors_[i].t);
      }
      if (!layout) note_read(*a);
      tensors_[i].layout = layout;
      tensors_[i].t.data = layout ? packed_data(*a, layout, exec) : a->data();
    }
  }
  std::span<const ctn_tensor> get() const { return tensors_; }

 private:
  std::vector<ctn_tensor> tensors_;
  std::vector<Ref<Array>> packed_;
};

std::string no_kernel_text(const KernelCall& c, const KernelList* list,
                           const std::string& reasons) {
  std::string text =
      "[" + c.op.name + "] no kernel on backend '" + c.device.backend->name + "' for inputs (";
  for (size_t i = 0; i < c.in.size(); ++i)
    text += (i ? ", " : "") + (c.in[i] ? array_text(*c.in[i]) : std::string("None"));
  text += ")";
  if (!list) return text + ": none is registered";
  return text + ": " + reasons;
}

}  // namespace

const Kernel& choose_kernel(const KernelCall& c, Outputs& outs) {
  ctn_call_info info = c.info(outs.size());
  info.out = outs.describe(c).data();
  const KernelList* list =
      c.op.kernels[static_cast<size_t>(c.device.backend->id)].load(std::memory_order_acquire);
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
        check_op(k->def.supports(k->def.self, &info, &yes, &why), c.op.name);
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

// ---- running

void run_kernel(const KernelCall& c, const Kernel& kernel, Outputs& outs) {
  if (outs.empty()) return outs.make(c, nullptr);
  ctn_run run{};
  run.size = sizeof run;
  ctn_call_info call = c.info(outs.size());
  call.out = outs.describe(c).data();
  run.call = &call;
  std::shared_ptr<const Plan> plan;
  if (kernel.def.plan) plan = c.ctx.plans.get(kernel, c.op.name, call, c.device.index, c.flags);
  Exec exec(c.ctx, c.device, c.op.name, c.in);
  run.exec = &exec;
  const Inputs in(c, kernel, plan.get(), exec);
  call.in = in.get().data();
  if (plan) {
    run.state = plan->state();
    if (plan->scratch_bytes()) run.scratch = exec.scratch(plan->scratch_bytes());
  }
  Array* const onto = plan && plan->onto() ? c.in[plan->onto() - 1] : nullptr;
  // The one reference to an input of a call that did not wait is that of a variable.
  if (onto && !c.followers.empty() && &onto->device() == &c.device && is_unshared(*onto)) {
    outs.arrays[0] = Ref<Array>::share(onto);
    outs.took_input = true;
  }
  outs.make(c, plan.get());
  outs.open(plan.get(), exec);
  if (onto && !outs.took_input)
    copy_tensor(exec, call.in[plan->onto() - 1], call.out[0], onto->bytes());
  check_op(kernel.def.run(kernel.def.self, &run), c.op.name);
  outs.written();
  exec.keep();
}

namespace {

// Variadic inputs and counted outputs share the last definition.
template <class Index>
size_t def_index(size_t defs, Index i) {
  return std::min(static_cast<size_t>(i), defs - 1);
}

void record_primitive(const Call& c, std::span<Variable* const> out, const Outputs& outs) {
  if (!c.is_recorded()) return;
  const auto n_in = static_cast<int32_t>(c.in.size());
  Ref<Node> node =
      Node::make(c.ctx, n_in, static_cast<int32_t>(out.size()), c.attrs(), nullptr, outs.arrays);
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

}  // namespace

void call_primitive(Call& c, bool may_wait, std::span<Variable*> out) {
  const size_t hidden = c.op.out.size() - static_cast<size_t>(c.op.n_visible);
  const size_t n = c.op.def.count ? out.size() : out.size() + hidden;
  const KernelCall call = c.for_kernel();
  Outputs outs(call, n);
  if (n == 1 && outs.specs[0].mode == CTN_OUT_SAME) {
    Variable* same = c.in[static_cast<size_t>(outs.specs[0].source)];
    same->retain();
    out[0] = same;
    return;
  }
  if (outs.any_new()) {
    const Kernel& kernel = choose_kernel(call, outs);
    if (may_wait && kernel.def.absorb && wait(c, kernel, outs, out)) return;
    run_kernel(call, kernel, outs);
  } else {
    outs.make(call, nullptr);
  }
  std::vector<Ref<Variable>> made(n);
  std::vector<Variable*> raw(n);
  for (size_t k = 0; k < n; ++k) {
    made[k] = Variable::make(c.ctx, outs.arrays[k], false);
    raw[k] = made[k].get();
  }
  record_primitive(c, raw, outs);
  for (size_t k = 0; k < out.size(); ++k) out[k] = made[k].detach();
}

}  // namespace catena
