// Calls that wait and what kernels derive from inputs, on a backend with one such kernel: blend(x,
// w) = x * w, which also adds an array (plus) and cuts off below zero (cut), in a layout it is told
// to want: plain (0) or elements in reverse order (7).
#include <catena/plugin.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <thread>

#include "core/loader.h"
#include "net_support.h"

using namespace catena_test;

namespace {

const ctn_host* g_host = nullptr;
struct Seen {
  std::atomic<int> runs{0}, followers{0}, derived{0};
  std::atomic<bool> failing{false}, in_place{false};
} g_seen;

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
// plus, then cut.
ctn_status absorb(void*, const ctn_call_info* call, const ctn_follower* next, int32_t* yes) {
  *yes = !find(*call, "cut") && (is(*next, "cut") || (is(*next, "plus") && !find(*call, "plus")));
  return CTN_OK;
}
ctn_status plan(void*, const ctn_call_info* call, ctn_plan* p) {
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
  for (int64_t i = 0; i < count(x.t); ++i) {
    to[i] = from[i] * w[i] + (plus ? to[i] : 0);
    if (find(*r->call, "cut")) to[i] = std::max(to[i], 0.0f);
  }
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

ctn_status init(const ctn_host* host, ctn_plugin self) {
  g_host = host;
  ctn_backend_def b{};
  b.size = sizeof b;
  b.flags = CTN_BACKEND_HOST_MEMORY;
  b.name = str("patient");
  b.device_type = CTN_DEV_CPU;
  b.device_count = device_count;
  b.alloc = alloc;
  b.free = free_memory;
  b.copy = copy;
  b.layout_bytes = layout_bytes;
  b.reorder = reorder;
  if (const ctn_status s = host->add_backend(self, &b); s != CTN_OK) return s;
  const ctn_input_def in[] = {{str("x"), str("f"), 0, 0}, {str("w"), str("f"), 0, 0}};
  const ctn_output_def y{str("y"), str("=x"), 0, 0};
  const ctn_attr_def layout{str("layout"), CTN_KIND_BIT(CTN_INT) | CTN_REQUIRED, {}, {}, 0, 0};
  ctn_op_def d{};
  d.size = sizeof d;
  d.name = str("blend");
  d.n_in = 2;
  d.n_out = d.n_attrs = 1;
  d.in = in;
  d.out = &y;
  d.attrs = &layout;
  d.infer = infer;
  d.backward = [](void*, ctn_grad) -> ctn_status { return CTN_OK; };
  if (const ctn_status s = host->add_op(self, &d); s != CTN_OK) return s;
  if (const ctn_status s = add_row(self, "plus", "y = a + b", 2); s != CTN_OK) return s;
  if (const ctn_status s = add_row(self, "cut", "y = max(a, 0)", 1); s != CTN_OK) return s;
  ctn_kernel_def k{};
  k.size = sizeof k;
  k.flags = CTN_KERNEL_LAYOUT;
  k.op = str("blend");
  k.backend = str("patient");
  k.plan = plan;
  k.run = run;
  k.absorb = absorb;
  return host->add_kernel(self, &k);
}

const ctn_plugin_info* query(uint32_t) {
  static constexpr ctn_plugin_info info = {
      sizeof(ctn_plugin_info), CTN_ABI_VERSION, CTN_ABI_VERSION, 1,
      {"waiting", 7},          {"mixed", 5},    {"MIT", 3}};
  return &info;
}

// ---- calls

constexpr int64_t kSize = 400;  // smaller arrays are computed at once

struct Patient {
  Ctx ctx;
  explicit Patient(int64_t layout_ = 0) : layout(layout_) {
    if (!g_host) catena::init_plugin(query, init, "the test");
    ctn_context_options o{};
    o.size = sizeof o;
    o.flags = CTN_CONTEXT_NO_ENV;
    o.device = str("patient");
    o.threads = 1;
    REQUIRE_OK(ctn_context_create(&o, ctx.out()));
    g_seen.runs = g_seen.followers = g_seen.derived = 0;
    g_seen.failing = g_seen.in_place = false;
  }
  Var all(double value, bool requires_grad = false) const {
    const Arr a = array(ctx, kF32, {kSize}, std::vector<double>(kSize, value));
    Var v;
    REQUIRE_OK(ctn_variable_new(a, requires_grad, v.out()));
    return v;
  }
  Var call(const char* op, std::vector<ctn_variable> in) const {
    int32_t id = 0;
    REQUIRE_OK(ctn_op_find(str(op), &id));
    const ctn_value attr = of_int(layout);
    const int32_t n_attrs = std::string_view(op) == "blend";
    Var y;
    REQUIRE_OK(
        ctn_call(ctx, id, in.data(), static_cast<int32_t>(in.size()), &attr, n_attrs, y.out(), 1));
    return y;
  }
  Var blend(const Var& x, const Var& w) const { return call("blend", {x, w}); }
  Var plus(const Var& a, const Var& b) const { return call("plus", {a, b}); }
  Var cut(const Var& a) const { return call("cut", {a}); }

  const int64_t layout;
};

void check_all(const Var& v, double value) {
  const std::vector<double> found = values(v);
  CHECK(std::count(found.begin(), found.end(), value) == kSize);
}

Arr array_of(const Var& v) {
  Arr a;
  REQUIRE_OK(ctn_variable_array(v, a.out()));
  return a;
}

const std::vector<float> kNines(kSize, 9.0f);

}  // namespace

TEST_CASE("calls that follow each other are one run, when somebody looks") {
  for (const int64_t layout : {0, 7}) {
    const Patient p(layout);
    const Var x = p.all(2), w = p.all(-3);
    const Var y = p.cut(p.plus(p.blend(x, w), p.all(10)));
    ctn_dltensor t;
    REQUIRE_OK(ctn_variable_spec(y, &t));
    CHECK(t.shape[0] == kSize);
    CHECK(g_seen.runs == 0);
    check_all(y, 4);
    CHECK(g_seen.runs == 1);
    CHECK(g_seen.followers == 2);
    CHECK(g_seen.in_place == true);  // nobody else has the tens
    check_all(y, 4);
    CHECK(g_seen.runs == 1);
    const Var z = p.cut(p.blend(x, w));
    check_all(z, 0);
    CHECK(g_seen.followers == 1);
  }
}

TEST_CASE("what nobody looks at is not computed") {
  const Patient p;
  const Var x = p.all(2);
  p.cut(p.blend(x, x));
  p.blend(x, x);
  check_all(p.plus(x, x), 4);
  CHECK(g_seen.runs == 0);
}

TEST_CASE("what somebody holds is computed once, on its own") {
  for (const int64_t layout : {0, 7}) {
    const Patient p(layout);
    const Var x = p.all(2), r = p.all(1);
    const Var h = p.blend(x, x), y = p.cut(p.plus(h, r));
    check_all(y, 5);
    check_all(h, 4);
    CHECK(g_seen.runs == 1);
    CHECK(g_seen.followers == 0);
    const Var g = p.blend(x, x), two = p.plus(g, g);  // one that is read twice
    check_all(two, 8);
    CHECK(g_seen.runs == 2);
    const Var a = p.blend(x, x), b = p.cut(a), c = p.plus(a, r);  // two that follow
    check_all(c, 5);
    check_all(b, 4);
    CHECK(g_seen.runs == 3);
  }
}

TEST_CASE("what is added to stays as it is if somebody has it") {
  for (const int64_t layout : {0, 7}) {
    const Patient p(layout);
    const Var x = p.all(2), r = p.all(1);
    const Var y = p.plus(p.blend(x, x), r);
    check_all(y, 5);
    CHECK(g_seen.followers == 1);
    CHECK(g_seen.in_place == false);
    check_all(r, 1);
    const Var waits = p.plus(p.all(1), p.blend(x, x));  // as the other input, itself computed late
    const Var z = p.plus(p.blend(x, x), waits);
    check_all(z, 9);
    check_all(waits, 5);
  }
}

TEST_CASE("the next call of the thread that is none of them runs those before") {
  const Patient p;
  const Var x = p.all(2), y = p.blend(x, x);
  const Var z = p.plus(x, x);
  CHECK(g_seen.runs == 1);
  const Var a = p.blend(x, x), b = p.blend(x, x);
  CHECK(g_seen.runs == 2);
  REQUIRE_OK(ctn_synchronize(p.ctx));
  CHECK(g_seen.runs == 3);
  std::thread([&] { check_all(p.plus(x, x), 4); }).join();
  const Var c = p.blend(x, x);
  std::thread([&] { p.plus(x, x); }).join();  // not those of other threads
  CHECK(g_seen.runs == 3);
}

TEST_CASE("writing to an input runs what reads it first") {
  struct Row {
    const char* name;
    std::function<void(const Patient& p, ctn_array a)> write;
  };
  const Row rows[] = {
      {"set", [](auto&, auto a) { REQUIRE_OK(ctn_array_set(a, kNines.data(), 4 * kSize)); }},
      {"fill",
       [](auto&, auto a) {
         const ctn_value nine = of(9.0);
         REQUIRE_OK(ctn_array_fill(a, &nine));
       }},
      {"assign", [](auto& p, auto a) { REQUIRE_OK(ctn_array_assign(a, array_of(p.all(9)))); }},
      {"export",
       [](auto&, auto a) {
         ctn_dlpack* out = nullptr;
         REQUIRE_OK(ctn_array_to_dlpack(a, &out));
         std::copy(kNines.begin(), kNines.end(), static_cast<float*>(out->dl_tensor.data));
         out->deleter(out);
       }},
  };
  for (const int64_t layout : {0, 7}) {
    for (const Row& row : rows) {
      CAPTURE(row.name);
      const Patient p(layout);
      const Var x = p.all(2), w = p.all(3), r = p.all(1);
      const Var y = p.cut(p.plus(p.blend(x, w), r)), z = p.blend(x, r);
      row.write(p, array_of(w));
      row.write(p, array_of(r));
      check_all(y, 7);
      check_all(z, 2);
      check_all(p.blend(x, w), 18);
    }
  }
}

TEST_CASE("calls in a graph, over foreign memory or of small arrays are run at once") {
  const Patient p;
  const Var x = p.all(2), wanted = p.all(3, true);
  const Var y = p.blend(x, wanted);
  CHECK(g_seen.runs == 1);
  ctn_dlpack* out = nullptr;
  REQUIRE_OK(ctn_array_to_dlpack(array_of(x), &out));
  const Var z = p.blend(x, x);
  CHECK(g_seen.runs == 2);
  out->deleter(out);
  const Arr small = array(p.ctx, kF32, {2}, {1, 2});
  Var s;
  REQUIRE_OK(ctn_variable_new(small, 0, s.out()));
  const Var t = p.blend(s, s);
  CHECK(g_seen.runs == 3);
  const ctn_value off = {CTN_BOOL, 0, {.i = 0}};
  REQUIRE_OK(ctn_config_set(p.ctx, str("enable_backprop"), &off));
  const Var u = p.blend(x, wanted);
  CHECK(g_seen.runs == 3);
  check_all(u, 6);
}

TEST_CASE("a failure is told to whoever looks, who may look again") {
  const Patient p;
  const Var x = p.all(2), y = p.cut(p.blend(x, x));
  g_seen.failing = true;
  const Var z = p.plus(x, x);  // runs y, but nobody asked for it
  ctn_dltensor t;
  CHECK(ctn_variable_view(y, &t) == CTN_EDEVICE);
  CHECK(std::string(ctn_error_message()).find("blend") != std::string::npos);
  const ctn_value one = of(1.0);
  CHECK(ctn_array_fill(array_of(x), &one) == CTN_EDEVICE);  // y would be lost
  g_seen.failing = false;
  check_all(y, 4);
  REQUIRE_OK(ctn_array_fill(array_of(x), &one));

  const Var sum = p.plus(p.blend(x, x), p.all(1));
  g_seen.failing = true;
  CHECK(ctn_variable_view(sum, &t) == CTN_EDEVICE);
  g_seen.failing = false;
  CHECK(ctn_variable_view(sum, &t) == CTN_EDEVICE);  // what was added to is gone
  REQUIRE_OK(ctn_array_fill(array_of(x), &one));
}

TEST_CASE("several threads may look at once") {
  for (int round = 0; round < 50; ++round) {
    const Patient p(round % 2 ? 7 : 0);
    const Var x = p.all(2), h = p.blend(x, x), y = p.cut(p.plus(h, p.all(1)));
    std::vector<std::thread> threads;
    for (int k = 0; k < 4; ++k)
      threads.emplace_back([&, k] {
        if (k == 3) {
          const ctn_value one = of(1.0);
          REQUIRE_OK(ctn_array_fill(array_of(x), &one));
        } else {
          check_all(k == 2 ? h : y, k == 2 ? 4 : 5);
        }
      });
    for (std::thread& t : threads) t.join();
    CHECK(g_seen.runs == 1);
  }
}

TEST_CASE("waiting arrays are arrays: views, shapes, copies, handles that go first") {
  const Patient p;
  Arr part;
  {
    const Var x = p.all(2), y = p.cut(p.blend(x, x));
    const int64_t shape[] = {2, kSize / 2};
    REQUIRE_OK(ctn_array_reshape(array_of(y), 2, shape, part.out()));
  }
  CHECK(g_seen.runs == 0);
  const std::vector<double> found = values(part);
  CHECK(std::count(found.begin(), found.end(), 4.0) == kSize);
  CHECK(g_seen.followers == 1);
}

TEST_CASE("what is derived from an input is found until the input is written") {
  const Patient p;
  const Var x = p.all(2), w = p.all(3);
  for (int k = 0; k < 3; ++k) check_all(p.blend(x, w), 6);
  CHECK(g_seen.derived == 1);
  const ctn_value five = of(5.0);
  REQUIRE_OK(ctn_array_fill(array_of(w), &five));
  for (int k = 0; k < 2; ++k) check_all(p.blend(x, w), 10);
  CHECK(g_seen.derived == 2);
  ctn_dlpack* out = nullptr;  // somebody may write to it unseen: nothing is kept
  REQUIRE_OK(ctn_array_to_dlpack(array_of(w), &out));
  for (int k = 0; k < 2; ++k) check_all(p.blend(x, w), 10);
  CHECK(g_seen.derived == 4);
  out->deleter(out);
}
