// See patient.h.
#include "patient.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "core/loader.h"

namespace patient_test {

namespace {

const ctn_host* g_host = nullptr;
Seen g_seen;

// ---- the backend

ctn_status device_count(void*, int32_t* n, ctn_str*) {
  *n = 1;
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
int64_t count(const ctn_dltensor& t) {
  int64_t n = 1;
  for (int32_t d = 0; d < t.ndim; ++d) n *= t.shape[d];
  return n;
}
ctn_status layout_bytes(void*, const ctn_dltensor* t, uint64_t, uint64_t* bytes) {
  *bytes = static_cast<uint64_t>(count(*t)) * sizeof(float);
  return CTN_OK;
}
ctn_status reorder(void*, ctn_exec, const ctn_tensor* src, const ctn_tensor* dst) {
  const auto* from = static_cast<const float*>(src->t.data);
  auto* to = static_cast<float*>(dst->t.data);
  const int64_t n = count(src->t);
  for (int64_t i = 0; i < n; ++i) to[i] = from[src->layout == dst->layout ? i : n - 1 - i];
  return CTN_OK;
}

// ---- blend(x, w, layout)

bool is(const ctn_follower& f, std::string_view op) {
  return std::string_view(f.op.p, f.op.n) == op;
}
const ctn_follower* find(const ctn_call_info& call, std::string_view op) {
  const ctn_follower* const end = call.followers + call.n_followers;
  const auto* at = std::find_if(call.followers, end, [&](auto& f) { return is(f, op); });
  return at == end ? nullptr : at;
}

ctn_status infer(void*, const ctn_call_info* call, ctn_out_spec* out) {
  const ctn_dltensor& x = call->in[0].t;
  out->ndim = x.ndim;
  out->dtype = x.dtype;
  std::copy_n(x.shape, x.ndim, out->shape);
  return CTN_OK;
}
// again and again, plus once, then cut.
ctn_status absorb(void*, const ctn_call_info* call, const ctn_follower* next, int32_t* yes) {
  if (const auto asked = std::exchange(g_seen.asked, nullptr)) asked(*g_host);
  *yes = !find(*call, "cut") &&
         (is(*next, "cut") || is(*next, "again") || (is(*next, "plus") && !find(*call, "plus")));
  return CTN_OK;
}
ctn_status plan(void*, const ctn_call_info* call, ctn_plan* p) {
  ctn_value tuned{};
  if (const ctn_status s = g_host->api->config_get(call->ctx, str("autotune"), &tuned)) return s;
  g_seen.tuned = tuned.u.i != 0;
  const auto layout = static_cast<uint64_t>(call->attrs[0].u.i);
  p->in_layouts[0] = p->in_layouts[1] = p->out_layouts[0] = layout;
  const ctn_follower* plus = find(*call, "plus");
  if (!plus) return CTN_OK;
  p->in_layouts[plus->first] = layout;
  p->onto = static_cast<uint32_t>(plus->first) + 1;
  return CTN_OK;
}
// A copy of w, kept from run to run.
const float* kept(const ctn_run& r) {
  const void* found = nullptr;
  if (g_host->find_derived(r.exec, 1, 3, &found) == CTN_OK && found)
    return static_cast<const float*>(found);
  const ctn_tensor& w = r.call->in[1];
  const auto bytes = static_cast<uint64_t>(count(w.t)) * sizeof(float);
  void* made = nullptr;
  if (g_host->keep_derived(r.exec, 1, 3, bytes, &made) != CTN_OK) return nullptr;
  std::memcpy(made, w.t.data, bytes);
  ++g_seen.derived;
  return static_cast<const float*>(made);
}
ctn_status run(void*, const ctn_run* r) {
  ++g_seen.runs;
  g_seen.followers = r->call->n_followers;
  const ctn_follower* plus = find(*r->call, "plus");
  const ctn_tensor &x = r->call->in[0], &y = r->call->out[0];
  auto* to = static_cast<float*>(y.t.data);
  g_seen.in_place = plus && r->call->in[plus->first].t.data == to;
  if (g_seen.failing) return g_host->fail(CTN_EDEVICE, nullptr, 0, str("out of order"));
  const float *w = kept(*r), *from = static_cast<const float*>(x.t.data);
  if (!w || x.layout != y.layout) return CTN_EINTERNAL;
  const ctn_follower* const end = r->call->followers + r->call->n_followers;
  const auto more = static_cast<float>(
      std::count_if(r->call->followers, end, [](auto& f) { return is(f, "again"); }));
  for (int64_t i = 0; i < count(x.t); ++i) {
    to[i] = from[i] * w[i] + more + (plus ? to[i] : 0);
    if (find(*r->call, "cut")) to[i] = std::max(to[i], 0.0f);
  }
  if (g_seen.throwing) throw std::runtime_error("blend threw");
  return CTN_OK;
}

// ---- pile(x, r) = x + r, written to what begins as r; reads strides

ctn_status plan_pile(void*, const ctn_call_info*, ctn_plan* p) {
  p->onto = 2;
  return CTN_OK;
}
ctn_status run_pile(void*, const ctn_run* r) {
  const auto* from = static_cast<const float*>(r->call->in[0].t.data);
  auto* to = static_cast<float*>(r->call->out[0].t.data);
  for (int64_t i = 0; i < count(r->call->out[0].t); ++i) to[i] += from[i];
  return CTN_OK;
}

ctn_status add_row(ctn_plugin self, const char* name, const char* map, int32_t n_in) {
  const ctn_input_def in[] = {{str("a"), str("f"), 0, 0}, {str("b"), str("f"), 0, 0}};
  const ctn_output_def y{str("y"), str("=a"), 0, 0};
  ctn_op_def d{};
  d.size = sizeof d;
  d.name = str(name);
  d.n_in = n_in;
  d.n_out = 1;
  d.in = in;
  d.out = &y;
  d.map = str(map);
  return g_host->add_op(self, &d);
}

ctn_status add_primitive(ctn_plugin self, const char* name, uint32_t flags, int32_t n_attrs) {
  const ctn_input_def in[] = {{str("x"), str("f"), 0, 0}, {str("w"), str("f"), 0, 0}};
  const ctn_output_def y{str("y"), str("=x"), 0, 0};
  const ctn_attr_def attrs[] = {
      {str("layout"), CTN_KIND_BIT(CTN_INT) | CTN_REQUIRED, {}, {}, 0, 0},
      {str("by"),
       CTN_KIND_BIT(CTN_ARRAY) | CTN_KIND_BIT(CTN_LIST) | CTN_KIND_BIT(CTN_NONE),
       none(),
       {},
       0,
       0}};
  ctn_op_def d{};
  d.size = sizeof d;
  d.flags = flags;
  d.name = str(name);
  d.n_in = 2;
  d.n_out = 1;
  d.n_attrs = n_attrs;
  d.in = in;
  d.out = &y;
  d.attrs = attrs;
  d.infer = infer;
  d.backward = [](void*, ctn_grad) -> ctn_status { return CTN_OK; };
  if (const ctn_status s = g_host->add_op(self, &d); s != CTN_OK) return s;
  const bool blends = n_attrs != 0;
  ctn_kernel_def k{};
  k.size = sizeof k;
  k.flags = blends ? CTN_KERNEL_LAYOUT : CTN_KERNEL_STRIDED;
  k.op = str(name);
  k.backend = str("patient");
  k.plan = blends ? plan : plan_pile;
  k.run = blends ? run : run_pile;
  k.absorb = blends ? absorb : nullptr;
  return g_host->add_kernel(self, &k);
}

ctn_status add_backend(ctn_plugin self, const char* name, const char* parent) {
  ctn_backend_def b{};
  b.size = sizeof b;
  b.flags = CTN_BACKEND_HOST_MEMORY;
  b.name = str(name);
  b.parent = str(parent);
  b.device_type = CTN_DEV_CPU;
  b.device_count = device_count;
  if (b.parent.n == 0) {
    b.alloc = alloc;
    b.free = free_memory;
    b.copy = copy;
    b.layout_bytes = layout_bytes;
    b.reorder = reorder;
  }
  return g_host->add_backend(self, &b);
}

ctn_status init(const ctn_host* host, ctn_plugin self) {
  g_host = host;
  for (const ctn_status s :
       {add_backend(self, "patient", ""), add_backend(self, "heir", "patient"),
        add_row(self, "plus", "y = a + b", 2), add_row(self, "cut", "y = max(a, 0)", 1),
        add_row(self, "again", "y = a + 1", 1), add_primitive(self, "blend", 0, 1),
        add_primitive(self, "drawn_blend", CTN_OP_RANDOM, 1), add_primitive(self, "blend_by", 0, 2),
        add_primitive(self, "pile", 0, 0)})
    if (s != CTN_OK) return s;
  return CTN_OK;
}

const ctn_plugin_info* query(uint32_t) {
  static constexpr ctn_plugin_info info = {
      sizeof(ctn_plugin_info), CTN_ABI_VERSION, CTN_ABI_VERSION, 1,
      {"waiting", 7},          {"mixed", 5},    {"MIT", 3}};
  return &info;
}

}  // namespace

Seen& seen() { return g_seen; }
const ctn_host& host() { return *g_host; }

Patient::Patient(int64_t layout_) : layout(layout_) {
  if (!g_host) catena::init_plugin(query, init, "the test");
  ctn_context_options o{};
  o.size = sizeof o;
  o.flags = CTN_CONTEXT_NO_ENV;
  o.device = str("patient");
  o.threads = 1;
  REQUIRE_OK(ctn_context_create(&o, ctx.out()));
  g_seen.runs = g_seen.followers = g_seen.derived = 0;
  g_seen.failing = g_seen.throwing = g_seen.in_place = g_seen.tuned = false;
  g_seen.asked = nullptr;
}

Var Patient::all(double value, bool requires_grad) const {
  const Arr a = array(ctx, kF32, {kSize}, std::vector<double>(kSize, value));
  Var v;
  REQUIRE_OK(ctn_variable_new(a, requires_grad, v.out()));
  return v;
}

Var Patient::call(const char* op, std::vector<ctn_variable> in) const {
  return call(op, std::move(in), {});
}
Var Patient::call(const char* op, std::vector<ctn_variable> in,
                  std::vector<ctn_value> attrs) const {
  int32_t id = 0;
  REQUIRE_OK(ctn_op_find(str(op), &id));
  Var y;
  REQUIRE_OK(ctn_call(ctx, id, in.data(), static_cast<int32_t>(in.size()), attrs.data(),
                      static_cast<int32_t>(attrs.size()), y.out(), 1));
  return y;
}

void Patient::set(const char* key, bool value) const {
  const ctn_value v = {CTN_BOOL, 0, {.i = value}};
  REQUIRE_OK(ctn_config_set(ctx, str(key), &v));
}

Arr array_of(const Var& v) {
  Arr a;
  REQUIRE_OK(ctn_variable_array(v, a.out()));
  return a;
}

Var constant(const Arr& a) {
  Var v;
  REQUIRE_OK(ctn_variable_new(a, 0, v.out()));
  return v;
}

void check_all(const Var& v, double value, int64_t size) {
  const std::vector<double> found = values(v);
  CHECK(std::count(found.begin(), found.end(), value) == size);
  CHECK(static_cast<int64_t>(found.size()) == size);
}

}  // namespace patient_test
