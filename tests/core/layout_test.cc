// Layouts and plans, on a backend with layouts of float32: elements in reverse order (7), one
// element in two places (9), the first axis innermost (5). Its only kernel adds a number and works
// in the layout it is told to want.
#include <catena/plugin.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "core/loader.h"
#include "net_support.h"

using namespace catena_test;

namespace {

const ctn_host* g_host = nullptr;
struct Seen {
  std::atomic<int> plans{0}, drops{0}, reorders{0};
  std::atomic<bool> failing{false};
} g_seen;

// ---- memory

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

// ---- layouts

int64_t count(const ctn_dltensor& t) {
  int64_t n = 1;
  for (int32_t d = 0; d < t.ndim; ++d) n *= t.shape[d];
  return n;
}
// Where element i is.
int64_t place(uint64_t layout, int64_t i, const ctn_dltensor& t) {
  const int64_t n = count(t), rows = t.ndim ? t.shape[0] : 1;
  if (layout == 5) return i % (n / rows) * rows + i / (n / rows);
  return layout == 7 ? n - 1 - i : layout == 9 ? 2 * i : i;
}

ctn_status layout_bytes(void*, const ctn_dltensor* t, uint64_t layout, uint64_t* bytes) {
  if (t->dtype.bits != 32) return g_host->fail(CTN_EUNSUPPORTED, nullptr, 0, str("not float32"));
  *bytes = static_cast<uint64_t>(count(*t)) * t->dtype.bits / 8 * (layout == 9 ? 2 : 1);
  return CTN_OK;
}
ctn_status reorder(void*, ctn_exec, const ctn_tensor* src, const ctn_tensor* dst) {
  ++g_seen.reorders;
  if (g_seen.failing) return g_host->fail(CTN_EDEVICE, nullptr, 0, str("reorder failed"));
  const int64_t n = count(src->t);
  const size_t item = src->t.dtype.bits / 8;
  for (int64_t i = 0; i < n; ++i)
    std::memcpy(
        static_cast<char*>(dst->t.data) + item * static_cast<size_t>(place(dst->layout, i, dst->t)),
        static_cast<char*>(src->t.data) + item * static_cast<size_t>(place(src->layout, i, src->t)),
        item);
  return CTN_OK;
}

// ---- add_in(x, by, layout) = x + by

ctn_status infer(void*, const ctn_call_info* call, ctn_out_spec* out) {
  const ctn_dltensor& x = call->in[0].t;
  out->ndim = x.ndim;
  out->dtype = x.dtype;
  std::copy_n(x.shape, x.ndim, out->shape);
  return CTN_OK;
}
ctn_status plan(void*, const ctn_call_info* call, ctn_plan* p) {
  ++g_seen.plans;
  p->in_layouts[0] = p->out_layouts[0] = static_cast<uint64_t>(call->attrs[1].u.i);
  p->state = new double(static_cast<double>(call->attrs[0].u.i));
  p->scratch_bytes = 256;
  return CTN_OK;
}
void drop(void*, void* state) {
  ++g_seen.drops;
  delete static_cast<double*>(state);
}
ctn_status run(void*, const ctn_run* r) {
  const ctn_tensor &x = r->call->in[0], &y = r->call->out[0];
  const auto wanted = static_cast<uint64_t>(r->call->attrs[1].u.i);
  if (x.layout != wanted || y.layout != wanted || !r->scratch)
    return g_host->fail(CTN_EINTERNAL, nullptr, 0, str("not what was planned"));
  std::memset(r->scratch, 1, 256);
  const int64_t n = count(x.t);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t at = place(wanted, i, x.t);
    static_cast<float*>(y.t.data)[at] =
        static_cast<float*>(x.t.data)[at] + static_cast<float>(*static_cast<double*>(r->state));
  }
  return CTN_OK;
}

