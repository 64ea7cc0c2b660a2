// Back-propagation: nodes by falling rank, gradients summed in each variable's `pending` slot,
// leaves written last, so that a failure changes nothing. Source of the semantics: Chainer 4.3.1,
// Variable.backward and chainer.grad.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "core/call.h"
#include "core/expr_fn.h"
#include "core/grad_call.h"
#include "core/hooks.h"
#include "core/intrinsic.h"

namespace catena {
namespace {

uint64_t next_pass() {
  static std::atomic<uint64_t> counter{0};
  return counter.fetch_add(1, std::memory_order_relaxed) + 1;
}

void set_spec(const Variable& v, ctn_dltensor& out) {
  out = ctn_dltensor{};
  out.ndim = v.ndim;
  out.dtype = dtype_of(v.dtype);
  out.shape = const_cast<int64_t*>(v.shape().data());
}

Ref<Variable> ones_like(Variable& v) {
  Array& a = v.array();
  Ref<Array> one = Array::make(a.device(), a.dtype, a.shape(), "gradient");
  ctn_value value{};
  value.kind = CTN_FLOAT;
  value.u.f = 1;
  fill(*one, value);
  return Variable::make(*v.ctx, one, false);
}

Ref<Variable> scaled(Variable& g, double factor) {
  Ref<Array> copy = copy_array(g.array(), g.dtype);
  scale_into(*copy, factor);
  return Variable::make(*g.ctx, copy, false);
}

class Pass {
 public:
  Pass(Context& ctx, bool double_backprop, bool retain_grad)
      : ctx_(ctx), double_(double_backprop), retain_grad_(retain_grad), mark_(next_pass()) {}
  ~Pass() {
    for (Variable* v : touched_) {
      if (Variable* g = std::exchange(v->pending, nullptr)) g->release();
      v->release_node();
    }
    for (Node* n : heap_) n->release();
  }

  // Restricts the pass to paths that lead to these variables; their gradients stay in `pending`.
  void only(std::unordered_set<const Node*> nodes, std::unordered_set<const Variable*> targets) {
    restricted_ = true;
    nodes_ = std::move(nodes);
    targets_ = std::move(targets);
  }

  void seed(Variable& v, Variable* g) {
    add(v, Ref<Variable>::share(g));
    push(v.creator);
  }

