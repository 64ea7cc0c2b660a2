// C functions of catena.h, sections "library", "plugins and registry" and "context".
#include <algorithm>
#include <cstring>
#include <mutex>
#include <set>

#include "core/adopt.h"
#include "core/capi/api.h"
#include "core/loader.h"
#include "core/missing.h"
#include "core/version.h"

using namespace catena;

namespace {

// The text, kept for the life of the process: one for every state that registry and report have
// been in when somebody asked. Leaked: nothing runs at exit.
ctn_str keep_text(std::string text) {
  static auto* mutex = new std::mutex;
  static auto* texts = new std::set<std::string>;
  std::lock_guard lock(*mutex);
  return str(*texts->insert(std::move(text)).first);
}

// As many bytes as the caller has room for; members that we do not know are 0.
template <class Stats>
void give(Stats& stats, Stats* out) {
  const uint32_t room = out->size;
  stats.size = room;
  std::memset(static_cast<void*>(out), 0, room);
  std::memcpy(out, &stats, std::min<size_t>(room, sizeof stats));
}

// What the backend says of a device; zeros where it says nothing.
ctn_device_info info_of(const Device& d) {
  ctn_device_info info{};
  info.size = sizeof info;
  const Backend& owner = *d.backend->device_owner;
  if (owner.def.device_info)
    checked_call(d.name, [&] { return owner.def.device_info(owner.def.self, d.id, &info); });
  return info;
}

const Op& op_of(int32_t id) {
  const Op* op = Registry::get().op(id);
  if (!op) fail(CTN_ENOTFOUND, "there is no op with id " + std::to_string(id));
  return *op;
}

}  // namespace

