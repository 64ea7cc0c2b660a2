// Variables and nodes: see variable.h.
#include "core/variable.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace catena {
namespace {

// Nodes whose count fell to zero while another was being freed on this thread: a chain of millions
// is released in a loop.
thread_local Node* t_dead = nullptr;
thread_local bool t_draining = false;

void destroy(Node* node) noexcept {
  for (int32_t i = 0; i < node->n_out; ++i) {
    if (node->kept_out[i]) node->kept_out[i]->release();
    // no output can be alive: each holds a reference to its creator
  }
  for (int32_t i = 0; i < node->n_in; ++i) {
    if (node->kept_in[i]) node->kept_in[i]->release();
    if (node->in[i]) node->in[i]->release_node();
  }
  for (int32_t i = 0; i < node->n_attrs; ++i) drop_value(node->attrs[i]);
  Context* ctx = node->ctx;
  const uint64_t bytes = node->block_bytes;
  node->~Node();
  ctx->free_object(node, bytes);
}

template <class T>
T* carve(std::byte*& cursor, size_t n) {
  T* p = reinterpret_cast<T*>(cursor);
  cursor = reinterpret_cast<std::byte*>(p + n);
  return p;
}

}  // namespace

VariableExtra::~VariableExtra() {
  if (drop_user) drop_user(user);
}

Ref<Variable> Variable::make(Context& ctx, Ref<Array> a, bool requires_grad) {
  auto* v = new (ctx.alloc_object(sizeof(Variable))) Variable;
  Ref<Variable> r = Ref<Variable>::take(v);
  v->ctx = &ctx;
  v->requires_grad = requires_grad;
  if (a) {
    v->keep_spec(*a);
    v->data = a.detach();
  }
  return r;
}

void Variable::keep_spec(const Array& a) {
  if (a.ndim > kInlineDims && a.ndim > (more_dims ? ndim : kInlineDims)) {
    auto* dims_block = static_cast<int64_t*>(ctx->alloc_object(CTN_MAX_NDIM * sizeof(int64_t)));
    if (more_dims) ctx->free_object(more_dims, CTN_MAX_NDIM * sizeof(int64_t));
    more_dims = dims_block;
  }
  dtype = a.dtype;
  ndim = static_cast<int8_t>(a.ndim);
  has_spec = true;
  std::memcpy(more_dims ? more_dims : dims, a.dims, static_cast<size_t>(a.ndim) * sizeof(int64_t));
}

