// The test plugin and a context on it: see net_support.h.
#include <cmath>
#include <cstring>

#include "core/loader.h"
#include "net_support.h"

namespace catena_test {
namespace {

const ctn_host* g_host = nullptr;
Counts g_counts;

// ---- backend: host memory, no compiler: forms run by the runtime's own executor

ctn_status device_count(void*, int32_t* n, ctn_str*) {
  *n = 2;
  return CTN_OK;
}
ctn_status device_info(void*, int32_t, ctn_device_info* out) {
  out->name = str("plain");
  return CTN_OK;
}
ctn_status alloc(void*, ctn_context ctx, int32_t, uint64_t bytes, uint64_t align, void** out) {
  *out = g_host->host_alloc(ctx, bytes, align);
  return *out ? CTN_OK : CTN_ENOMEM;
}
void free_memory(void*, ctn_context ctx, int32_t, void* p, uint64_t bytes, uint64_t align) {
  g_host->host_free(ctx, p, bytes, align);
}
ctn_status copy(void*, int32_t, void* dst, int32_t, const void* src, uint64_t bytes) {
  std::memcpy(dst, src, bytes);
  return CTN_OK;
}

ctn_status add_backend(ctn_plugin p) {
  ctn_backend_def def{};
  def.size = sizeof def;
  def.flags = CTN_BACKEND_HOST_MEMORY;
  def.name = str("cpu");
  def.device_type = CTN_DEV_CPU;
  def.device_count = device_count;
  def.device_info = device_info;
  def.alloc = alloc;
  def.free = free_memory;
  def.copy = copy;
  return g_host->add_backend(p, &def);
}

// ---- initializers

ctn_status fill(void*, ctn_array a, const ctn_value* attrs) { return ctn_array_fill(a, &attrs[0]); }
ctn_status draw(void*, ctn_array a, const ctn_value*) {
  ctn_dltensor t;
  ctn_status s = ctn_array_view(a, &t);
  int64_t n = 1;
  for (int32_t k = 0; k < t.ndim; ++k) n *= t.shape[k];
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) {
    double u = 0;
    s = ctn_random_draw(ctn_array_context(a), CTN_RANDOM_UNIFORM, &u, 1);
    v = static_cast<float>(u);
  }
  return s == CTN_OK ? ctn_array_set(a, x.data(), x.size() * sizeof(float)) : s;
}

ctn_attr_def attr(const char* name, uint64_t kinds, ctn_value fallback) {
  return {str(name), kinds, fallback, str(""), 0, 0};
}
constexpr uint64_t kNumber = CTN_KIND_BIT(CTN_FLOAT) | CTN_KIND_BIT(CTN_INT);

ctn_status add_initializers(ctn_plugin p) {
  const ctn_attr_def value = attr("value", kNumber | CTN_REQUIRED, {});
  ctn_initializer_def def{};
  def.size = sizeof def;
  def.name = str("Fill");
  def.n_attrs = 1;
  def.attrs = &value;
  def.fill = fill;
  if (const ctn_status s = g_host->add_initializer(p, &def); s != CTN_OK) return s;
  def.name = str("Draw");
  def.n_attrs = 0;
  def.fill = draw;
  return g_host->add_initializer(p, &def);
}

// ---- the link Dense

ctn_status dense_init(void*, ctn_link l, const ctn_value* attrs) {
  ++g_counts.made;
  const int64_t shape[] = {attrs[0].u.i, attrs[1].u.i};
  if (shape[0] < 0) return g_host->fail(CTN_EINVAL, nullptr, 0, str("Dense: out_size is negative"));
  const ctn_context ctx = ctn_link_context(l);
  const bool lazy = attrs[1].kind == CTN_NONE;
  Var W;
  const ctn_value two = of(2.0), zero = of(0.0);
  ctn_status s =
      ctn_parameter_new(ctx, str("Fill"), &two, 1, kF32, 2, lazy ? nullptr : shape, W.out());
  if (s == CTN_OK) s = ctn_link_add_param(l, str("W"), W);
  Arr mean, n;
  if (s == CTN_OK) s = ctn_array_full(ctx, kF32, 1, shape, &zero, mean.out());
  if (s == CTN_OK) s = ctn_link_add_persistent(l, str("mean"), mean);
  if (s == CTN_OK) s = ctn_array_full(ctx, kI64, 0, nullptr, &zero, n.out());
  if (s == CTN_OK) s = ctn_link_add_persistent(l, str("N"), n);
  if (s == CTN_OK && attrs[2].kind == CTN_LINK)
    s = ctn_link_add_child(l, str("child"), attrs[2].u.link);
  return s;
}

ctn_status dense_call(void*, ctn_link l, const ctn_variable* in, int32_t, ctn_variable* out,
                      int32_t) {
  Var W = param(l, "W");
  if (!ctn_parameter_is_initialized(W)) {
    ctn_value size;
    ctn_dltensor x;
    ctn_status s = ctn_link_attr(l, 0, &size);
    if (s == CTN_OK) s = ctn_variable_view(in[0], &x);
    const int64_t shape[] = {size.u.i, x.shape[1]};
    if (s == CTN_OK) s = ctn_parameter_initialize(W, 2, shape);
    if (s != CTN_OK) return s;
  }
  ctn_variable_retain(W);
  out[0] = W;
  return CTN_OK;
}

ctn_status dense_copied(void*, ctn_link, ctn_link) {
  ++g_counts.copied;
  return CTN_OK;
}
ctn_status dense_serialized(void*, ctn_link, int32_t loading) {
  ++(loading ? g_counts.loaded : g_counts.saved);
  return CTN_OK;
}
ctn_status dense_moved(void*, ctn_link, ctn_device) {
  ++g_counts.moved;
  return CTN_OK;
}
void dense_drop(void*, ctn_link) { ++g_counts.dropped; }

ctn_status add_links(ctn_plugin p) {
  const ctn_attr_def attrs[] = {
      attr("out_size", CTN_KIND_BIT(CTN_INT) | CTN_REQUIRED, {}),
      attr("in_size", CTN_KIND_BIT(CTN_INT) | CTN_KIND_BIT(CTN_NONE), none()),
      attr("child", CTN_KIND_BIT(CTN_LINK) | CTN_KIND_BIT(CTN_NONE), none()),
      attr("f", CTN_KIND_BIT(CTN_CALLBACK) | CTN_KIND_BIT(CTN_NONE), none()),
  };
  ctn_link_def def{};
  def.size = sizeof def;
  def.name = str("Dense");
  def.n_attrs = 4;
  def.n_in = 1;
  def.n_out = 1;
  def.attrs = attrs;
  def.init = dense_init;
  def.call = dense_call;
  def.copied = dense_copied;
  def.serialized = dense_serialized;
  def.moved = dense_moved;
  def.drop = dense_drop;
  return g_host->add_link(p, &def);
}

// ---- optimizers and hooks

ctn_status add_optimizers(ctn_plugin p) {
  const ctn_value no = {CTN_BOOL, 0, {}};
  const ctn_attr_def hyper[] = {attr("lr", kNumber, of(0.1)), attr("decay", kNumber, of(0.5)),
                                attr("high", CTN_KIND_BIT(CTN_BOOL), no),
                                attr("eps", kNumber, of(0.25))};
  const ctn_state_def states[] = {{str("n"), 1, 0, 0}, {str("top"), 0, CTN_STATE_WHEN, 0}};
  ctn_optimizer_def def{};
  def.size = sizeof def;
  def.name = str("Plain");
  def.n_hyper = 1;
  def.hyper = hyper;
  def.update = str("param = param - lr * grad");
  if (const ctn_status s = g_host->add_optimizer(p, &def); s != CTN_OK) return s;
  def.name = str("Moment");
  def.n_hyper = 4;
  def.n_state = 2;
  def.state = states;
  def.scalars = str("rate = lr / t");
  def.update = str("n_ = decay * n_ + grad; param = param - rate * n_");
  def.when = str("high");
  def.update_when = str("n_ = decay * n_ + grad; top = max(top, n_); param = param - rate * top");
  def.nonzero = str("eps");
  return g_host->add_optimizer(p, &def);
}

ctn_status spy(void*, const ctn_hook_call* call) {
  for (int32_t k = 0; k < call->n; ++k) g_counts.spied.push_back(call->t[k]);
  if (g_counts.spy == CTN_OK) return CTN_OK;
  return g_host->fail(g_counts.spy, nullptr, 0, str("Spy was told to fail"));
}

ctn_status add_hooks(ctn_plugin p) {
  const ctn_attr_def rate = attr("rate", kNumber | CTN_REQUIRED, {});
  const ctn_attr_def most = attr("most", kNumber | CTN_REQUIRED, {});
  const ctn_sum_def squares = {str("g2"), str("float64(grad) * float64(grad)"), 0, 0};
  ctn_hook_def decay{};
  decay.size = sizeof decay;
  decay.flags = CTN_HOOK_PER_PARAM;
  decay.name = str("Decay");
  decay.n_attrs = 1;
  decay.attrs = &rate;
  decay.update = str("grad = grad + rate * param");
  ctn_hook_def clip{};
  clip.size = sizeof clip;
  clip.name = str("Clip");
  clip.n_attrs = 1;
  clip.attrs = &most;
  clip.n_sums = 1;
  clip.sums = &squares;
  clip.scalars = str("factor = min(most / sqrt(g2), 1)");
  clip.update = str("grad = grad * factor");
  ctn_hook_def watch{};
  watch.size = sizeof watch;
  watch.flags = CTN_HOOK_PER_PARAM;
  watch.name = str("Spy");
  watch.call = spy;
  for (const ctn_hook_def* def : {&decay, &clip, &watch})
    if (const ctn_status s = g_host->add_hook(p, def); s != CTN_OK) return s;
  return CTN_OK;
}

const ctn_plugin_info* query(uint32_t) {
  static constexpr ctn_plugin_info info = {
      sizeof(ctn_plugin_info), CTN_ABI_VERSION, CTN_ABI_VERSION, 1,
      {"nettest", 7},          {"mixed", 5},    {"MIT", 3}};
  return &info;
}
ctn_status init(const ctn_host* host, ctn_plugin self) {
  g_host = host;
  for (auto* add : {add_backend, add_initializers, add_links, add_optimizers, add_hooks})
    if (const ctn_status s = add(self); s != CTN_OK) return s;
  return CTN_OK;
}

}  // namespace

Counts& counts() { return g_counts; }

Ctx context(const ctn_context_options& options) {
  if (!g_host) catena::init_plugin(query, init, "the test");
  ctn_context_options own = options;
  own.size = sizeof own;
  own.flags |= CTN_CONTEXT_NO_ENV;
  if (own.threads == 0) own.threads = 1;
  Ctx ctx;
  REQUIRE_OK(ctn_context_create(&own, ctx.out()));
  g_counts = Counts();
  return ctx;
}

}  // namespace catena_test
