// Captures on a backend with layouts: whatever form arrays were in when work was captured, and
// whatever form they have been written in since, a replay reads what lies in them and what it wrote
// is what others see. The device keeps its work on a tape; layout 7 is elements in reverse order.
#include <catena/plugin.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>

#include "core/expr/plain.h"
#include "core/loader.h"
#include "net_support.h"

using namespace catena_test;

namespace {

using Work = std::function<void()>;
using Tape = std::vector<Work>;

const ctn_host* g_host = nullptr;
thread_local Tape* t_tape = nullptr;  // what the thread captures; NULL: work is done at once
std::atomic<int> g_syncs{0};
std::atomic<bool> g_failing{false};

ctn_status hand_over(Work work) {
  if (t_tape)
    t_tape->push_back(std::move(work));
  else
    work();
  return CTN_OK;
}

// ---- the device

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
  return hand_over([=] { std::memcpy(dst, src, bytes); });
}
ctn_status sync(void*, int32_t) {
  ++g_syncs;
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
  const bool turned = src->layout != dst->layout;
  return hand_over([=] {
    for (int64_t i = 0; i < n; ++i) to[i] = from[turned ? n - 1 - i : i];
  });
}

// ---- expressions, as the plain executor runs them

ctn_status compile(void*, const ctn_form* form, void** program) {
  *program = const_cast<ctn_form*>(form);  // lives as long as the program
  return CTN_OK;
}
void release(void*, void*) {}
struct Launch {
  ctn_launch l;
  std::vector<int64_t> shape, strides, counts;
  std::vector<void*> data;
  std::vector<uint64_t> scalars;
};
ctn_status launch(void*, void* program, const ctn_launch* launches, int32_t n) {
  const auto& form = *static_cast<const ctn_form*>(program);
  for (int32_t k = 0; k < n; ++k) {
    const ctn_launch& l = launches[k];
    auto own = std::make_shared<Launch>();
    own->shape.assign(l.shape, l.shape + l.ndim);
    own->strides.assign(l.strides, l.strides + form.n_args * l.ndim);
    own->counts.assign(l.counts, l.counts + form.n_args);
    own->data.assign(l.data, l.data + form.n_args);
    if (form.n_scalars) own->scalars.assign(l.scalars, l.scalars + form.n_scalars);
    own->l = l;
    own->l.shape = own->shape.data();
    own->l.strides = own->strides.data();
    own->l.counts = own->counts.data();
    own->l.data = own->data.data();
    own->l.scalars = own->scalars.data();
    hand_over([=, &form] { catena::expr::run_plain(form, own->l); });
  }
  return CTN_OK;
}

// ---- captures

ctn_status begin(void*, int32_t) {
  t_tape = new Tape;
  return CTN_OK;
}
ctn_status end(void*, int32_t, void** capture) {
  Tape* const tape = std::exchange(t_tape, nullptr);
  if (capture)
    *capture = tape;
  else
    delete tape;
  return CTN_OK;
}
ctn_status replay(void*, int32_t, void* capture) {
  for (const Work& work : *static_cast<Tape*>(capture)) work();
  return CTN_OK;
}
void free_capture(void*, int32_t, void* capture) { delete static_cast<Tape*>(capture); }

// ---- shift(x, layout) = x + 1, in the layout it is told to want; its calls wait

ctn_status infer(void*, const ctn_call_info* call, ctn_out_spec* out) {
  const ctn_dltensor& x = call->in[0].t;
  out->ndim = x.ndim;
  out->dtype = x.dtype;
  std::copy_n(x.shape, x.ndim, out->shape);
  return CTN_OK;
}
ctn_status plan(void*, const ctn_call_info* call, ctn_plan* p) {
  p->in_layouts[0] = p->out_layouts[0] = static_cast<uint64_t>(call->attrs[0].u.i);
  return CTN_OK;
}
ctn_status run(void*, const ctn_run* r) {
  if (g_failing) return g_host->fail(CTN_EDEVICE, nullptr, 0, str("torn"));
  const auto* from = static_cast<const float*>(r->call->in[0].t.data);
  auto* to = static_cast<float*>(r->call->out[0].t.data);
  const int64_t n = count(r->call->in[0].t);
  return hand_over([=] {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i] + 1;
  });
}
ctn_status absorb(void*, const ctn_call_info*, const ctn_follower*, int32_t* yes) {
  *yes = 0;
  return CTN_OK;
}

