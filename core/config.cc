// Config: see config.h. Each thread keeps a copy of its overrides for the context it used last, so
// that reading flags costs two loads.
#include "core/config.h"

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/missing.h"
#include "core/sys/thread_number.h"
#include "core/value.h"

namespace catena {
namespace {

enum class Kind : uint8_t { kBool, kTernary, kBytes };

// A key: the field of the word that flags() gives, and what a fresh context has there.
struct Key {
  std::string_view name;
  Kind kind;
  uint8_t shift, width;
  uint64_t first;

  constexpr uint64_t mask() const { return ((uint64_t{1} << width) - 1) << shift; }
  constexpr uint64_t field(uint64_t word) const { return (word & mask()) >> shift; }
};
enum : uint64_t { kAuto, kAlways, kNever };
constexpr std::string_view kTernaryTexts[] = {"auto", "always", "never"};  // by number

constexpr Key kKeys[] = {
    {"train", Kind::kBool, 0, 1, true},
    {"enable_backprop", Kind::kBool, 1, 1, true},
    {"type_check", Kind::kBool, 2, 1, true},
    {"debug", Kind::kBool, 3, 1, false},
    {"lazy_grad_sum", Kind::kBool, 4, 1, false},
    {"keep_graph_on_report", Kind::kBool, 5, 1, false},
    {"cudnn_deterministic", Kind::kBool, 6, 1, false},
    {"autotune", Kind::kBool, 7, 1, false},
    {"warn_nondeterministic", Kind::kBool, 8, 1, false},
    {"cudnn_fast_batch_normalization", Kind::kBool, 9, 1, false},
    {"use_cudnn", Kind::kTernary, 16, 2, kAuto},
    {"use_cudnn_tensor_core", Kind::kTernary, 18, 2, kAuto},
    {"use_ideep", Kind::kTernary, 20, 2, kNever},
    {"use_winograd", Kind::kTernary, 22, 2, kAuto},
    {"max_workspace_size", Kind::kBytes, 24, 40, 8 << 20},
};
static_assert(kKeys[0].mask() == kTrain && kKeys[1].mask() == kEnableBackprop &&
              kKeys[2].mask() == kTypeCheck && kKeys[3].mask() == kDebug);

const Key* find_key(std::string_view name) {
  for (const Key& k : kKeys)
    if (k.name == name) return &k;
  return nullptr;
}
const Key& known_key(std::string_view name) {
  if (const Key* key = find_key(name)) return *key;
  fail(CTN_EINTERNAL, "config has no key '" + std::string(name) + "'");
}

bool is_own(std::string_view key) { return key.starts_with("user_"); }

std::optional<uint64_t> ternary_of(std::string_view text) {
  for (uint64_t k = 0; k < std::size(kTernaryTexts); ++k)
    if (text == kTernaryTexts[k]) return k;
  return std::nullopt;
}

constexpr const char* kTernaryChoice = "'always', 'auto' or 'never'";
constexpr const char* kByteRange = "a number of bytes from 0 to 2^40 - 1";

// The field's number; nothing if the key does not take such a value.
std::optional<uint64_t> field_of(const Key& key, const ctn_value& v) {
  switch (key.kind) {
    case Kind::kBool:
      if (v.kind != CTN_BOOL) return std::nullopt;
      return v.u.i != 0;
    case Kind::kTernary:
      if (v.kind != CTN_STR) return std::nullopt;
      return ternary_of({v.u.s, v.n});
    default:
      if (v.kind != CTN_INT || v.u.i < 0 || v.u.i >> key.width) return std::nullopt;
      return static_cast<uint64_t>(v.u.i);
  }
}

void put_field(const Key& key, uint64_t word, ctn_value* out) {
  const uint64_t field = key.field(word);
  if (key.kind == Kind::kTernary) {
    out->kind = CTN_STR;
    out->u.s = kTernaryTexts[field].data();
    out->n = static_cast<uint32_t>(kTernaryTexts[field].size());
    return;
  }
  out->kind = key.kind == Kind::kBool ? CTN_BOOL : CTN_INT;
  out->u.i = static_cast<int64_t>(field);
}

void check_key(std::string_view key) {
  if (find_key(key) || is_own(key)) return;
  std::vector<std::string_view> known;
  for (const Key& k : kKeys) known.push_back(k.name);
  fail(CTN_EINVAL, "config has no key " + quoted(key) + did_you_mean(key, known) +
                       " (own keys start with user_)");
}

void check_value(std::string_view name, const ctn_value& v) {
  check_key(name);
  const std::string text(name);
  if (const std::string fault = value_fault(v); !fault.empty())
    fail(CTN_EINVAL, "config '" + text + "' is " + fault);
  const char* takes = nullptr;
  if (const Key* key = find_key(name)) {
    if (!field_of(*key, v))
      takes = key->kind == Kind::kBool      ? "a bool"
              : key->kind == Kind::kTernary ? kTernaryChoice
                                            : kByteRange;
  } else if (v.kind != CTN_BOOL && v.kind != CTN_INT && v.kind != CTN_STR) {
    takes = "a bool, an int or a string";
  }
  if (takes) fail(CTN_EINVAL, "config '" + text + "' takes " + takes + ", not " + value_text(v));
}

// ---- environment

bool env_true(const char* name) {
  const char* v = secure_getenv(name);
  return v && std::strcmp(v, "0") != 0 && *v;
}

// Nothing unless the variable is set.
std::optional<uint64_t> env_ternary(const char* variable) {
  const char* text = secure_getenv(variable);
  if (!text) return std::nullopt;
  const std::optional<uint64_t> value = ternary_of(text);
  if (!value) fail(CTN_EINVAL, std::string(variable) + "='" + text + "' is not " + kTernaryChoice);
  return value;
}

std::optional<uint64_t> env_bytes(const char* variable) {
  const char* text = secure_getenv(variable);
  if (!text) return std::nullopt;
  const std::string_view all(text);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(all.begin(), all.end(), value);
  if (error != std::errc() || end != all.end() || value >> 40)
    fail(CTN_EINVAL, std::string(variable) + "='" + text + "' is not " + kByteRange);
  return value;
}

uint64_t next_config() {
  static std::atomic<uint64_t> counter{0};
  return counter.fetch_add(1, std::memory_order_relaxed) + 1;
}

// The calling thread's overrides for one Config.
struct ThreadSlot {
  uint64_t config;
  uint64_t mask, bits;
};
thread_local ThreadSlot t_slot{0, 0, 0};

}  // namespace

uint64_t never_bit(std::string_view name) {
  static_assert((kNever & kAuto) == 0 && (kNever & kAlways) == 0);
  const Key* key = find_key(name);
  return key && key->kind == Kind::kTernary ? kNever << key->shift : 0;
}

Config::Config(bool use_env) : global_(0), id_(next_config()) {
  const auto preset = [&](std::string_view name, uint64_t field) {
    const Key& key = known_key(name);
    set_global(key.mask(), field << key.shift);
    chosen_ |= key.mask();
  };
  for (const Key& key : kKeys) preset(key.name, key.first);
  chosen_ = 0;
  if (!use_env) return;
  if (env_true("CHAINER_DEBUG")) preset("debug", true);
  if (env_true("CATENA_AUTOTUNE")) preset("autotune", true);
  if (env_true("CHAINER_LAZY_GRAD_SUM")) preset("lazy_grad_sum", true);
  if (env_true("CHAINER_KEEP_GRAPH_ON_REPORT")) preset("keep_graph_on_report", true);
  const char* check = secure_getenv("CHAINER_TYPE_CHECK");
  if (check && std::strcmp(check, "0") == 0) preset("type_check", false);
  const char* cudnn = secure_getenv("CHAINER_CUDNN");
  const bool off = cudnn && std::strcmp(cudnn, "0") == 0;  // then the next is not even read
  if (off) preset("use_cudnn", kNever);
  if (const auto use = off ? std::nullopt : env_ternary("CHAINER_USE_CUDNN"))
    preset("use_cudnn", *use);
  if (const auto use = env_ternary("CHAINER_USE_IDEEP")) preset("use_ideep", *use);
  if (const auto use = env_ternary("CATENA_USE_WINOGRAD")) preset("use_winograd", *use);
  if (const auto bytes = env_bytes("CATENA_MAX_WORKSPACE_SIZE"))
    preset("max_workspace_size", *bytes);
}

Config::~Config() = default;

Config::Overlay& Config::overlay() const { return overlays_[thread_number()]; }

uint64_t Config::flags() const {
  if (t_slot.config != id_) {
    std::lock_guard lock(mutex_);
    const auto it = overlays_.find(thread_number());
    t_slot.mask = it == overlays_.end() ? 0 : it->second.mask;
    t_slot.bits = it == overlays_.end() ? 0 : it->second.bits;
    t_slot.config = id_;
  }
  const uint64_t global = global_.load(std::memory_order_relaxed);
  return (global & ~t_slot.mask) | (t_slot.bits & t_slot.mask);
}

void Config::set_global(uint64_t mask, uint64_t bits) {
  uint64_t old = global_.load(std::memory_order_relaxed);
  while (!global_.compare_exchange_weak(old, (old & ~mask) | bits, std::memory_order_relaxed))
    continue;
}

void Config::set_auto(std::string_view name) {
  const Key& key = known_key(name);
  if ((chosen_.load() & key.mask()) == 0) set_global(key.mask(), kAuto << key.shift);
}

std::vector<std::string> Config::chosen() const {
  std::vector<std::string> names;
  for (const Key& key : kKeys)
    if (key.kind == Kind::kTernary && (chosen_.load() & key.mask()) != 0)
      names.emplace_back(key.name);
  return names;
}

void Config::set_global(std::string_view name, const ctn_value& value) {
  check_value(name, value);
  if (const Key* key = find_key(name)) {
    chosen_ |= key->mask();
    return set_global(key->mask(), field_of(*key, value).value() << key->shift);
  }
  std::lock_guard lock(mutex_);
  values_[std::string(name)] = own_value(value);
}

void Config::set_local(std::string_view name, const ctn_value* value) {
  const bool remove = !value || value->kind == CTN_ABSENT;
  if (remove)
    check_key(name);
  else
    check_value(name, *value);
  std::lock_guard lock(mutex_);
  Overlay& o = overlay();
  if (const Key* key = find_key(name)) {
    const uint64_t mask = key->mask();
    o.mask = remove ? o.mask & ~mask : o.mask | mask;
    o.bits &= ~mask;
    if (!remove) o.bits |= field_of(*key, *value).value() << key->shift;
    t_slot = {id_, o.mask, o.bits};
  } else if (!remove) {
    o.values[std::string(name)] = own_value(*value);
  } else if (const auto it = o.values.find(name); it != o.values.end()) {
    o.values.erase(it);
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

void Config::get(std::string_view name, ctn_value* out) const {
  *out = ctn_value{};
  if (const Key* key = find_key(name)) return put_field(*key, flags(), out);
  std::lock_guard lock(mutex_);
  const Value* found = find_local(name);
  if (!found) {
    const auto it = values_.find(name);
    if (it == values_.end()) fail(CTN_ENOTFOUND, "config has no key '" + std::string(name) + "'");
    found = &it->second;
  }
  put(*found, out);
}

void Config::get_local(std::string_view name, ctn_value* out) const {
  *out = ctn_value{};
  if (const Key* key = find_key(name)) {
    flags();  // makes this thread's slot ours
    if (t_slot.mask & key->mask()) put_field(*key, t_slot.bits, out);
    return;
  }
  if (!is_own(name)) fail(CTN_ENOTFOUND, "config has no key '" + std::string(name) + "'");
  std::lock_guard lock(mutex_);
  if (const Value* found = find_local(name)) put(*found, out);
}

const Config::Value* Config::find_local(std::string_view key) const {
  const auto o = overlays_.find(thread_number());
  if (o == overlays_.end()) return nullptr;
  const auto it = o->second.values.find(key);
  return it == o->second.values.end() ? nullptr : &it->second;
}

Config::Value Config::own_value(const ctn_value& v) {
  if (v.kind == CTN_STR) return std::string(v.u.s, v.n);
  if (v.kind == CTN_BOOL) return v.u.i != 0;
  return v.u.i;
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

Config::Saved Config::override_local(uint64_t mask, uint64_t bits) {
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
