// Back-propagation: nodes by falling rank, gradients summed in each variable's `pending` slot,
// leaves written last, so that a failure changes nothing. Source of the semantics: Chainer 4.3.1,
// Variable.backward and chainer.grad.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "core/call.h"
#include "core/capture.h"
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

// One backward pass. Gradients are summed in slots of the nodes and leaves it meets; what a pass of
// another thread has taken, and all of a restricted pass, is summed in a table instead.
class Pass {
 public:
  Pass(Context& ctx, bool double_backprop, bool retain_grad)
      : ctx_(ctx), double_(double_backprop), retain_grad_(retain_grad), id_(next_pass()) {}
  ~Pass() {
    for (Node* n : heap_) {
      give_up(*n);
      n->release();
    }
    for (Variable* v : leaves_) {
      if (Variable* g = std::exchange(v->pending, nullptr)) g->release();
      v->pass.store(0, std::memory_order_release);
      v->release_node();
    }
    for (auto& [v, g] : results_) v->release_node();
  }
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  // Restricts the pass to paths that lead to these variables; their gradients stay in the table.
  void only(std::unordered_set<const Node*> nodes, std::unordered_set<const Variable*> targets) {
    restricted_ = true;
    nodes_ = std::move(nodes);
    targets_ = std::move(targets);
  }