ctn_status init(const ctn_host* host, ctn_plugin self) {
  g_host = host;
  ctn_backend_def b{};
  b.size = sizeof b;
  b.flags = CTN_BACKEND_HOST_MEMORY | CTN_BACKEND_ASYNC;
  b.name = str("tape");
  b.device_type = CTN_DEV_EXTENSION;
  b.device_count = device_count;
  b.alloc = alloc;
  b.free = free_memory;
  b.copy = copy;
  b.sync = sync;
  b.compile = compile;
  b.launch = launch;
  b.release = release;
  b.layout_bytes = layout_bytes;
  b.reorder = reorder;
  b.capture_begin = begin;
  b.capture_end = end;
  b.capture_replay = replay;
  b.capture_free = free_capture;
  if (const ctn_status s = host->add_backend(self, &b); s != CTN_OK) return s;
  const ctn_input_def x{str("x"), str("f"), 0, 0};
  const ctn_output_def y{str("y"), str("=x"), 0, 0};
  const ctn_attr_def layout{str("layout"), CTN_KIND_BIT(CTN_INT) | CTN_REQUIRED, {}, {}, 0, 0};
  ctn_op_def d{};
  d.size = sizeof d;
  d.flags = CTN_OP_NODIFF;
  d.name = str("shift");
  d.n_in = d.n_out = d.n_attrs = 1;
  d.in = &x;
  d.out = &y;
  d.attrs = &layout;
  d.infer = infer;
  if (const ctn_status s = host->add_op(self, &d); s != CTN_OK) return s;
  ctn_op_def twice{};
  twice.size = sizeof twice;
  twice.name = str("tape_twice");
  twice.n_in = twice.n_out = 1;
  twice.in = &x;
  twice.out = &y;
  twice.map = str("y = x + x");
  if (const ctn_status s = host->add_op(self, &twice); s != CTN_OK) return s;
  ctn_kernel_def k{};
  k.size = sizeof k;
  k.flags = CTN_KERNEL_LAYOUT;
  k.op = str("shift");
  k.backend = str("tape");
  k.plan = plan;
  k.run = run;
  k.absorb = absorb;
  return host->add_kernel(self, &k);
}

const ctn_plugin_info* query(uint32_t) {
  static constexpr ctn_plugin_info info = {sizeof(ctn_plugin_info),
                                           CTN_ABI_VERSION,
                                           CTN_ABI_VERSION,
                                           1,
                                           {"tape", 4},
                                           {"mixed", 5},
                                           {"MIT", 3}};
  return &info;
}

// ---- captures of it

constexpr int64_t kSize = 300;  // smaller calls do not wait
using Rec = Owned<ctn_capture, ctn_capture_release>;

struct Device {
  Ctx ctx;
  Device() {
    if (!g_host) catena::init_plugin(query, init, "the test");
    ctn_context_options o{};
    o.size = sizeof o;
    o.flags = CTN_CONTEXT_NO_ENV;
    o.device = str("tape");
    o.threads = 1;
    REQUIRE_OK(ctn_context_create(&o, ctx.out()));
  }
  Var counting(double first) const {
    std::vector<double> v;
    for (int64_t i = 0; i < kSize; ++i) v.push_back(first + static_cast<double>(i));
    return leaf(ctx, kF32, {kSize}, v);
  }
  Var call(const char* op, ctn_variable x, int64_t layout) const {
    int32_t id = 0;
    REQUIRE_OK(ctn_op_find(str(op), &id));
    const ctn_value attr = of_int(layout);
    Var y;
    REQUIRE_OK(ctn_call(ctx, id, &x, 1, &attr, std::string_view(op) == "shift", y.out(), 1));
    return y;
  }
  Var shift(const Var& x, int64_t layout) const { return call("shift", x, layout); }
  Var twice(const Var& x) const { return call("tape_twice", x, 0); }
  Rec capture(const std::function<void()>& body) const {
    ctn_device device{};
    REQUIRE_OK(ctn_context_device(ctx, &device, nullptr));
    REQUIRE_OK(ctn_capture_begin(ctx, device));
    body();
    Rec r;
    if (ctn_capture_end(ctx, r.out()) != CTN_OK)
      CHECK(ctn_error_code() == CTN_EINVAL);  // thrown away
    return r;
  }
};

Arr array_of(const Var& v) {
  Arr a;
  REQUIRE_OK(ctn_variable_array(v, a.out()));
  return a;
}

// first, first + step ... (of the plain data)
void check_counts(const Var& v, double first, double step = 1) {
  ctn_dltensor t;
  REQUIRE_OK(ctn_array_view(array_of(v), &t));
  const auto* p = static_cast<const float*>(t.data);
  int64_t wrong = 0;
  for (int64_t i = 0; i < kSize; ++i)
    wrong += p[i] != static_cast<float>(first + step * static_cast<double>(i));
  CHECK(wrong == 0);
}

void set(const Var& v, const Var& to) { REQUIRE_OK(ctn_array_assign(array_of(v), array_of(to))); }

}  // namespace

TEST_CASE("a replay reads what its inputs hold by then, in whatever form they are") {
  for (const int64_t layout : {0, 7}) {
    CAPTURE(layout);
    const Device d;
    const Var x = d.counting(1);
    check_counts(d.shift(x, 7), 2);  // now there is a copy of x in the layout
    Var y, z;
    const Rec again = d.capture([&] {
      y = d.shift(x, layout);
      z = d.twice(x);
    });
    REQUIRE_OK(ctn_capture_replay(again));
    check_counts(y, 2);
    check_counts(z, 2, 2);
    set(x, d.counting(10));
    REQUIRE_OK(ctn_capture_replay(again));
    check_counts(y, 11);
    check_counts(z, 20, 2);
    set(x, d.shift(d.counting(20), 7));  // written in the layout
    REQUIRE_OK(ctn_capture_replay(again));
    check_counts(y, 22);
    check_counts(z, 42, 2);
    check_counts(x, 21);
  }
}