  void run() {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), by_rank);
      Node* node = heap_.back();
      heap_.pop_back();
      const Ref<Node> hold = Ref<Node>::take(node);
      step(*node);
    }
  }

  // Adds what reached the leaves to their gradients; nothing is written unless all sums are there.
  // Parameters remember the loss scale in their gradient: the optimizer divides by it.
  void commit_leaves(double loss_scale) {
    std::vector<std::pair<Variable*, Ref<Variable>>> results;
    for (Variable* v : touched_) {
      if (v->creator || !v->pending || v->handles.load() == 0) continue;
      Ref<Variable> sum =
          v->grad ? add_variables(*v->grad, *v->pending) : Ref<Variable>::share(v->pending);
      results.emplace_back(v, std::move(sum));
    }
    for (auto& [v, sum] : results) {
      v->set_grad(sum.get());
      if (v->is_parameter()) v->extra->parameter->loss_scale = loss_scale;
    }
    for (auto& [v, g] : retained_)
      if (v->handles.load()) v->set_grad(g.get());
  }

 private:
  static bool by_rank(const Node* a, const Node* b) { return a->rank < b->rank; }

  bool wants(const Variable* v) const {
    if (!v || !v->requires_grad) return false;
    if (!restricted_) return true;
    return targets_.count(v) || (v->creator && nodes_.count(v->creator));
  }

  void push(Node* node) {
    if (!node || node->mark == mark_ || (restricted_ && !nodes_.count(node))) return;
    node->mark = mark_;
    heap_.push_back(node);
    node->retain();
    std::push_heap(heap_.begin(), heap_.end(), by_rank);
  }

  void add(Variable& v, Ref<Variable> g) {
    if (!v.pending) {
      touched_.push_back(&v);
      v.retain_node();
      v.pending = g.detach();
      return;
    }
    Array& sum = v.pending->array();
    const bool own = !double_ && v.pending->handles.load() == 1 && sum.refs.load() == 1 &&
                     sum.storage->refs.load() == 1 && !(sum.storage->flags & kStorageBorrowed) &&
                     sum.contiguous;
    if (own) {
      add_into(sum, g->array());
      return;
    }
    Variable* made = add_variables(*v.pending, *g).detach();
    std::exchange(v.pending, made)->release();
  }

  void step(Node& node) {
    const auto n_out = static_cast<size_t>(node.n_out), n_in = static_cast<size_t>(node.n_in);
    gy_.assign(n_out, nullptr);
    bool any = false;
    for (size_t k = 0; k < n_out; ++k) {
      Variable* y = node.out[k];
      if (!y || !y->pending) continue;
      any = true;
      if (restricted_ && targets_.count(y)) {
        gy_[k] = Ref<Variable>::share(y->pending);
        continue;
      }
      gy_[k] = take_pending(*y);
      if (retain_grad_) retained_.emplace_back(y, gy_[k]);
    }
    if (!any) return;
    raw_.resize(n_out);
    for (size_t k = 0; k < n_out; ++k) raw_[k] = gy_[k].get();
    needed_.assign(n_in, 0);
    for (size_t i = 0; i < n_in; ++i) needed_[i] = wants(node.in[i]);
    gx_.clear();
    gx_.resize(n_in);
    const bool hooked = ctx_.hook_count.load(std::memory_order_relaxed) != 0 && node.op;
    if (hooked) run_hooks(ctx_, CTN_HOOK_BACKWARD_PRE, node.op->id, raw_);
    compute(node);
    if (hooked) run_hooks(ctx_, CTN_HOOK_BACKWARD_POST, node.op->id, raw_);
    if (ctx_.config().flags() & kDebug) check_finite(node);
    for (size_t i = 0; i < n_in; ++i) {
      if (!needed_[i] || !gx_[i]) continue;
      check_fits(node, i);
      add(*node.in[i], std::move(gx_[i]));
      push(node.in[i]->creator);
    }
  }

  // The gradient of an intermediate variable is given back as soon as it has been used.
  Ref<Variable> take_pending(Variable& y) {
    Ref<Variable> g = Ref<Variable>::take(std::exchange(y.pending, nullptr));
    if (!touched_.empty() && touched_.back() == &y) {
      touched_.pop_back();
      y.release_node();
    }
    return g;
  }

  void compute(Node& node) {
    if (node.fn) {
      uint64_t mask = 0;
      for (size_t i = 0; i < needed_.size(); ++i) mask |= uint64_t{needed_[i]} << i;
      if (mask) node.fn->backward(node, raw_, mask, gx_);
      return;
    }
    if (!node.op->def.backward) fail(CTN_EGRAD, "[" + node.op->name + "] has no gradient");
    if (node.op->flags & CTN_OP_ONCE && double_)
      fail(CTN_EGRAD, "[" + node.op->name + "] is differentiable once only");
    GradCall g(node, raw_, needed_, gx_);
    check_status(node.op->def.backward(node.op->def.self, &g), node.op->name);
  }

  void check_fits(const Node& node, size_t i) const {
    const Variable& x = *node.in[i];
    const Array& g = gx_[i]->array();
    if (g.dtype == x.dtype && g.ndim == x.ndim &&
        std::equal(g.shape().begin(), g.shape().end(), x.shape().begin()))
      return;
    fail(CTN_EINTERNAL, "[" + std::string(node.label()) + "] gradient " + array_text(g) +
                            " of input " + std::to_string(i) + " does not fit its shape " +
                            shape_text(x.shape()) + " and dtype " +
                            std::string(dtype_name(x.dtype)));
  }

  void check_finite(const Node& node) const {
    for (size_t i = 0; i < gx_.size(); ++i) {
      if (!gx_[i]) continue;
      const int64_t at = first_nonfinite(gx_[i]->array());
      if (at >= 0)
        fail(CTN_ENAN, "NaN or infinity in the gradient of input " + std::to_string(i) + " of " +
                           std::string(node.label()) + " (backward), element " +
                           std::to_string(at) + " of " + array_text(gx_[i]->array()));
    }
  }

  Context& ctx_;
  const bool double_, retain_grad_;
  const uint64_t mark_;
  bool restricted_ = false;
  std::unordered_set<const Node*> nodes_;
  std::unordered_set<const Variable*> targets_;
  std::vector<Node*> heap_;
  std::vector<Variable*> touched_;  // graph references
  std::vector<std::pair<Variable*, Ref<Variable>>> retained_;
  std::vector<Ref<Variable>> gy_, gx_;
  std::vector<Variable*> raw_;
  std::vector<uint8_t> needed_;
};

Ref<Variable> start_gradient(Variable& v, Variable* given, double loss_scale) {
  Ref<Variable> g;
  if (given)
    g = Ref<Variable>::share(given);
  else if (v.array().size == 1)
    g = ones_like(v);
  else
    fail(CTN_EGRAD, "backward from " + array_text(v.array()) +
                        ", which is not a scalar and has no gradient: set one first");
  return loss_scale != 0 ? scaled(*g, loss_scale) : g;
}

// Nodes on paths from the outputs to the inputs.
std::unordered_set<const Node*> nodes_between(std::span<Variable* const> outputs,
                                              const std::unordered_set<const Variable*>& inputs) {
  std::unordered_set<const Node*> seen;
  std::vector<const Node*> order, stack;
  for (const Variable* v : outputs)
    if (v->creator && seen.insert(v->creator).second) stack.push_back(v->creator);
  while (!stack.empty()) {
    const Node* n = stack.back();
    stack.pop_back();
    order.push_back(n);
    for (int32_t i = 0; i < n->n_in; ++i) {
      const Variable* x = n->in[i];
      if (x && x->creator && seen.insert(x->creator).second) stack.push_back(x->creator);
    }
  }
  std::sort(order.begin(), order.end(),
            [](const Node* a, const Node* b) { return a->rank < b->rank; });
  std::unordered_set<const Node*> leads;
  for (const Node* n : order) {
    for (int32_t i = 0; i < n->n_in; ++i) {
      const Variable* x = n->in[i];
      if (x && (inputs.count(x) || (x->creator && leads.count(x->creator)))) {
        leads.insert(n);
        break;
      }
    }
  }
  return leads;
}

}  // namespace