  // root: a variable whose own gradient is not touched.
  void seed(Variable& root, Ref<Variable> g) {
    roots_.insert(&root);
    add(root, std::move(g));
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

  // Of a restricted pass: what reached `v`, NULL if nothing did.
  Variable* reached(Variable& v) const {
    const auto found = table_.find(&v);
    return found == table_.end() ? nullptr : found->second.get();
  }

  // Adds what reached the leaves to their gradients; nothing is written unless all sums are there.
  // Parameters remember the loss scale in their gradient: the optimizer divides by it.
  void commit_leaves(double loss_scale) {
    const std::lock_guard lock(ctx_.leaf_mutex);
    std::vector<std::pair<Variable*, Ref<Variable>>> sums;
    const auto sum = [&](Variable* v, Variable* g) {
      if (v->creator || !g || v->handles.load() == 0) return;
      const Ref<Variable> old = v->shared_grad();
      sums.emplace_back(v, old ? add_variables(*old, *g) : Ref<Variable>::share(g));
    };
    for (Variable* v : leaves_) {
      Ref<Variable> g = from_table(v);
      if (g) v->pending = summed(Ref<Variable>::take(v->pending), std::move(g)).detach();
      sum(v, v->pending);
    }
    for (auto& [v, g] : table_) sum(v, g.get());
    for (auto& [v, g] : sums) {
      v->set_grad(g.get());
      if (v->is_parameter()) v->extra->parameter->loss_scale = loss_scale;
      if (Capture* c = capture_in(ctx_)) [[unlikely]]
        c->note_leaf(*v);
    }
    commit_results();
  }

  // Gradients of what lies between: kept where that was asked for, otherwise old ones go.
  void commit_results() {
    for (auto& [v, g] : results_)
      if (v->handles.load()) v->set_grad(g.get());
  }

 private:
  static bool by_rank(const Node* a, const Node* b) { return a->rank < b->rank; }

  bool wants(const Variable* v) const {
    if (!v || !v->requires_grad) return false;
    if (!restricted_) return true;
    return targets_.count(v) || (v->creator && nodes_.count(v->creator));
  }

  // ---- slots

  bool claimed(std::atomic<uint64_t>& pass) const {
    return pass.load(std::memory_order_relaxed) == id_;
  }
  bool claim(std::atomic<uint64_t>& pass) const {
    uint64_t nobody = 0;
    return pass.compare_exchange_strong(nobody, id_, std::memory_order_acquire);
  }

  // The node's turn comes when all gradients of its outputs are summed.
  void push(Node& node) {
    if (claimed(node.pass) || (restricted_ && !nodes_.count(&node))) return;
    heap_.push_back(&node);
    node.retain();
    std::push_heap(heap_.begin(), heap_.end(), by_rank);
    // One that another pass has is pushed with every gradient: all turns but the first find none.
    if (!restricted_) claim(node.pass);
  }

  bool claim_leaf(Variable& v) {
    if (claimed(v.pass)) return true;
    leaves_.push_back(&v);
    if (claim(v.pass)) {
      v.retain_node();
      return true;
    }
    leaves_.pop_back();
    return false;
  }

  void add(Variable& v, Ref<Variable> g) {
    if (v.creator) push(*v.creator);
    if (!restricted_ && (v.creator ? claimed(v.creator->pass) : claim_leaf(v))) {
      Variable*& slot = v.creator ? v.creator->pending[v.output] : v.pending;
      Ref<Variable> old = Ref<Variable>::take(std::exchange(slot, nullptr));
      slot = summed(std::move(old), std::move(g)).detach();
    } else {
      Ref<Variable>& slot = table_[&v];
      slot = summed(std::move(slot), std::move(g));
    }
  }

  Ref<Variable> summed(Ref<Variable> old, Ref<Variable> g) const {
    if (!old) return g;
    Array& sum = old->array();
    const bool own = !double_ && old->handles.load() == 1 && sum.refs.load() == 1 &&
                     sum.storage->refs.load() == 1 && !(sum.storage->flags & kStorageBorrowed) &&
                     sum.contiguous;
    if (!own) return add_variables(*old, *g);
    add_into(sum, g->array());
    return old;
  }

  // What the table has for `v`, which may be gone; it leaves the table unless it was asked for.
  Ref<Variable> from_table(const Variable* v) {
    const auto found = table_.find(const_cast<Variable*>(v));
    if (found == table_.end()) return nullptr;
    if (targets_.count(v)) return found->second;
    Ref<Variable> g = std::move(found->second);
    table_.erase(found);
    return g;
  }

  // What has been summed for output k: in the slot, in the table, or first there and then here.
  Ref<Variable> take(Node& node, int32_t k) {
    Ref<Variable> g;
    if (claimed(node.pass)) g = Ref<Variable>::take(std::exchange(node.pending[k], nullptr));
    if (table_.empty()) return g;
    const Variable* y = nullptr;
    {
      SpinGuard guard(node.gate);  // another thread may be giving up one of several outputs
      y = node.out[k];
    }
    if (!y) return g;
    Ref<Variable> more = from_table(y);
    return more ? summed(std::move(g), std::move(more)) : g;
  }

  void give_up(Node& node) const {
    if (!claimed(node.pass)) return;
    for (int32_t k = 0; k < node.n_out; ++k)
      if (Variable* g = std::exchange(node.pending[k], nullptr)) g->release();
    node.pass.store(0, std::memory_order_release);
  }

  // ---- one node

  void step(Node& node) {
    struct Turn {
      const Pass& pass;
      Node& node;
      ~Turn() { pass.give_up(node); }
    } const turn{*this, node};
    const auto n_out = static_cast<size_t>(node.n_out), n_in = static_cast<size_t>(node.n_in);
    gy_.clear();
    gy_.resize(n_out);
    bool any = false;
    for (size_t k = 0; k < n_out; ++k) {
      gy_[k] = take(node, static_cast<int32_t>(k));
      any = any || gy_[k];
    }
    if (!any) return;
    settle_outputs(node);
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
    if (ctx_.config().flags() & kDebug) check_nan(node);
    for (size_t i = 0; i < n_in; ++i) {
      if (!needed_[i] || !gx_[i]) continue;
      check_fits(node, i);
      add(*node.in[i], std::move(gx_[i]));
    }
  }

  // As Chainer: an output that nothing reached passes on the gradient it already has, and no output
  // but the root keeps an old gradient.
  void settle_outputs(Node& node) {
    if (restricted_ && !retain_grad_) return;
    for (int32_t k = 0; k < node.n_out; ++k) {
      Ref<Variable>& g = gy_[static_cast<size_t>(k)];
      if (node.n_out == 1 && !retain_grad_ && !(node.out[0] && node.out[0]->has_grad())) return;
      Variable* y = node.hold_output(k);
      if (!y) continue;
      if (!g && !restricted_) g = y->shared_grad();
      const bool changes = (retain_grad_ && g) || y->has_grad();
      if (changes && !roots_.count(y))
        results_.emplace_back(y, retain_grad_ ? g : nullptr);
      else
        y->release_node();
    }
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

  void check_nan(const Node& node) const {
    for (size_t i = 0; i < gx_.size(); ++i) {
      if (!gx_[i]) continue;
      const int64_t at = first_nan(gx_[i]->array());
      if (at >= 0)
        fail(CTN_ENAN, "NaN in the gradient of input " + std::to_string(i) + " of " +
                           std::string(node.label()) + " (backward), element " +
                           std::to_string(at) + " of " + array_text(gx_[i]->array()));
    }
  }

  Context& ctx_;
  const bool double_, retain_grad_;
  const uint64_t id_;
  bool restricted_ = false;
  std::unordered_set<const Node*> nodes_;
  std::unordered_set<const Variable*> targets_, roots_;
  std::vector<Node*> heap_;        // references
  std::vector<Variable*> leaves_;  // graph references
  std::unordered_map<Variable*, Ref<Variable>> table_;
  std::vector<std::pair<Variable*, Ref<Variable>>> results_;  // graph references
  std::vector<Ref<Variable>> gy_, gx_;
  std::vector<Variable*> raw_;
  std::vector<uint8_t> needed_;
};

// loss_scale: of a gradient that is made here; one that is given has whatever scale it has.
Ref<Variable> first_gradient(Variable& v, double loss_scale) {
  Ref<Variable> g = ones_like(v);
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
  if (gy[k])  // always there if it is the only one
    set_spec(*gy[k], out);
  else
    node.output_spec(i, out);
}

void backward(Variable& v, const BackwardOptions& options) {
  if (!v.creator) return;
  Context& ctx = *v.ctx;
  const Ref<Variable> hold = Ref<Variable>::share(&v);
  if (!v.grad && v.array().size != 1)
    fail(CTN_EGRAD, "backward from " + array_text(v.array()) +
                        ", which is not a scalar and has no gradient: set one first");
  const Ref<Variable> start =
      v.grad ? Ref<Variable>::share(v.grad) : first_gradient(v, options.loss_scale);
  const ConfigScope scope(ctx.config(), kEnableBackprop,
                          options.double_backprop ? uint32_t{kEnableBackprop} : 0u);
  Pass pass(ctx, options.double_backprop, options.retain_grad);
  pass.seed(v, start);
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
    pass.seed(*outputs[k], given ? Ref<Variable>::share(given)
                                 : first_gradient(*outputs[k], options.loss_scale));
  }
  pass.run();
  std::vector<Ref<Variable>> results(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    Variable* extra = options.grad_inputs.empty() ? nullptr : options.grad_inputs[i];
    Variable* g = pass.reached(*inputs[i]);
    if (g && extra)
      results[i] = add_variables(*extra, *g);
    else
      results[i] = Ref<Variable>::share(g ? g : extra);
  }
  for (size_t i = 0; i < inputs.size(); ++i)
    if (options.set_grad && results[i]) inputs[i]->set_grad(results[i].get());
  pass.commit_results();
  for (size_t i = 0; i < inputs.size(); ++i) grads[i] = results[i].detach();
}

}  // namespace catena