ctn_status init(const ctn_host* host, ctn_plugin self) {
  g_host = host;
  ctn_backend_def b{};
  b.size = sizeof b;
  b.flags = CTN_BACKEND_HOST_MEMORY;
  b.name = str("mirror");
  b.device_type = CTN_DEV_CPU;
  b.device_count = device_count;
  b.alloc = alloc;
  b.free = free_memory;
  b.copy = copy;
  b.layout_bytes = layout_bytes;
  b.reorder = reorder;
  if (const ctn_status s = host->add_backend(self, &b); s != CTN_OK) return s;

  const ctn_input_def x{str("x"), str("f"), 0, 0};
  const ctn_output_def y{str("y"), str("=x"), 0, 0};
  const uint64_t number = CTN_KIND_BIT(CTN_INT) | CTN_REQUIRED;
  const ctn_attr_def attrs[] = {{str("by"), number, {}, {}, 0, 0},
                                {str("layout"), number, {}, {}, 0, 0}};
  ctn_op_def add{};
  add.size = sizeof add;
  add.flags = CTN_OP_NODIFF;
  add.name = str("add_in");
  add.n_in = add.n_out = 1;
  add.n_attrs = 2;
  add.in = &x;
  add.out = &y;
  add.attrs = attrs;
  add.infer = infer;
  if (const ctn_status s = host->add_op(self, &add); s != CTN_OK) return s;

  ctn_op_def twice{};
  twice.size = sizeof twice;
  twice.name = str("twice");
  twice.n_in = twice.n_out = 1;
  twice.in = &x;
  twice.out = &y;
  twice.map = str("y = x + x");
  if (const ctn_status s = host->add_op(self, &twice); s != CTN_OK) return s;

  const ctn_output_def large{str("y"), str("bool"), 0, 0};
  ctn_op_def is_large = twice;
  is_large.flags = CTN_OP_NODIFF;
  is_large.name = str("is_large");
  is_large.out = &large;
  is_large.map = str("y = x > 3");
  if (const ctn_status s = host->add_op(self, &is_large); s != CTN_OK) return s;

  ctn_kernel_def k{};
  k.size = sizeof k;
  k.flags = CTN_KERNEL_LAYOUT;
  k.op = str("add_in");
  k.backend = str("mirror");
  k.plan = plan;
  k.run = run;
  k.drop = drop;
  return host->add_kernel(self, &k);
}

const ctn_plugin_info* query(uint32_t) {
  static constexpr ctn_plugin_info info = {
      sizeof(ctn_plugin_info), CTN_ABI_VERSION, CTN_ABI_VERSION, 1,
      {"layouts", 7},          {"mixed", 5},    {"MIT", 3}};
  return &info;
}

struct Mirror {
  Ctx ctx;
  Mirror() {
    if (!g_host) catena::init_plugin(query, init, "the test");
    ctn_context_options o{};
    o.size = sizeof o;
    o.flags = CTN_CONTEXT_NO_ENV;
    o.device = str("mirror");
    o.threads = 1;
    REQUIRE_OK(ctn_context_create(&o, ctx.out()));
    g_seen.plans = g_seen.drops = g_seen.reorders = 0;
    g_seen.failing = false;
  }

  Arr numbers(const std::vector<int64_t>& shape, double first = 1) const {
    int64_t n = 1;
    for (const int64_t d : shape) n *= d;
    std::vector<double> v;
    for (int64_t i = 0; i < n; ++i) v.push_back(first + static_cast<double>(i));
    return array(ctx, kF32, shape, v);
  }

  Var call(const char* op, ctn_variable x, const std::vector<int64_t>& attrs = {}) const {
    int32_t id = 0;
    REQUIRE_OK(ctn_op_find(str(op), &id));
    std::vector<ctn_value> given;
    for (const int64_t a : attrs) given.push_back(of_int(a));
    Var y;
    REQUIRE_OK(
        ctn_call(ctx, id, &x, 1, given.data(), static_cast<int32_t>(given.size()), y.out(), 1));
    return y;
  }
};

Var constant(const Arr& a) {
  Var v;
  REQUIRE_OK(ctn_variable_new(a, 0, v.out()));
  return v;
}

using Doubles = std::vector<double>;

// The elements where they are: a copy would stay in the layout.
Doubles plain(const Var& v) {
  ctn_dltensor t;
  REQUIRE_OK(ctn_variable_view(v, &t));
  const auto* p = static_cast<const float*>(t.data);
  return {p, p + count(t)};
}

}  // namespace

