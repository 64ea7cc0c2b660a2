// Ops for tests of what callbacks may do: see guest_plugin.h.
#include "guest_plugin.h"

#include "core/context.h"
#include "core/loader.h"
#include "core/transaction.h"
#include "net_support.h"

namespace catena_test {
namespace {

// `parts` views of equal length along axis 0.
ctn_status halves_count(void*, const ctn_call_info* call, int32_t* n) {
  *n = static_cast<int32_t>(call->attrs[0].u.i);
  return CTN_OK;
}
ctn_status halves_infer(void*, const ctn_call_info* call, ctn_out_spec* out) {
  const ctn_dltensor& x = call->in[0].t;
  for (int32_t k = 0; k < call->n_out; ++k) {
    out[k].mode = CTN_OUT_VIEW;
    out[k].ndim = 1;
    out[k].shape[0] = x.shape[0] / call->n_out;
    out[k].strides[0] = x.strides[0];
    out[k].offset = k * out[k].shape[0] * x.strides[0];
  }
  return CTN_OK;
}

// y = x + a0 + 2 * a1 + ...: as many numbers as a row may have.
ctn_status add_many(const ctn_host* host, ctn_plugin self) {
  const ctn_input_def x{str("x"), str("f"), 0, 0};
  const ctn_output_def y{str("y"), str("=x"), 0, 0};
  std::vector<std::string> names;
  for (int k = 0; k < 32; ++k) names.push_back("a" + std::to_string(k));
  std::vector<ctn_attr_def> attrs;
  std::string map = "y = x";
  for (size_t k = 0; k < names.size(); ++k) {
    attrs.push_back({str(names[k]), CTN_KIND_BIT(CTN_FLOAT), of(1.0), str(""), 0, 0});
    map += " + " + std::to_string(k + 1) + " * " + names[k];
  }
  ctn_op_def d{};
  d.size = sizeof d;
  d.name = str("guest.many");
  d.n_in = d.n_out = 1;
  d.n_attrs = static_cast<int32_t>(attrs.size());
  d.in = &x;
  d.out = &y;
  d.attrs = attrs.data();
  d.map = str(map);
  return host->add_op(self, &d);
}

ctn_status init(const ctn_host* host, ctn_plugin self) {
  if (const ctn_status s = add_many(host, self); s != CTN_OK) return s;
  const ctn_input_def x{str("x"), str("f"), 0, 0};
  const ctn_output_def y{str("y"), str("=x"), 0, 0};
  ctn_op_def twice{};
  twice.size = sizeof twice;
  twice.name = str("guest.twice");
  twice.n_in = twice.n_out = 1;
  twice.in = &x;
  twice.out = &y;
  twice.map = str("y = x + x");
  const ctn_attr_def parts{str("parts"), CTN_KIND_BIT(CTN_INT) | CTN_REQUIRED, {}, str(""), 0, 0};
  ctn_op_def split{};
  split.size = sizeof split;
  split.flags = CTN_OP_NODIFF;
  split.name = str("guest.split");
  split.n_in = split.n_out = split.n_attrs = 1;
  split.in = &x;
  split.out = &y;
  split.attrs = &parts;
  split.infer = halves_infer;
  split.count = halves_count;
  ctn_status s = host->add_op(self, &twice);
  return s == CTN_OK ? host->add_op(self, &split) : s;
}

const ctn_plugin_info* query(uint32_t) {
  static constexpr ctn_plugin_info info = {
      sizeof(ctn_plugin_info), CTN_ABI_VERSION, CTN_ABI_VERSION, 1,
      {"guesttest", 9},        {"ops", 3},      {"MIT", 3}};
  return &info;
}

}  // namespace

int32_t guest_op(const char* name) {
  static bool loaded = false;
  if (!loaded) catena::init_plugin(query, init, "the guest test");
  loaded = true;
  int32_t op = -1;
  REQUIRE_OK(ctn_op_find(str(name), &op));
  return op;
}

Var twice(ctn_context ctx, ctn_variable x) {
  Var y;
  REQUIRE_OK(ctn_call(ctx, guest_op("guest.twice"), &x, 1, nullptr, 0, y.out(), 1));
  return y;
}

Var wanting(ctn_context ctx, const std::vector<int64_t>& shape, const std::vector<double>& values) {
  Var v;
  REQUIRE_OK(ctn_variable_new(array(ctx, kF32, shape, values), 1, v.out()));
  return v;
}

size_t overlays(ctn_context ctx) { return catena::to_context(ctx)->config().overriding_threads(); }

ctn_status run_parallel(ctn_context ctx, int64_t n, int64_t grain, ctn_range_fn fn) {
  return catena::parallel_for(catena::to_context(ctx)->executor(), n, grain, fn, nullptr);
}

template <class Def>
ctn_status define_in_plugin(const Def& def) {
  return catena::guarded([&] {
    catena::Registry::Transaction t("guestflags");
    t.add(&def);
  });
}
template ctn_status define_in_plugin(const ctn_op_def&);
template ctn_status define_in_plugin(const ctn_kernel_def&);
template ctn_status define_in_plugin(const ctn_backend_def&);
template ctn_status define_in_plugin(const ctn_link_def&);
template ctn_status define_in_plugin(const ctn_optimizer_def&);
template ctn_status define_in_plugin(const ctn_hook_def&);
template ctn_status define_in_plugin(const ctn_initializer_def&);

uint64_t used(ctn_context ctx) {
  ctn_memory_stats stats{};
  stats.size = sizeof stats;
  REQUIRE_OK(ctn_memory_get_stats(ctx, &stats));
  return stats.used;
}

}  // namespace catena_test
