// Config: see config.h. Each thread keeps a copy of its overrides for the context it used last, so
// that reading flags costs two loads.
#include "core/config.h"

#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "core/sys/thread_number.h"
#include "core/value.h"

namespace catena {
namespace {

struct FlagKey {
  std::string_view name;
  uint32_t bit;
};
constexpr FlagKey kFlagKeys[] = {
    {"train", kTrain},
    {"enable_backprop", kEnableBackprop},
    {"type_check", kTypeCheck},
    {"debug", kDebug},
    {"lazy_grad_sum", kLazyGradSum},
    {"keep_graph_on_report", kKeepGraphOnReport},
    {"cudnn_deterministic", kCudnnDeterministic},
    {"autotune", kAutotune},
    {"warn_nondeterministic", kWarnNondeterministic},
};
constexpr std::string_view kTernaryKeys[] = {"use_cudnn", "use_cudnn_tensor_core", "use_ideep"};

uint32_t flag_of(std::string_view key) {
  for (const FlagKey& k : kFlagKeys)
    if (k.name == key) return k.bit;
  return 0;
}

bool is_ternary(std::string_view key) {
  for (std::string_view k : kTernaryKeys)
    if (k == key) return true;
  return false;
}

constexpr const char* kTernaryTexts = "'always', 'auto' or 'never'";

bool is_ternary_text(std::string_view text) {
  return text == "always" || text == "auto" || text == "never";
}

void check_key(std::string_view key) {
  if (!flag_of(key) && !is_ternary(key) && !key.starts_with("user_"))
    fail(CTN_EINVAL, "config has no key '" + std::string(key) + "' (own keys start with user_)");
}

void check_value(std::string_view key, const ctn_value& v) {
  check_key(key);
  const std::string name(key);
  if (const std::string fault = value_fault(v); !fault.empty())
    fail(CTN_EINVAL, "config '" + name + "' is " + fault);
  const char* takes = nullptr;
  if (is_ternary(key)) {
    if (v.kind != CTN_STR || !is_ternary_text({v.u.s, v.n})) takes = kTernaryTexts;
  } else if (flag_of(key)) {
    if (v.kind != CTN_BOOL) takes = "a bool";
  } else if (v.kind != CTN_BOOL && v.kind != CTN_INT && v.kind != CTN_STR) {
    takes = "a bool, an int or a string";
  }
  if (takes) fail(CTN_EINVAL, "config '" + name + "' takes " + takes + ", not " + value_text(v));
}

// Empty unless the variable is set.
std::string env_ternary(const char* variable) {
  const char* text = secure_getenv(variable);
  if (text && !is_ternary_text(text))
    fail(CTN_EINVAL, std::string(variable) + "='" + text + "' is not " + kTernaryTexts);
  return text ? text : "";
}

uint64_t next_config() {
  static std::atomic<uint64_t> counter{0};
  return counter.fetch_add(1, std::memory_order_relaxed) + 1;
}

// The calling thread's overrides for one Config.
struct ThreadSlot {
  uint64_t config;
  uint32_t mask, bits;
};
thread_local ThreadSlot t_slot{0, 0, 0};

bool env_true(const char* name) {
  const char* v = secure_getenv(name);
  return v && std::strcmp(v, "0") != 0 && *v;
}

}  // namespace

Config::Config(bool use_env) : global_(kTrain | kEnableBackprop | kTypeCheck), id_(next_config()) {
  for (std::string_view key : {"use_cudnn", "use_cudnn_tensor_core"})
    values_.emplace(key, std::string("auto"));
  values_.emplace("use_ideep", std::string("never"));
  if (!use_env) return;
  uint32_t flags = global_.load();
  if (env_true("CHAINER_DEBUG")) flags |= kDebug;
  if (env_true("CATENA_AUTOTUNE")) flags |= kAutotune;
  if (env_true("CHAINER_LAZY_GRAD_SUM")) flags |= kLazyGradSum;
  if (env_true("CHAINER_KEEP_GRAPH_ON_REPORT")) flags |= kKeepGraphOnReport;
  const char* check = secure_getenv("CHAINER_TYPE_CHECK");
  if (check && std::strcmp(check, "0") == 0) flags &= ~kTypeCheck;
  global_.store(flags);
  const char* cudnn = secure_getenv("CHAINER_CUDNN");
  const bool off = cudnn && std::strcmp(cudnn, "0") == 0;  // then the next is not even read
  const std::string use_cudnn = off ? "never" : env_ternary("CHAINER_USE_CUDNN");
  const std::string use_ideep = env_ternary("CHAINER_USE_IDEEP");
  if (!use_cudnn.empty()) values_["use_cudnn"] = use_cudnn;
  if (!use_ideep.empty()) values_["use_ideep"] = use_ideep;
}

Config::~Config() = default;

Config::Overlay& Config::overlay() const { return overlays_[thread_number()]; }

uint32_t Config::flags() const {
  if (t_slot.config != id_) {
    std::lock_guard lock(mutex_);
    const auto it = overlays_.find(thread_number());
    t_slot.mask = it == overlays_.end() ? 0 : it->second.mask;
    t_slot.bits = it == overlays_.end() ? 0 : it->second.bits;
    t_slot.config = id_;
  }
  const uint32_t global = global_.load(std::memory_order_relaxed);
  return (global & ~t_slot.mask) | (t_slot.bits & t_slot.mask);
}

void Config::set_global(std::string_view key, const ctn_value& value) {
  check_value(key, value);
  if (const uint32_t bit = flag_of(key)) {
    if (value.u.i)
      global_.fetch_or(bit);
    else
      global_.fetch_and(~bit);
    return;
  }
  std::lock_guard lock(mutex_);
  Value& slot = values_[std::string(key)];
  if (value.kind == CTN_STR)
    slot = std::string(value.u.s, value.n);
  else if (value.kind == CTN_BOOL)
    slot = value.u.i != 0;
  else
    slot = value.u.i;
}

void Config::set_local(std::string_view key, const ctn_value* value) {
  const bool remove = !value || value->kind == CTN_ABSENT;
  if (remove)
    check_key(key);
  else
    check_value(key, *value);
  std::lock_guard lock(mutex_);
  Overlay& o = overlay();
  if (const uint32_t bit = flag_of(key)) {
    o.mask = remove ? o.mask & ~bit : o.mask | bit;
    o.bits = !remove && value->u.i ? o.bits | bit : o.bits & ~bit;
    t_slot = {id_, o.mask, o.bits};
  } else if (remove) {
    const auto it = o.values.find(key);
    if (it != o.values.end()) o.values.erase(it);
  } else if (value->kind == CTN_STR) {
    o.values[std::string(key)] = std::string(value->u.s, value->n);
  } else if (value->kind == CTN_BOOL) {
    o.values[std::string(key)] = value->u.i != 0;
  } else {
    o.values[std::string(key)] = value->u.i;
  }
  forget_if_empty();
}

// With mutex_ held: what a thread no longer overrides takes no room, so that threads may come and
// go.
void Config::forget_if_empty() {
  const auto it = overlays_.find(thread_number());
  if (it != overlays_.end() && it->second.mask == 0 && it->second.values.empty())
    overlays_.erase(it);
}

void Config::get(std::string_view key, ctn_value* out) const {
  *out = ctn_value{};
  if (const uint32_t bit = flag_of(key)) {
    out->kind = CTN_BOOL;
    out->u.i = (flags() & bit) != 0;
    return;
  }
  std::lock_guard lock(mutex_);
  const Value* found = find_local(key);
  if (!found) {
    const auto it = values_.find(key);
    if (it == values_.end()) fail(CTN_ENOTFOUND, "config has no key '" + std::string(key) + "'");
    found = &it->second;
  }
  put(*found, out);
}

void Config::get_local(std::string_view key, ctn_value* out) const {
  *out = ctn_value{};
  if (const uint32_t bit = flag_of(key)) {
    flags();  // makes this thread's slot ours
    if ((t_slot.mask & bit) == 0) return;
    out->kind = CTN_BOOL;
    out->u.i = (t_slot.bits & bit) != 0;
    return;
  }
  if (!is_ternary(key) && key.substr(0, 5) != "user_")
    fail(CTN_ENOTFOUND, "config has no key '" + std::string(key) + "'");
  std::lock_guard lock(mutex_);
  if (const Value* found = find_local(key)) put(*found, out);
}

const Config::Value* Config::find_local(std::string_view key) const {
  const auto o = overlays_.find(thread_number());
  if (o == overlays_.end()) return nullptr;
  const auto it = o->second.values.find(key);
  return it == o->second.values.end() ? nullptr : &it->second;
}

void Config::put(const Value& value, ctn_value* out) {
  if (const auto* b = std::get_if<bool>(&value)) {
    out->kind = CTN_BOOL;
    out->u.i = *b;
  } else if (const auto* i = std::get_if<int64_t>(&value)) {
    out->kind = CTN_INT;
    out->u.i = *i;
  } else {
    const auto& s = std::get<std::string>(value);
    out->kind = CTN_STR;
    out->n = static_cast<uint32_t>(s.size());
    out->u.s = s.data();
  }
}

size_t Config::overriding_threads() const {
  std::lock_guard lock(mutex_);
  return overlays_.size();
}

Config::Saved Config::override_local(uint32_t mask, uint32_t bits) {
  flags();  // makes this thread's slot ours
  const Saved saved{t_slot.mask, t_slot.bits};
  std::lock_guard lock(mutex_);
  Overlay& o = overlay();
  o.mask = t_slot.mask |= mask;
  o.bits = t_slot.bits = (t_slot.bits & ~mask) | (bits & mask);
  return saved;
}

void Config::restore_local(Saved saved) {
  std::lock_guard lock(mutex_);
  const auto it = overlays_.find(thread_number());
  if (it != overlays_.end()) {
    it->second.mask = saved.mask;
    it->second.bits = saved.bits;
    forget_if_empty();
  }
  if (t_slot.config == id_) {
    t_slot.mask = saved.mask;
    t_slot.bits = saved.bits;
  }
}

}  // namespace catena
