// ExprFn: see expr_fn.h.
#include "core/expr_fn.h"

#include <algorithm>
#include <cstring>

#include "core/call.h"
#include "core/layout.h"

namespace catena {
namespace {

constexpr int kMaxFnArgs = CTN_FORM_MAX_ARGS;

ExprFn* make_fn(const char* in, const char* out, const char* map, const char* reduce,
                const char* name, bool same_shape) {
  expr::Source s;
  s.in = expr::parse_params(in, name);
  s.out = expr::parse_params(out, name);
  s.map = map;
  if (reduce) s.reduce = reduce;
  return new ExprFn(expr::Row::parse(s, name), name, same_shape);  // lives with the process
}

const ExprFn& sum_fn() {
  static const ExprFn* f = make_fn("T x", "T y", "x", "a + b", "sum of gradients", false);
  return *f;
}
const ExprFn& add_fn() {
  static const ExprFn* f =
      make_fn("T a, T b", "T y", "y = a + b", nullptr, "sum of gradients", true);
  return *f;
}

uint64_t low_bits(int32_t n) { return n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1; }

bool same_dims(std::span<const int64_t> a, std::span<const int64_t> b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
}

}  // namespace

ExprFn::ExprFn(std::shared_ptr<const expr::Row> row, std::string name, bool same_shape)
    : row_(std::move(row)), name_(std::move(name)), same_shape_(same_shape) {
  const auto n_in = static_cast<size_t>(row_->n_in());
  align_.assign(n_in + static_cast<size_t>(row_->n_out()), Align::kFull);
  if (row_->is_reduction())
    std::fill(align_.begin() + static_cast<ptrdiff_t>(n_in), align_.end(), Align::kReduced);
  keeps_space_ = row_->is_reduction();
}

void ExprFn::find_space(const Request& request, Space& space) const {
  if (same_shape_ && !request.in.empty()) {
    space.set(request.in[0]->shape());
    return;
  }
  space.ndim = 0;
  for (size_t i = 0; i < request.in.size(); ++i) {
    if (row_->arg_role(static_cast<int32_t>(i)) == CTN_ROLE_RAW) continue;
    const std::span<const int64_t> shape = request.in[i]->shape();
    if (space.ndim == 0)
      space.set(shape);
    else if (!same_dims(space.dims(), shape))
      broadcast(space, shape, i);
  }
}

// Widens the space so that input i fits.
void ExprFn::broadcast(Space& space, std::span<const int64_t> shape, size_t i) const {
  std::vector<int64_t> joined;
  if (!broadcast_shapes(space.dims(), shape, joined))
    fail(CTN_ESHAPE, "[" + name_ + "] input " + std::to_string(i) + " of shape " +
                         shape_text(shape) + " does not broadcast with " +
                         shape_text(space.dims()));
  space.set(joined);
}

void ExprFn::call(Context& ctx, const Request& request, std::span<Variable*> out) const {
  Array* arrays[kMaxFnArgs];
  for (size_t i = 0; i < request.in.size(); ++i) arrays[i] = &request.in[i]->array();
  Space room;
  if (!request.space) find_space(request, room);
  const Space& space = request.space ? *request.space : room;
  RefStack<Variable, kMaxFnArgs> results;
  compute(ctx, {arrays, request.in.size()}, request, space, out.size(), results);
  record(ctx, request, space, {results.data(), out.size()});
  results.give(out.data());
}

void ExprFn::compute(Context& ctx, std::span<Array* const> in, const Request& request,
                     const Space& space, size_t n_out, Results& results) const {
  const size_t n_in = in.size(), n_args = n_in + n_out;
  Device* device = in.empty() ? &ctx.default_device() : &in[0]->device();
  Array* args[kMaxFnArgs];
  uint8_t dtypes[kMaxFnArgs];
  RefStack<Array, kMaxFnArgs> packed;  // C-order copies of raw arguments
  for (size_t i = 0; i < n_in; ++i) {
    args[i] = in[i];
    dtypes[i] = in[i]->dtype;
    Device* const both = common_device(*device, in[i]->device());
    if (!both)
      fail(CTN_EINVAL,
           "[" + name_ + "] inputs are on " + device->name + " and " + in[i]->device().name);
    device = both;
    if (!in[i]->contiguous && row_->arg_role(static_cast<int32_t>(i)) == CTN_ROLE_RAW)
      args[i] = packed.push(to_contiguous(*in[i]));
  }
  for (size_t k = 0; k < n_out; ++k) {
    const int32_t asked = k < request.out_dtypes.size() ? request.out_dtypes[k] : -1;
    dtypes[n_in + k] = asked < 0 ? expr::kInfer : static_cast<uint8_t>(asked);
  }
  const Compiled& compiled = forms_.get(*row_, {dtypes, n_args});
  const ctn_form& form = compiled.c();
  uint64_t bits[kMaxFnArgs];
  for (int32_t s = 0; s < form.n_scalars; ++s) {
    const ctn_value& value = request.scalars[static_cast<size_t>(s)];
    if (value.kind == CTN_FLOAT && !has_number(form.scalars[s], value.u.f)) [[unlikely]]
      fail(CTN_EDTYPE, "[" + name_ + "] " + row_->scalar_name(s) + " is " + value_text(value) +
                           ", which is no " + std::string(dtype_name(form.scalars[s])) +
                           ", the dtype of the array; copy the array to a floating dtype first");
    bits[s] = scalar_bits(form.scalars[s], value);
  }

  int64_t reduced[CTN_MAX_NDIM];
  const int32_t n_reduced = keeps_space_ ? space.reduced_shape(reduced) : 0;
  const auto alike = [&](const ctn_form_arg& arg) { return arg.dtype == in[0]->dtype; };
  const uint64_t layout = compiled.flat && n_in > 0 && same_dims(in[0]->shape(), space.dims()) &&
                                  std::all_of(form.args, form.args + n_args, alike)
                              ? shared_layout(in)
                              : 0;
  for (size_t k = 0; k < n_out; ++k) {
    const std::span<const int64_t> shape =
        align_[n_in + k] == Align::kFull
            ? space.dims()
            : std::span<const int64_t>(reduced, static_cast<size_t>(n_reduced));
    const int dtype = form.args[n_in + k].dtype;
    Ref<Array> made = layout && align_[n_in + k] == Align::kFull
                          ? Array::make_packed(*device, dtype, shape, layout, name_.c_str())
                          : Array::make(*device, dtype, shape, name_.c_str());
    args[n_in + k] = made.get();
    results.push(Variable::make(ctx, std::move(made), false));
  }
  launch(compiled, *device, space, {args, n_args}, align_, bits);
  if (ctx.logs(CTN_LOG_DEBUG)) ctx.log(CTN_LOG_DEBUG, "kernel", who_ran(compiled, *device));
}

uint64_t ExprFn::reads(uint64_t needed) const {
  if (needed < kReadsCached) {
    const uint64_t known = reads_[needed].load(std::memory_order_relaxed);
    if (known) return known;
  }
  const uint64_t packed = (row_->grad_reads_in(needed) & 0xffffffffu) |
                          (row_->grad_reads_out(needed) & 0x7fffffffu) << 32 | uint64_t{1} << 63;
  if (needed < kReadsCached) reads_[needed].store(packed, std::memory_order_relaxed);
  return packed;
}

void ExprFn::record(Context& ctx, const Request& request, const Space& space,
                    std::span<Variable* const> out) const {
  if (!(ctx.config().flags() & kEnableBackprop)) return;
  if (request.op && request.op->flags & CTN_OP_NODIFF) return;
  uint64_t needed = 0;
  for (size_t i = 0; i < request.in.size(); ++i)
    if (request.in[i]->requires_grad) needed |= uint64_t{1} << i;
  needed &= row_->differentiable();
  if (!needed) return;
  const uint64_t keep = reads(needed);
  const auto n_in = static_cast<int32_t>(request.in.size());
  Ref<Node> node = Node::make(ctx, n_in, static_cast<int32_t>(out.size()), request.scalars,
                              keeps_space_ ? &space : nullptr);
  node->op = request.op;
  node->fn = this;
  int32_t rank = 0;
  for (int32_t i = 0; i < n_in; ++i) {
    Variable* v = request.in[static_cast<size_t>(i)];
    v->retain_node();
    node->in[i] = v;
    rank = std::max(rank, v->rank);
    if (keep >> i & 1) (node->kept_in[i] = v->data)->retain();
  }
  node->rank = rank;
  for (size_t k = 0; k < out.size(); ++k)
    if (keep >> (32 + k) & 1) (node->kept_out[k] = out[k]->data)->retain();
  for (size_t k = out.size(); k-- > 0;) {
    if (!is_floating(out[k]->dtype)) continue;
    out[k]->requires_grad = true;
    Ref<Node> own = k == 0 ? Ref<Node>::take(node.detach()) : node;  // the last takes our count
    out[k]->set_creator(std::move(own), static_cast<int32_t>(k));
  }
}

const ExprFn& ExprFn::gradient(uint64_t needed, uint64_t given) const {
  const auto find = [&]() -> const Gradient* {
    const Gradient* g = gradients_.load(std::memory_order_acquire);
    while (g && !(g->needed == needed && g->given == given)) g = g->next;
    return g;
  };
  if (const Gradient* g = find()) return g->fn;
  std::lock_guard lock(mutex_);
  if (const Gradient* g = find()) return g->fn;
  auto entry =
      std::make_unique<Gradient>(needed, given, row_->gradient(needed, given), name_ + " gradient");
  ExprFn* made = &entry->fn;
  const auto n_in = static_cast<size_t>(row_->n_in());
  const std::vector<expr::GradArg>& args = made->row_->grad_args();
  for (size_t i = 0; i < args.size(); ++i) {
    const auto index = static_cast<size_t>(args[i].index);
    made->align_[i] = align_[args[i].kind == expr::GradArg::kInput ? index : n_in + index];
    if (made->align_[i] == Align::kReduced) made->keeps_space_ = true;
  }
  entry->next = gradients_.load(std::memory_order_relaxed);
  gradients_.store(entry.get(), std::memory_order_release);
  return entry.release()->fn;
}

// Calls this gradient row with what the node kept. Variables come to life again only for a graph of
// the gradient itself.
void ExprFn::run_gradient(Node& node, std::span<Variable* const> gy, Request& request, size_t n_out,
                          Results& results) const {
  const std::vector<expr::GradArg>& args = row_->grad_args();
  const bool graph = node.ctx->config().flags() & kEnableBackprop;
  RefStack<Variable, kMaxFnArgs> revived;
  Array* arrays[kMaxFnArgs];
  for (size_t i = 0; i < args.size(); ++i) {
    const int32_t k = args[i].index;
    const auto kind = args[i].kind;
    if (kind == expr::GradArg::kGradOutput) {
      Variable* g = gy[static_cast<size_t>(k)];
      arrays[i] = &g->array();
      if (graph) revived.push(Ref<Variable>::share(g));
    } else if (graph) {
      arrays[i] =
          &revived.push(kind == expr::GradArg::kInput ? node.input(k) : node.output(k))->array();
    } else {
      arrays[i] = &(kind == expr::GradArg::kInput ? node.input_array(k) : node.output_array(k));
    }
  }
  compute(*node.ctx, {arrays, args.size()}, request, *request.space, n_out, results);
  if (!graph) return;
  request.in = {revived.data(), args.size()};
  record(*node.ctx, request, *request.space, {results.data(), n_out});
}

void ExprFn::backward(Node& node, std::span<Variable* const> gy, uint64_t needed,
                      std::span<Ref<Variable>> gx) const {
  uint64_t given = 0;
  const Variable* any = nullptr;
  for (size_t j = 0; j < gy.size(); ++j)
    if (gy[j]) {
      given |= uint64_t{1} << j;
      any = gy[j];
    }
  if (!any) return;
  given |= ~low_bits(node.n_out);
  needed &= row_->differentiable();
  if (!needed) return;
  Space space;
  if (node.has_space())
    space = node.space();
  else
    space.set(any->shape());
  const uint64_t rest = pass_on(node, gy, gradient(needed, given), needed, space, gx);
  if (!rest) return;
  const ExprFn& g = gradient(rest, given);
  std::vector<ctn_value> with_count;
  std::span<const ctn_value> scalars(node.attrs, static_cast<size_t>(node.n_attrs));
  if (g.row_->takes_count()) {
    ctn_value count{};
    count.kind = CTN_INT;
    count.u.i = 1;
    for (int32_t d = 0; d < space.ndim; ++d)
      if (space.axes >> d & 1) count.u.i *= space.shape[d];
    with_count.assign(scalars.begin(), scalars.end());
    with_count.push_back(count);
    scalars = with_count;
  }
  const std::vector<int32_t>& targets = g.row_->grad_outputs();
  Request request;
  request.scalars = scalars;
  request.space = &space;
  int32_t dtypes[kMaxFnArgs];
  for (size_t k = 0; k < targets.size(); ++k) dtypes[k] = node.in[targets[k]]->dtype;
  request.out_dtypes = {dtypes, targets.size()};
  Results made;
  g.run_gradient(node, gy, request, targets.size(), made);
  for (size_t k = 0; k < targets.size(); ++k) {
    const auto i = static_cast<size_t>(targets[k]);
    gx[i] = fit(node, i, made.take(k), space);
  }
}

// Gradients that need no computing: those of inputs that do not matter, and output gradients that
// are an input's as they stand. Returns the inputs left over.
uint64_t ExprFn::pass_on(const Node& node, std::span<Variable* const> gy, const ExprFn& g,
                         uint64_t needed, const Space& space, std::span<Ref<Variable>> gx) const {
  const std::vector<int32_t>& targets = g.row_->grad_outputs();
  const std::vector<int32_t>& passes = g.row_->grad_passes();
  const auto n_in = static_cast<size_t>(row_->n_in());
  for (size_t k = 0; k < targets.size(); ++k) {
    const auto i = static_cast<size_t>(targets[k]);
    if (!(g.row_->zero_outputs() >> k & 1)) {
      if (passes[k] < 0) continue;
      const auto j = static_cast<size_t>(passes[k]);
      if (gy[j]->dtype != node.in[i]->dtype || align_[n_in + j] != Align::kFull) continue;
      gx[i] = fit(node, i, Ref<Variable>::share(gy[j]), space);
    }
    needed &= ~(uint64_t{1} << i);
  }
  return needed;
}

// The gradient of input i from one of the whole space.
Ref<Variable> ExprFn::fit(const Node& node, size_t i, Ref<Variable> g, const Space& space) const {
  if (align_[i] == Align::kReduced) return sum_axes(*node.ctx, *g, space);
  const std::span<const int64_t> shape = node.in[i]->shape();
  return same_dims(shape, space.dims()) ? std::move(g) : sum_to_shape(*node.ctx, *g, shape);
}

Ref<Variable> sum_axes(Context& ctx, Variable& v, const Space& space) {
  Variable* in[] = {&v};
  Variable* out[1];
  ExprFn::Request request;
  request.in = in;
  request.space = &space;
  sum_fn().call(ctx, request, out);
  return Ref<Variable>::take(out[0]);
}

Ref<Variable> sum_to_shape(Context& ctx, Variable& v, std::span<const int64_t> shape) {
  Space space;
  space.set(v.shape());
  const int32_t extra = space.ndim - static_cast<int32_t>(shape.size());
  for (int32_t d = 0; d < space.ndim; ++d) {
    if (d < extra) {
      space.axes |= 1u << d;
    } else if (shape[static_cast<size_t>(d - extra)] != space.shape[d]) {
      space.axes |= 1u << d;
      space.ones |= 1u << d;
    }
  }
  return sum_axes(ctx, v, space);
}

Ref<Variable> add_variables(Variable& a, Variable& b) {
  Variable* in[] = {&a, &b};
  Variable* out[1];
  ExprFn::Request request;
  request.in = in;
  add_fn().call(*a.ctx, request, out);
  return Ref<Variable>::take(out[0]);
}

uint32_t axes_mask(std::string_view what, const ctn_value& axis, int32_t ndim) {
  const uint32_t all = ndim >= 32 ? ~0u : (1u << ndim) - 1;
  if (axis.kind == CTN_ABSENT || axis.kind == CTN_NONE) return all;
  const int64_t* list = axis.kind == CTN_INT ? &axis.u.i : axis.u.is;
  const uint32_t n = axis.kind == CTN_INT ? 1 : axis.n;
  uint32_t mask = 0;
  for (uint32_t k = 0; k < n; ++k) {
    const int64_t a = list[k] < 0 ? list[k] + ndim : list[k];
    if (a < 0 || a >= ndim)
      fail(CTN_ESHAPE, "[" + std::string(what) + "] axis " + std::to_string(list[k]) +
                           " is out of range for an array of " + std::to_string(ndim) +
                           " dimensions");
    if (mask >> a & 1)
      fail(CTN_EINVAL,
           "[" + std::string(what) + "] axis " + std::to_string(list[k]) + " is given twice");
    mask |= 1u << a;
  }
  return mask;
}

}  // namespace catena