TEST_CASE("a plan is made once for each kind of call, and dropped with the context") {
  {
    const Mirror m;
    const Var x = constant(m.numbers({2, 3})), z = constant(m.numbers({3, 2}));
    for (int i = 0; i < 3; ++i)
      CHECK(values(m.call("add_in", x, {1, 0})) == Doubles{2, 3, 4, 5, 6, 7});
    CHECK(g_seen.plans == 1);
    m.call("add_in", x, {2, 0});
    m.call("add_in", z, {2, 0});
    m.call("add_in", z, {2, 7});
    CHECK(g_seen.plans == 4);
    CHECK(g_seen.drops == 0);
  }
  CHECK(g_seen.drops == 4);
}

TEST_CASE("only so many plans are kept") {
  const Mirror m;
  const Var x = constant(m.numbers({1}));
  for (int64_t by = 0; by < 3000; ++by) m.call("add_in", x, {by, 0});
  CHECK(g_seen.plans == 3000);
  CHECK(g_seen.drops == 3000 - 2048);
  m.call("add_in", x, {2999, 0});
  CHECK(g_seen.plans == 3000);
  m.call("add_in", x, {0, 0});
  CHECK(g_seen.plans == 3001);
}

TEST_CASE("a layout goes from call to call; plain data appears when somebody looks") {
  const Mirror m;
  const Var x = constant(m.numbers({2, 2}));
  const Var y = m.call("add_in", m.call("twice", m.call("add_in", x, {1, 7})), {10, 7});
  CHECK(g_seen.reorders == 1);  // x
  CHECK(plain(y) == Doubles{14, 16, 18, 20});
  CHECK(g_seen.reorders == 2);
  CHECK(plain(y) == Doubles{14, 16, 18, 20});
  CHECK(g_seen.reorders == 2);
  // one layout to the other, and a kernel that wants none
  CHECK(values(m.call("add_in", m.call("add_in", x, {1, 7}), {1, 9})) == Doubles{3, 4, 5, 6});
  CHECK(values(m.call("add_in", m.call("add_in", x, {1, 9}), {1, 0})) == Doubles{3, 4, 5, 6});
}

TEST_CASE("asking for shape and dtype leaves the data where it is") {
  const Mirror m;
  const Var y = m.call("add_in", constant(m.numbers({2, 3})), {1, 7});
  const int before = g_seen.reorders;
  ctn_dltensor t;
  REQUIRE_OK(ctn_variable_spec(y, &t));
  Arr a;
  REQUIRE_OK(ctn_variable_array(y, a.out()));
  REQUIRE_OK(ctn_array_spec(a, &t));
  CHECK(t.data == nullptr);
  CHECK(t.ndim == 2);
  CHECK(t.shape[1] == 3);
  CHECK(t.strides[0] == 3);
  CHECK(t.dtype.bits == 32);
  CHECK(g_seen.reorders == before);
}

TEST_CASE("elements are not run through where a layout pads them") {
  const Mirror m;
  const Var y = m.call("twice", m.call("add_in", constant(m.numbers({3})), {1, 9}));
  CHECK(g_seen.reorders == 2);
  CHECK(values(y) == Doubles{4, 6, 8});
  CHECK(g_seen.reorders == 2);
}

TEST_CASE("views, reductions and exports of an array in a layout see plain data") {
  const Mirror m;
  const Var y = m.call("add_in", constant(m.numbers({2, 3})), {0, 7});
  Arr a, part;
  REQUIRE_OK(ctn_variable_array(y, a.out()));
  const int64_t shape[] = {3}, strides[] = {-1};
  REQUIRE_OK(ctn_array_strided(a, 1, shape, strides, 5, part.out()));
  CHECK(values(part) == Doubles{6, 5, 4});
  const Var z = m.call("add_in", y, {0, 7});
  Arr b;
  REQUIRE_OK(ctn_variable_array(z, b.out()));
  ctn_dlpack* out = nullptr;
  REQUIRE_OK(ctn_array_to_dlpack(b, &out));
  static_cast<float*>(out->dl_tensor.data)[0] = 100;
  CHECK(values(m.call("add_in", z, {1, 7})) == Doubles{101, 3, 4, 5, 6, 7});
  static_cast<float*>(out->dl_tensor.data)[0] = 200;  // no copy was kept
  CHECK(values(m.call("add_in", z, {1, 7})) == Doubles{201, 3, 4, 5, 6, 7});
  out->deleter(out);
}