void Variable::release() noexcept {
  for (int32_t n = handles.load(std::memory_order_acquire); n > 1;)
    if (handles.compare_exchange_weak(n, n - 1, std::memory_order_acq_rel)) return;
  // The last one: only a backward pass that brings the variable back can come in between.
  Array* a = nullptr;
  Variable* g = nullptr;
  {
    SpinGuard guard(gate);
    if (handles.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    a = data;
    std::atomic_ref(data).store(nullptr, std::memory_order_relaxed);  // input_array() may read it
    g = replace_grad(nullptr);
  }
  if (a) a->release();
  if (g) g->release();
  release_node();
}

void Variable::release_node() noexcept {
  Node* made_by = creator;
  if (made_by && made_by->n_out > 1) {
    SpinGuard guard(made_by->gate);  // hold_output() may be looking at it
    if (refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (made_by->out[output] == this) made_by->out[output] = nullptr;
  } else {
    if (!drop_one(refs)) return;
    if (made_by && made_by->out[output] == this) made_by->out[output] = nullptr;
  }
  if (pending) pending->release();
  delete extra;
  Context* owner = ctx;
  if (more_dims) owner->free_object(more_dims, CTN_MAX_NDIM * sizeof(int64_t));
  this->~Variable();
  owner->free_object(this, sizeof(Variable));
  if (made_by) made_by->release();
}

Ref<Variable> Variable::revive(Array* kept) {
  SpinGuard guard(gate);
  if (handles.fetch_add(1, std::memory_order_acq_rel) == 0) retain_node();
  if (!data && kept) {
    kept->retain();
    data = kept;
  }
  return Ref<Variable>::take(this);
}

Array& Variable::array() const {
  if (!data) {
    const std::string name = extra && !extra->name.empty() ? " '" + extra->name + "'" : "";
    fail(CTN_EINVAL, "variable" + name +
                         (is_parameter() ? " is a parameter that is not initialised yet"
                                         : " has no array: it was not kept for backward"));
  }
  return *data;
}

void Variable::set_array(Array& a) {
  if (&a.ctx() != ctx) fail(CTN_EINVAL, "variable and array belong to different contexts");
  keep_spec(a);
  a.retain();
  if (Array* old = std::exchange(data, &a)) old->release();
}

VariableExtra& Variable::more() {
  if (!extra) extra = new VariableExtra;
  return *extra;
}

void Variable::set_grad(Variable* g) {
  if (g == grad) return;
  if (g) {
    if (g->ctx != ctx) fail(CTN_EINVAL, "variable and gradient belong to different contexts");
    if (has_spec) {
      const Array& a = g->array();
      if (a.dtype != dtype)
        fail(CTN_EDTYPE, "gradient has dtype " + std::string(dtype_name(a.dtype)) +
                             ", the variable has " + std::string(dtype_name(dtype)));
      if (!std::equal(a.shape().begin(), a.shape().end(), shape().begin(), shape().end()))
        fail(CTN_ESHAPE, "gradient has shape " + shape_text(a.shape()) + ", the variable has " +
                             shape_text(shape()));
    }
    g->retain();
  }
  Variable* old = nullptr;
  {
    SpinGuard guard(gate);
    old = replace_grad(g);
  }
  if (old) old->release();
}

void Variable::set_creator(Ref<Node> node, int32_t index) {
  output = index;
  rank = node->rank + 1;
  node->out[index] = this;
  creator = node.detach();
}

void Variable::unchain() noexcept {
  if (!creator) return;
  Node* old = std::exchange(creator, nullptr);
  {
    SpinGuard guard(old->gate);
    if (old->out[output] == this) old->out[output] = nullptr;
  }
  rank = 0;
  old->release();
}

void unchain_backward(Variable& v) {
  std::vector<Ref<Node>> stack;
  if (v.creator) stack.push_back(Ref<Node>::share(v.creator));
  v.unchain();
  while (!stack.empty()) {
    const Ref<Node> node = std::move(stack.back());
    stack.pop_back();
    for (int32_t i = 0; i < node->n_in; ++i) {
      Variable* x = node->in[i];
      if (!x || !x->creator) continue;
      stack.push_back(Ref<Node>::share(x->creator));
      x->unchain();
    }
  }
}

Ref<Node> Node::make(Context& ctx, int32_t n_in, int32_t n_out, std::span<const ctn_value> attrs,
                     const Space* space, std::span<const Ref<Array>> outs) {
  const auto in_count = static_cast<size_t>(n_in), out_count = static_cast<size_t>(n_out);
  const size_t dims = space ? static_cast<size_t>(space->ndim) : 0;
  uint64_t bytes = sizeof(Node) + (2 * in_count + 3 * out_count) * sizeof(void*) +
                   attrs.size() * sizeof(ctn_value) + dims * sizeof(int64_t);
  if (outs.size() == 1) outs = {};
  for (const Ref<Array>& a : outs) bytes += (2 + a->shape().size()) * sizeof(int64_t);
  for (const ctn_value& v : attrs) bytes += extra_bytes(v);
  auto* cursor = static_cast<std::byte*>(ctx.alloc_object(bytes));
  auto* node = new (cursor) Node;
  cursor += sizeof(Node);
  std::memset(cursor, 0, bytes - sizeof(Node));
  node->ctx = &ctx;
  node->block_bytes = bytes;
  node->n_in = n_in;
  node->n_out = n_out;
  node->in = carve<Variable*>(cursor, in_count);
  node->kept_in = carve<Array*>(cursor, in_count);
  node->out = carve<Variable*>(cursor, out_count);
  node->pending = carve<Variable*>(cursor, out_count);
  node->kept_out = carve<Array*>(cursor, out_count);
  node->attrs = carve<ctn_value>(cursor, attrs.size());
  for (const Ref<Array>& a : outs) {
    auto* spec = carve<int64_t>(cursor, 2 + a->shape().size());
    if (!node->out_specs) node->out_specs = spec;
    spec[0] = a->dtype;
    spec[1] = a->ndim;
    std::copy_n(a->dims, a->ndim, spec + 2);
  }
  if (space) {
    node->space_dims = carve<int64_t>(cursor, dims);
    std::copy_n(space->shape, dims, node->space_dims);
    node->space_ndim = space->ndim;
    node->axes = space->axes;
    node->ones = space->ones;
  }
  for (const ctn_value& v : attrs) node->attrs[node->n_attrs++] = copy_value(v, cursor);
  return Ref<Node>::take(node);
}

Space Node::space() const {
  Space s;
  s.set({space_dims, static_cast<size_t>(space_ndim)});
  s.axes = axes;
  s.ones = ones;
  return s;
}

void Node::release() noexcept {
  if (!drop_one(refs)) return;
  next = t_dead;
  t_dead = this;
  if (t_draining) return;
  t_draining = true;
  while (Node* node = t_dead) {
    t_dead = node->next;
    destroy(node);
  }
  t_draining = false;
}

Variable* Node::hold_output(int32_t i) {
  if (n_out == 1) {
    if (out[0]) out[0]->retain_node();
    return out[0];
  }
  SpinGuard guard(gate);
  if (out[i]) out[i]->retain_node();
  return out[i];
}

Ref<Variable> Node::output(int32_t i) {
  if (Variable* alive = hold_output(i)) {
    Ref<Variable> y = alive->revive(kept_out[i]);
    alive->release_node();
    return y;
  }
  if (!kept_out[i]) return nullptr;
  Ref<Variable> v = Variable::make(*ctx, Ref<Array>::share(kept_out[i]), true);
  SpinGuard guard(gate);
  v->set_creator(Ref<Node>::share(this), i);
  return v;
}

void Node::output_spec(int32_t i, ctn_dltensor& to) const {
  int64_t* spec = out_specs;
  while (i-- > 0) spec += 2 + spec[1];
  to = ctn_dltensor{};
  to.dtype = dtype_of(static_cast<int>(spec[0]));
  to.ndim = static_cast<int32_t>(spec[1]);
  to.shape = spec + 2;
}

// A variable may lose its data to the release of its last handle in another thread, to that only:
// the kept array is the same one then. Somebody may have given the variable another array.
Array& Node::input_array(int32_t i) const {
  Array* now = std::atomic_ref(in[i]->data).load(std::memory_order_relaxed);
  Array* a = now && now != kept_in[i] ? now : kept_in[i];
  return a ? *a : in[i]->array();
}

Array& Node::output_array(int32_t i) const {
  if (!kept_out[i])
    fail(CTN_EINTERNAL, "[" + std::string(label()) + "] output " + std::to_string(i) +
                            " was not kept for backward");
  return *kept_out[i];
}

}  // namespace catena