void GradCall::check_input(int32_t i) const {
  if (i < 0 || i >= node.n_in)
    fail(CTN_EINVAL, "[" + node.op->name + "] backward: there is no input " + std::to_string(i));
}

void GradCall::check_output(int32_t i) const {
  if (i < 0 || i >= node.n_out)
    fail(CTN_EINVAL, "[" + node.op->name + "] backward: there is no output " + std::to_string(i));
}

Variable* GradCall::input(int32_t i) {
  check_input(i);
  if (!node.in[i]) return nullptr;
  if (!node.kept_in[i])
    fail(CTN_EINVAL, "[" + node.op->name + "] backward reads input " + std::to_string(i) +
                         ", which its schema does not retain");
  held_.push_back(node.input(i));
  return held_.back().get();
}

Variable* GradCall::output(int32_t i) {
  check_output(i);
  if (!node.kept_out[i])
    fail(CTN_EINVAL, "[" + node.op->name + "] backward reads output " + std::to_string(i) +
                         ", which its schema does not retain");
  held_.push_back(node.output(i));
  return held_.back().get();
}

Variable* GradCall::grad_output(int32_t i) const {
  check_output(i);
  return gy[static_cast<size_t>(i)];
}

void GradCall::set(int32_t i, Variable* g) {
  check_input(i);
  gx[static_cast<size_t>(i)] = Ref<Variable>::share(g);
}

void GradCall::input_spec(int32_t i, ctn_dltensor& out) const {
  check_input(i);
  if (node.in[i]) {
    set_spec(*node.in[i], out);
  } else {
    out = ctn_dltensor{};
    out.ndim = -1;
  }
}

void GradCall::output_spec(int32_t i, ctn_dltensor& out) const {
  check_output(i);
  const auto k = static_cast<size_t>(i);
  if (gy[k])
    set_spec(*gy[k], out);
  else if (node.out[i])
    set_spec(*node.out[i], out);
  else if (node.kept_out[i])
    node.kept_out[i]->fill_tensor(out);
  else
    fail(CTN_EINVAL, "[" + node.op->name + "] backward: output " + std::to_string(i) +
                         " is gone and has no gradient");
}

void backward(Variable& v, const BackwardOptions& options) {
  if (!v.creator) return;
  Context& ctx = *v.ctx;
  const Ref<Variable> hold = Ref<Variable>::share(&v);
  const Ref<Variable> start = start_gradient(v, v.grad, options.loss_scale);
  const ConfigScope scope(ctx.config(), kEnableBackprop,
                          options.double_backprop ? uint32_t{kEnableBackprop} : 0u);
  Pass pass(ctx, options.double_backprop, options.retain_grad);
  pass.seed(v, start.get());
  pass.run();
  pass.commit_leaves(options.loss_scale);
  v.set_grad(start.get());
}

void grad_of(std::span<Variable* const> outputs, std::span<Variable* const> inputs,
             const GradOptions& options, std::span<Variable*> grads) {
  if (outputs.empty()) fail(CTN_EINVAL, "grad: no outputs");
  Context& ctx = *outputs[0]->ctx;
  std::unordered_set<const Variable*> targets(inputs.begin(), inputs.end());
  std::unordered_set<const Node*> nodes = nodes_between(outputs, targets);
  const ConfigScope scope(ctx.config(), kEnableBackprop,
                          options.double_backprop ? uint32_t{kEnableBackprop} : 0u);
  Pass pass(ctx, options.double_backprop, options.retain_grad);
  pass.only(std::move(nodes), std::move(targets));
  for (size_t k = 0; k < outputs.size(); ++k) {
    Variable* given = options.grad_outputs.empty() ? nullptr : options.grad_outputs[k];
    const Ref<Variable> start = start_gradient(*outputs[k], given, options.loss_scale);
    pass.seed(*outputs[k], start.get());
  }
  pass.run();
  std::vector<Ref<Variable>> results(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    Variable* extra = options.grad_inputs.empty() ? nullptr : options.grad_inputs[i];
    Variable* g = inputs[i]->pending;
    if (g && extra)
      results[i] = add_variables(*extra, *g);
    else
      results[i] = Ref<Variable>::share(g ? g : extra);
  }
  for (size_t i = 0; i < inputs.size(); ++i)
    if (options.set_grad && results[i]) inputs[i]->set_grad(results[i].get());
  for (size_t i = 0; i < inputs.size(); ++i) grads[i] = results[i].detach();
}

}  // namespace catena