TEST_CASE("views in another shape are no arrays in a layout") {
  const Mirror m;
  const auto reshaped = [](const Var& v) {
    Arr a, view;
    REQUIRE_OK(ctn_variable_array(v, a.out()));
    const int64_t shape[] = {3, 2};
    REQUIRE_OK(ctn_array_reshape(a, 2, shape, view.out()));
    return constant(view);
  };
  const Var x = constant(m.numbers({2, 3}));
  // run through element by element, by a kernel that wants the layout, after one in it was made
  CHECK(values(m.call("twice", reshaped(m.call("add_in", x, {0, 5})))) ==
        Doubles{2, 4, 6, 8, 10, 12});
  const Var y = m.call("add_in", x, {0, 5}), view = reshaped(y);
  CHECK(values(m.call("add_in", view, {1, 5})) == Doubles{2, 3, 4, 5, 6, 7});
  CHECK(values(m.call("add_in", y, {1, 5})) == Doubles{2, 3, 4, 5, 6, 7});
  CHECK(values(m.call("add_in", view, {2, 5})) == Doubles{3, 4, 5, 6, 7, 8});
}

TEST_CASE("elements change their dtype where the layouts know one") {
  const Mirror m;
  const Var y = m.call("add_in", constant(m.numbers({4})), {1, 7});
  Arr a, wide;
  REQUIRE_OK(ctn_variable_array(y, a.out()));
  REQUIRE_OK(ctn_array_copy(a, kF64, wide.out()));
  CHECK(values(wide) == Doubles{2, 3, 4, 5});
  CHECK(values(m.call("is_large", m.call("add_in", constant(m.numbers({4})), {1, 7}))) ==
        Doubles{0, 0, 1, 1});
}

TEST_CASE("a copy in a layout serves until the array is written") {
  const Mirror m;
  const Arr a = m.numbers({4});
  const Var x = constant(a);
  m.call("add_in", x, {1, 7});
  m.call("add_in", x, {1, 7});
  CHECK(g_seen.reorders == 1);
  const float fresh[] = {9, 8, 7, 6};
  REQUIRE_OK(ctn_array_set(a, fresh, sizeof fresh));
  CHECK(values(m.call("add_in", x, {1, 7})) == Doubles{10, 9, 8, 7});
  const Var y = m.call("add_in", x, {0, 7});
  Arr b;
  REQUIRE_OK(ctn_variable_array(y, b.out()));
  const ctn_value three = of(3);
  REQUIRE_OK(ctn_array_fill(b, &three));
  CHECK(values(m.call("add_in", y, {1, 9})) == Doubles{4, 4, 4, 4});
}

TEST_CASE("borrowed memory and views are converted for the call alone") {
  const Mirror m;
  float own[] = {1, 2, 3, 4};
  int64_t shape[] = {4}, strides[] = {-1}, start = 3;
  const ctn_dltensor t{own, {CTN_DEV_CPU, 0}, 1, kF32, shape, nullptr, 0};
  Arr wrapped, reversed;
  REQUIRE_OK(ctn_array_wrap(m.ctx, &t, nullptr, nullptr, wrapped.out()));
  const Var x = constant(wrapped);
  CHECK(values(m.call("add_in", x, {1, 7})) == Doubles{2, 3, 4, 5});
  own[0] = 11;
  CHECK(values(m.call("add_in", x, {1, 7})) == Doubles{12, 3, 4, 5});
  REQUIRE_OK(ctn_array_strided(wrapped, 1, shape, strides, start, reversed.out()));
  CHECK(values(m.call("add_in", constant(reversed), {1, 7})) == Doubles{5, 4, 3, 12});
}