extern "C" {

uint32_t ctn_version(void) { return kVersion; }
uint32_t ctn_abi_version(void) { return CTN_ABI_VERSION; }
const char* ctn_error_message(void) { return last_error_text(); }
ctn_status ctn_error_code(void) { return last_error_code(); }
ctn_status ctn_error_set(ctn_status code, ctn_str text) {
  return code == CTN_OK ? code : store_error(code, view(text));
}
const char* ctn_status_name(ctn_status status) { return status_name(status); }

ctn_status ctn_plugin_load(ctn_str path) {
  return guarded([&] { load_plugin_file(view(path)); });
}
ctn_status ctn_plugin_dir(ctn_str path) {
  return guarded([&] { add_plugin_dir(view(path)); });
}
ctn_status ctn_plugin_report(ctn_str* out) {
  return guarded([&] {
    require(out, "out");
    *out = keep_text(plugin_report());
  });
}
ctn_status ctn_op_find(ctn_str name, int32_t* op) {
  return guarded([&] {
    require(op, "op");
    const Op* found = Registry::get().find_op(view(name));
    if (!found) fail_missing(Sort::kOp, view(name));
    *op = found->id;
  });
}
int32_t ctn_op_count(void) { return Registry::get().op_count(); }
ctn_status ctn_op_name(int32_t op, ctn_str* out) {
  return guarded([&] {
    require(out, "out");
    *out = str(op_of(op).name);
  });
}
ctn_status ctn_op_attr(int32_t op, ctn_str name, int32_t* index) {
  return guarded([&] {
    require(index, "index");
    const Op& o = op_of(op);
    for (size_t i = 0; i < o.attrs.size(); ++i) {
      if (o.attrs[i].name != view(name)) continue;
      *index = static_cast<int32_t>(i);
      return;
    }
    fail(CTN_ENOTFOUND, "[" + o.name + "] has no attribute '" + std::string(view(name)) + "'");
  });
}
ctn_status ctn_op_arity(int32_t op, int32_t* n_in, int32_t* n_out, int32_t* n_attrs) {
  return guarded([&] {
    const Op& o = op_of(op);
    if (n_in) *n_in = o.variadic ? -1 : static_cast<int32_t>(o.in.size());
    if (n_out) *n_out = o.def.count ? -1 : o.n_visible;
    if (n_attrs) *n_attrs = static_cast<int32_t>(o.attrs.size());
  });
}
ctn_status ctn_schema_json(ctn_str* out) {
  return guarded([&] {
    require(out, "out");
    static_cast<void>(load_default_plugins(true));  // failures stand in the report
    *out = keep_text(Registry::get().json());
  });
}

ctn_status ctn_context_create(const ctn_context_options* options, ctn_context* out) {
  return guarded([&] {
    require(out, "out");
    ctn_context_options own{};
    if (options) own = adopt(options, "ctn_context_options");
    check_flags(own.flags, CTN_CONTEXT_NO_ENV, "ctn_context_options");
    *out = Context::create(own);
  });
}
void ctn_context_retain(ctn_context ctx) {
  if (ctx) static_cast<Context*>(ctx)->retain();
}
void ctn_context_release(ctn_context ctx) {
  if (ctx) static_cast<Context*>(ctx)->release();
}
ctn_status ctn_context_device(ctn_context ctx, ctn_device* device, ctn_str* backend) {
  return guarded([&] {
    const Device& d = to_context(ctx)->default_device();
    if (device) *device = d.dl;
    if (backend) *backend = str(d.backend->name);
  });
}
ctn_status ctn_device_find(ctn_context ctx, ctn_str name, ctn_device* out) {
  return guarded([&] {
    require(out, "out");
    *out = to_context(ctx)->device(view(name)).dl;
  });
}
ctn_status ctn_device_count(ctn_context ctx, ctn_str backend, int32_t* n) {
  return guarded([&] {
    require(n, "n");
    *n = to_context(ctx)->device_count(view(backend));
  });
}
ctn_status ctn_device_describe(ctn_context ctx, ctn_device device, ctn_str* name, ctn_str* text) {
  return guarded([&] {
    const Device& d = to_context(ctx)->device(device);
    const ctn_str says = text ? info_of(d).name : ctn_str{};
    if (name) *name = str(d.name);
    if (text) *text = says;
  });
}
ctn_status ctn_device_name(ctn_context ctx, ctn_str* out) {
  return guarded([&] {
    require(out, "out");
    *out = info_of(to_context(ctx)->default_device()).name;
  });
}
int32_t ctn_context_threads(ctn_context ctx) {
  return ctx ? static_cast<Context*>(ctx)->executor().threads() : 0;
}
ctn_status ctn_synchronize(ctn_context ctx) {
  return guarded([&] {
    Context& c = *to_context(ctx);
    std::exception_ptr first;
    try {
      c.waiting.run_all();
    } catch (...) {
      first = std::current_exception();
    }
    c.synchronize();
    if (first) std::rethrow_exception(first);
  });
}

ctn_status ctn_device_stream(ctn_context ctx, ctn_device device, void** out) {
  return guarded([&] {
    require(out, "out");
    const Device& d = to_context(ctx)->device(device);
    *out = d.native_stream();
    if (!*out) fail(CTN_EUNSUPPORTED, "device " + d.name + " has no streams");
  });
}
ctn_status ctn_device_follow(ctn_context ctx, ctn_device device, void* stream) {
  return guarded([&] {
    require(stream, "stream");
    to_context(ctx)->device(device).follow(stream);
  });
}
ctn_status ctn_device_lead(ctn_context ctx, ctn_device device, void* stream) {
  return guarded([&] {
    require(stream, "stream");
    Context& c = *to_context(ctx);
    Device& d = c.device(device);
    c.waiting.run_all();
    d.lead(stream);
  });
}

ctn_status ctn_config_set_global(ctn_context ctx, ctn_str key, const ctn_value* value) {
  return guarded([&] {
    require(value, "value");
    to_context(ctx)->set_config(view(key), *value);
  });
}
ctn_status ctn_config_set(ctn_context ctx, ctn_str key, const ctn_value* value) {
  return guarded([&] { to_context(ctx)->set_thread_config(view(key), value); });
}
ctn_status ctn_config_get(ctn_context ctx, ctn_str key, ctn_value* out) {
  return guarded([&] {
    require(out, "out");
    ctn_value value{};
    to_context(ctx)->config().get(view(key), &value);
    *out = value;
  });
}
ctn_status ctn_config_get_local(ctn_context ctx, ctn_str key, ctn_value* out) {
  return guarded([&] {
    require(out, "out");
    ctn_value value{};
    to_context(ctx)->config().get_local(view(key), &value);
    *out = value;
  });
}

ctn_status ctn_tuning_save(ctn_context ctx, ctn_str path) {
  return guarded([&] {
    Context& c = *to_context(ctx);
    c.tuning.save(c.io(), std::string(view(path)));
  });
}
ctn_status ctn_tuning_load(ctn_context ctx, ctn_str path) {
  return guarded([&] {
    Context& c = *to_context(ctx);
    c.tuning.load(c.io(), std::string(view(path)));
    c.plans.clear();  // they are to be made anew, with what was loaded
  });
}

ctn_status ctn_memory_get_stats(ctn_context ctx, ctn_memory_stats* out) {
  return guarded([&] {
    require(out, "out");
    ctn_memory_stats stats = adopt(out, "memory stats");
    to_context(ctx)->fill(&stats);
    give(stats, out);
  });
}
ctn_status ctn_device_get_stats(ctn_context ctx, ctn_device device, ctn_device_stats* out) {
  return guarded([&] {
    require(out, "out");
    ctn_device_stats stats = adopt(out, "device stats");
    const Device& d = to_context(ctx)->device(device);
    const ctn_device_info info = info_of(d);
    stats.total = info.mem_total;
    stats.free = info.mem_free;
    stats.held = d.memory->held();
    stats.used = d.memory->used();
    stats.cached = std::max(stats.held, stats.used) - stats.used;  // others may be at work
    give(stats, out);
  });
}
ctn_status ctn_memory_set_limit(ctn_context ctx, uint64_t bytes) {
  return guarded([&] {
    to_context(ctx)->ledger().set_limit(bytes);
    to_context(ctx)->plans.clear();  // what kernels chose may follow from the limit
  });
}
ctn_status ctn_memory_trim(ctn_context ctx) {
  return guarded([&] { to_context(ctx)->trim(); });
}
ctn_status ctn_random_seed(ctn_context ctx, uint64_t seed) {
  return guarded([&] { to_context(ctx)->seed(seed); });
}
ctn_status ctn_random_draw(ctn_context ctx, int32_t kind, void* dst, int64_t n) {
  return guarded([&] {
    if (n) require(dst, "dst");
    to_context(ctx)->draw(kind, dst, n);
  });
}

}  // extern "C"
