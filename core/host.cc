// The table plugins are handed: the C functions, registration, and what kernels and backward may
// ask.
#include <catena/plugin.h>

#include <cstring>

#include "core/adopt.h"
#include "core/capi/api.h"
#include "core/capture.h"
#include "core/grad_call.h"
#include "core/transaction.h"
#include "core/version.h"

namespace catena {
namespace {

Exec& exec_of(ctn_exec e) {
  require(e, "exec");
  return *static_cast<Exec*>(e);
}
GradCall& grad_of(ctn_grad g) {
  require(g, "grad");
  return *static_cast<GradCall*>(g);
}

ctn_status host_fail(ctn_status code, const char* file, int32_t line, ctn_str text) {
  if (!file) return store_error(code, view(text));
  const char* slash = std::strrchr(file, '/');
  return guarded([&] {
    fail(code, std::string(view(text)) + " (" + (slash ? slash + 1 : file) + ":" +
                   std::to_string(line) + ")");
  });
}

void host_log(ctn_context ctx, int32_t level, ctn_str topic, ctn_str text) {
  if (ctx) static_cast<Context*>(ctx)->log(level, view(topic), view(text));
}

template <class Def>
ctn_status host_add(ctn_plugin p, const Def* def) {
  return guarded([&] { register_in(p, def); });
}

ctn_status host_parallel_for(ctn_exec e, int64_t n, int64_t grain, ctn_range_fn fn, void* arg) {
  if (!e || !fn) return guarded([&] { fail(CTN_EINVAL, "parallel_for: exec or fn is NULL"); });
  return parallel_for(static_cast<Exec*>(e)->ctx.executor(), n, grain, fn, arg);
}
ctn_status host_scratch(ctn_exec e, uint64_t bytes, void** out) {
  return guarded([&] {
    require(out, "out");
    *out = exec_of(e).scratch(bytes);
  });
}
ctn_status host_find_derived(ctn_exec e, int32_t input, uint64_t key, const void** out) {
  return guarded([&] {
    require(out, "out");
    *out = exec_of(e).find_derived(input, key);
  });
}
ctn_status host_keep_derived(ctn_exec e, int32_t input, uint64_t key, uint64_t bytes, void** out) {
  return guarded([&] {
    require(out, "out");
    *out = exec_of(e).make_derived(input, key, bytes);
  });
}
int32_t host_num_threads(ctn_exec e) {
  return e ? static_cast<Exec*>(e)->ctx.executor().threads() : 1;
}
ctn_context host_exec_context(ctn_exec e) { return e ? &static_cast<Exec*>(e)->ctx : nullptr; }
ctn_device host_exec_device(ctn_exec e) {
  if (!e) return {};
  const Device& d = static_cast<Exec*>(e)->device;
  return {d.dl.type, d.id};
}
void* host_exec_stream(ctn_exec e) {
  void* stream = nullptr;
  shielded([&] { stream = e ? static_cast<Exec*>(e)->device.native_stream() : nullptr; });
  return stream;
}
ctn_str host_exec_label(ctn_exec e) { return e ? str(static_cast<Exec*>(e)->label) : ctn_str{}; }

ctn_context host_grad_context(ctn_grad g) {
  return g ? static_cast<GradCall*>(g)->node.ctx : nullptr;
}
int32_t host_grad_n_in(ctn_grad g) { return g ? static_cast<GradCall*>(g)->node.n_in : 0; }
int32_t host_grad_n_out(ctn_grad g) { return g ? static_cast<GradCall*>(g)->node.n_out : 0; }
const ctn_value* host_grad_attrs(ctn_grad g) {
  return g ? static_cast<GradCall*>(g)->node.attrs : nullptr;
}
ctn_status host_grad_in(ctn_grad g, int32_t i, ctn_variable* out) {
  return guarded([&] {
    require(out, "out");
    *out = grad_of(g).input(i);
  });
}
ctn_status host_grad_out(ctn_grad g, int32_t i, ctn_variable* out) {
  return guarded([&] {
    require(out, "out");
    *out = grad_of(g).output(i);
  });
}
ctn_status host_grad_gy(ctn_grad g, int32_t i, ctn_variable* out) {
  return guarded([&] {
    require(out, "out");
    *out = grad_of(g).grad_output(i);
  });
}
ctn_status host_grad_in_spec(ctn_grad g, int32_t i, ctn_dltensor* out) {
  return guarded([&] {
    require(out, "out");
    grad_of(g).input_spec(i, *out);
  });
}
ctn_status host_grad_out_spec(ctn_grad g, int32_t i, ctn_dltensor* out) {
  return guarded([&] {
    require(out, "out");
    grad_of(g).output_spec(i, *out);
  });
}
int32_t host_grad_needed(ctn_grad g, int32_t i) {
  if (!g || i < 0 || i >= static_cast<GradCall*>(g)->node.n_in) return 0;
  return static_cast<GradCall*>(g)->needed[static_cast<size_t>(i)];
}
ctn_status host_grad_set(ctn_grad g, int32_t i, ctn_variable gx) {
  return guarded([&] { grad_of(g).set(i, static_cast<Variable*>(gx)); });
}

void* host_alloc(ctn_context ctx, uint64_t bytes, uint64_t align) {
  if (!ctx) return nullptr;
  const RawSource& s = static_cast<Context*>(ctx)->host_source();
  return s.alloc(s.user, bytes, align);
}
void host_free(ctn_context ctx, void* p, uint64_t bytes, uint64_t align) {
  if (!ctx || !p) return;
  const RawSource& s = static_cast<Context*>(ctx)->host_source();
  s.free(s.user, p, bytes, align);
}

ctn_status host_random_take(ctn_context ctx, int32_t kind, int64_t n, ctn_philox* out) {
  return guarded([&] {
    require(ctx, "ctx");
    require(out, "out");
    Context& c = *static_cast<Context*>(ctx);
    if (Capture* capture = capture_in(c)) {
      *out = capture->take_random(kind, n);
      return;
    }
    const PhiloxState begin = c.take_random(kind, n);
    *out = {begin.seed, begin.position, nullptr};
  });
}

ctn_status host_tuning_find(ctn_context ctx, ctn_str scope, ctn_str key, ctn_str* choice) {
  return guarded([&] {
    require(choice, "choice");
    *choice = str(to_context(ctx)->tuning.find(view(scope), view(key)));
  });
}
ctn_status host_tuning_add(ctn_context ctx, ctn_str scope, ctn_str key, ctn_str choice) {
  return guarded([&] { to_context(ctx)->tuning.add(view(scope), view(key), view(choice)); });
}

const void* host_extension(ctn_str, uint32_t) { return nullptr; }

constexpr ctn_api kApi = {
    .size = sizeof(ctn_api),
    .abi = CTN_ABI_VERSION,
#include "core/api_table.inc"
};

constexpr ctn_host kHost = {
    .size = sizeof(ctn_host),
    .abi = CTN_ABI_VERSION,
    .version = kVersion,
    .reserved = 0,
    .api = &kApi,
    .fail = host_fail,
    .log = host_log,
    .add_op = host_add<ctn_op_def>,
    .add_kernel = host_add<ctn_kernel_def>,
    .add_backend = host_add<ctn_backend_def>,
    .add_link = host_add<ctn_link_def>,
    .add_optimizer = host_add<ctn_optimizer_def>,
    .add_hook = host_add<ctn_hook_def>,
    .add_initializer = host_add<ctn_initializer_def>,
    .parallel_for = host_parallel_for,
    .scratch = host_scratch,
    .num_threads = host_num_threads,
    .find_derived = host_find_derived,
    .keep_derived = host_keep_derived,
    .exec_context = host_exec_context,
    .exec_device = host_exec_device,
    .exec_stream = host_exec_stream,
    .exec_label = host_exec_label,
    .grad_context = host_grad_context,
    .grad_n_in = host_grad_n_in,
    .grad_n_out = host_grad_n_out,
    .grad_attrs = host_grad_attrs,
    .grad_in = host_grad_in,
    .grad_out = host_grad_out,
    .grad_gy = host_grad_gy,
    .grad_in_spec = host_grad_in_spec,
    .grad_out_spec = host_grad_out_spec,
    .grad_needed = host_grad_needed,
    .grad_set = host_grad_set,
    .host_alloc = host_alloc,
    .host_free = host_free,
    .extension = host_extension,
    .random_take = host_random_take,
    .tuning_find = host_tuning_find,
    .tuning_add = host_tuning_add,
};

}  // namespace

const ctn_host* host_table() { return &kHost; }

}  // namespace catena