TEST_CASE("an input that was in a layout alone when it was captured") {
  for (const int64_t layout : {0, 7}) {
    CAPTURE(layout);
    const Device d;
    const Var x = d.shift(d.counting(0), 7);
    REQUIRE_OK(ctn_synchronize(d.ctx));
    Var y;
    const Rec again = d.capture([&] { y = d.shift(x, layout); });
    REQUIRE_OK(ctn_capture_replay(again));
    check_counts(y, 2);
    check_counts(x, 1);
    set(x, d.counting(10));
    REQUIRE_OK(ctn_capture_replay(again));
    check_counts(y, 11);
    check_counts(x, 10);
  }
}

TEST_CASE("nothing has happened to other arrays when a capture ends, kept or thrown away") {
  for (const bool kept : {true, false}) {
    for (const int64_t layout : {0, 7}) {
      CAPTURE(kept);
      CAPTURE(layout);
      const Device d;
      const Var x = d.counting(0), turned = d.shift(d.counting(0), 7);
      const Var to = d.counting(5), turned_to = d.shift(d.counting(4), 7);
      REQUIRE_OK(ctn_synchronize(d.ctx));
      Var y, z;
      const Rec again = d.capture([&] {
        y = d.shift(x, layout);
        z = d.shift(turned, layout);
        set(to, y);
        set(turned_to, z);
        y = d.shift(to, 7 - layout);
        if (!kept) REQUIRE_OK(ctn_capture_end(d.ctx, nullptr));
      });
      check_counts(d.shift(x, 7), 1);
      check_counts(x, 0);
      check_counts(d.shift(turned, 7), 2);
      check_counts(turned, 1);
      check_counts(d.shift(to, 7), 6);
      check_counts(to, 5);
      check_counts(d.shift(turned_to, 7), 6);
      check_counts(turned_to, 5);
      if (!kept) continue;
      REQUIRE_OK(ctn_capture_replay(again));
      check_counts(to, 1);
      check_counts(turned_to, 2);
      check_counts(y, 2);
    }
  }
}

TEST_CASE("what a replay wrote is new to everybody, each time") {
  for (const int64_t layout : {0, 7}) {
    CAPTURE(layout);
    const Device d;
    const Var x = d.counting(0), kept = d.counting(0);
    Var y, z;
    const Rec again = d.capture([&] {
      y = d.shift(x, layout);
      z = d.twice(y);
      set(kept, z);
    });
    for (const double first : {0.0, 10.0, 20.0}) {
      set(x, d.counting(first));
      REQUIRE_OK(ctn_capture_replay(again));
      check_counts(y, first + 1);
      check_counts(d.shift(y, 7), first + 2);  // by a copy in the layout
      check_counts(z, 2 * first + 2, 2);
      check_counts(d.shift(kept, 7), 2 * first + 3, 2);
      check_counts(kept, 2 * first + 2, 2);
    }
  }
}

TEST_CASE("calls that wait and read what a replay will write are run before it") {
  for (const int64_t layout : {0, 7}) {
    CAPTURE(layout);
    const Device d;
    const Var x = d.counting(0);
    Var y;
    const Rec again = d.capture([&] { y = d.shift(x, layout); });
    REQUIRE_OK(ctn_capture_replay(again));
    set(x, d.counting(10));
    const Var late = d.shift(y, 0);
    REQUIRE_OK(ctn_capture_replay(again));
    check_counts(late, 2);
    check_counts(y, 11);
  }
}

TEST_CASE("nothing waits to be run as part of what is captured") {
  const Device d;
  const Var x = d.counting(0);
  Var before, meanwhile, y;
  std::thread([&] { before = d.shift(x, 0); }).join();
  const Rec again = d.capture([&] {
    std::thread([&] { meanwhile = d.shift(x, 0); }).join();
    y = d.twice(d.twice(meanwhile));
    y = d.twice(before);
  });
  check_counts(before, 1);
  check_counts(meanwhile, 1);
}

TEST_CASE("who waits for a context waits for its devices, also where a call cannot be run") {
  const Device d;
  const Var x = d.counting(0), y = d.shift(x, 0);
  g_failing = true;
  const int before = g_syncs;
  CHECK(ctn_synchronize(d.ctx) == CTN_EDEVICE);
  CHECK(std::string(ctn_error_message()).find("torn") != std::string::npos);
  CHECK(g_syncs == before + 1);
  g_failing = false;
  REQUIRE_OK(ctn_synchronize(d.ctx));
  check_counts(y, 1);
}
