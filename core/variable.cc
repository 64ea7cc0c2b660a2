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
  if (!drop_one(handles)) return;
  if (Array* a = std::exchange(data, nullptr)) a->release();
  if (Variable* g = std::exchange(grad, nullptr)) g->release();
  release_node();
}

void Variable::release_node() noexcept {
  if (!drop_one(refs)) return;
  Node* made_by = std::exchange(creator, nullptr);
  if (made_by && made_by->out[output] == this) made_by->out[output] = nullptr;
  if (pending) pending->release();
  delete extra;
  Context* owner = ctx;
  if (more_dims) owner->free_object(more_dims, CTN_MAX_NDIM * sizeof(int64_t));
  this->~Variable();
  owner->free_object(this, sizeof(Variable));
  if (made_by) made_by->release();
}

Ref<Variable> Variable::revive(Array* kept) {
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
  if (Variable* old = std::exchange(grad, g)) old->release();
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
  if (old->out[output] == this) old->out[output] = nullptr;
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
                     const Space* space) {
  const auto in_count = static_cast<size_t>(n_in), out_count = static_cast<size_t>(n_out);
  const size_t dims = space ? static_cast<size_t>(space->ndim) : 0;
  uint64_t bytes = sizeof(Node) + (in_count + out_count) * 2 * sizeof(void*) +
                   attrs.size() * sizeof(ctn_value) + dims * sizeof(int64_t);
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
  node->kept_out = carve<Array*>(cursor, out_count);
  node->attrs = carve<ctn_value>(cursor, attrs.size());
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

Ref<Variable> Node::output(int32_t i) {
  if (out[i]) return out[i]->revive(kept_out[i]);
  if (!kept_out[i]) return nullptr;
  Ref<Variable> v = Variable::make(*ctx, Ref<Array>::share(kept_out[i]), true);
  v->set_creator(Ref<Node>::share(this), i);
  return v;
}

Array& Node::input_array(int32_t i) const {
  return in[i]->data || !kept_in[i] ? in[i]->array() : *kept_in[i];
}

Array& Node::output_array(int32_t i) const {
  if (out[i] && out[i]->data) return *out[i]->data;
  if (!kept_out[i])
    fail(CTN_EINTERNAL, "[" + std::string(label()) + "] output " + std::to_string(i) +
                            " was not kept for backward");
  return *kept_out[i];
}

}  // namespace catena