TEST_CASE("an update leaves weights in the layout they share with their gradients") {
  const Ctx plain = context();  // the test plugin's classes
  const Mirror m;
  Arr w, g;
  REQUIRE_OK(ctn_variable_array(m.call("add_in", constant(m.numbers({4})), {0, 7}), w.out()));
  REQUIRE_OK(ctn_variable_array(m.call("add_in", constant(m.numbers({4})), {9, 7}), g.out()));
  Var weights;
  REQUIRE_OK(ctn_variable_new(w, 1, weights.out()));  // `w` is held here, as by a graph
  REQUIRE_OK(ctn_variable_set_grad(weights, constant(g)));
  const Net model = chain(m.ctx);
  REQUIRE_OK(ctn_link_add_param(model, str("w"), weights));
  const Opt plainly = optimizer(m.ctx, "Plain", {of(0.5)});
  REQUIRE_OK(ctn_optimizer_setup(plainly, model));
  const int before = g_seen.reorders;
  REQUIRE_OK(ctn_optimizer_update(plainly));
  CHECK(g_seen.reorders == before);
  CHECK(values(w) == Doubles{-4, -3.5, -3, -2.5});
}

TEST_CASE("weights of several parameters are updated by each gradient, in whatever layout") {
  const Ctx plain = context();
  const Mirror m;
  for (const bool plain_first : {false, true}) {
    const Arr w = m.numbers({4});
    const Var grads[] = {m.call("add_in", constant(m.numbers({4})), {9, 7}),
                         constant(m.numbers({4}))};
    const Net model = chain(m.ctx);
    for (int k = 0; k < 2; ++k) {
      Var p;
      REQUIRE_OK(ctn_variable_new(w, 1, p.out()));
      REQUIRE_OK(ctn_variable_set_grad(p, grads[k]));
      REQUIRE_OK(ctn_link_add_param(model, str((k == 0) == plain_first ? "b" : "a"), p));
    }
    const Opt plainly = optimizer(m.ctx, "Plain", {of(1)});
    REQUIRE_OK(ctn_optimizer_setup(plainly, model));
    REQUIRE_OK(ctn_optimizer_update(plainly));
    CHECK(values(w) == Doubles{-10, -11, -12, -13});
  }
}

TEST_CASE("a failing conversion is the call's failure and changes nothing") {
  const Mirror m;
  ctn_memory_stats used{};
  used.size = sizeof used;
  {
    const Var x = constant(m.numbers({4}));
    int32_t id = 0;
    REQUIRE_OK(ctn_op_find(str("add_in"), &id));
    const ctn_value attrs[] = {of_int(1), of_int(7)};
    ctn_variable in = x, out = nullptr;
    g_seen.failing = true;
    CHECK(ctn_call(m.ctx, id, &in, 1, attrs, 2, &out, 1) == CTN_EDEVICE);
    CHECK(std::string(ctn_error_message()).find("reorder failed") != std::string::npos);
    CHECK(out == nullptr);
    g_seen.failing = false;
    const Var y = m.call("add_in", x, {1, 7});
    g_seen.failing = true;
    Arr a;
    REQUIRE_OK(ctn_variable_array(y, a.out()));
    float got[4];
    CHECK(ctn_array_to_host(a, got, sizeof got) == CTN_EDEVICE);
    g_seen.failing = false;
    REQUIRE_OK(ctn_array_to_host(a, got, sizeof got));
    CHECK(got[3] == 5);
  }
  REQUIRE_OK(ctn_memory_get_stats(m.ctx, &used));
  CHECK(used.used == 0);
}

TEST_CASE("many threads look at one array in a layout") {
  const Mirror m;
  for (int round = 0; round < 20; ++round) {
    const Var y = m.call("add_in", constant(m.numbers({100})), {0, 7});
    Arr a;
    REQUIRE_OK(ctn_variable_array(y, a.out()));
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        std::vector<float> got(100);
        if (ctn_array_to_host(a, got.data(), 400) == CTN_OK && got[99] == 100) ++right;
      });
    for (std::thread& t : threads) t.join();
    CHECK(right == 4);
  }
}
