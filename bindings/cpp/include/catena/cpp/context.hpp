// Context: memory, threads, random numbers and configuration of everything made in it; and scopes
// of configuration. The context made last on a thread that is still there is its current one.
#pragma once

#include <catena/cpp/error.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace catena::inline cpp {

struct ContextOptions {
  std::string device = "cpu";  // "cpu", "intel64", "cuda:0", "auto"
  int threads = 0;             // 0: CATENA_NUM_THREADS, else what the process may use
  uint64_t memory_limit = 0;   // bytes, 0: none
  uint64_t seed = 0;           // 0: a random one
  // Called for every message up to log_level; must outlive the context.
  std::function<void(int level, std::string_view topic, std::string_view text)>* log = nullptr;
  int log_level = CTN_LOG_WARN;
};

class Context : public detail::Handle<ctn_context, ctn_context_retain, ctn_context_release> {
  using Base = detail::Handle<ctn_context, ctn_context_retain, ctn_context_release>;

 public:
  // A template, which braces do not fit: Context({.device = "cpu", .threads = 2}) means the other.
  template <std::convertible_to<std::string_view> S>
  explicit Context(const S& device)
      : Context(ContextOptions{.device = std::string(std::string_view(device))}) {}
  explicit Context(const ContextOptions& options) : Base(create(options)) { make_current(); }

  // The context made last on this thread, or made current on it, of which an object is still there.
  static ctn_context current() {
    std::vector<Entry>& all = stack();
    while (!all.empty() && all.back().alive.expired()) all.pop_back();
    if (all.empty())
      throw InvalidArgument(CTN_EINVAL, "this thread has no context: make one first");
    return all.back().context;
  }
  // What the thread makes from now on belongs here: for threads other than the one that made it.
  void make_current() const {
    std::erase_if(stack(), [](const Entry& e) { return e.alive.expired(); });
    stack().push_back({alive_, get()});
  }

  std::string backend() const {
    ctn_str name{};
    check(ctn_context_device(get(), nullptr, &name));
    return {name.p, name.n};
  }
  // What the backend says of the device: "avx512", "NVIDIA H100".
  std::string device_name() const {
    ctn_str name{};
    check(ctn_device_name(get(), &name));
    return {name.p, name.n};
  }
  // How many devices a backend has: 0 where a driver or a GPU is missing.
  int device_count(std::string_view name) const {
    int32_t n = 0;
    check(ctn_device_count(get(), detail::str(name), &n));
    return n;
  }
  int threads() const { return ctn_context_threads(get()); }
  ctn_memory_stats memory() const {
    ctn_memory_stats s{};
    s.size = sizeof s;
    check(ctn_memory_get_stats(get(), &s));
    return s;
  }
  // Of one device: "cuda:1".
  ctn_device_stats memory(std::string_view device) const {
    ctn_device d{};
    check(ctn_device_find(get(), detail::str(device), &d));
    ctn_device_stats s{};
    s.size = sizeof s;
    check(ctn_device_get_stats(get(), d, &s));
    return s;
  }
  // What backends found out by timing (configuration key autotune), to and from a file.
  void save_tuning(std::string_view path) const {
    check(ctn_tuning_save(get(), detail::str(path)));
  }
  void load_tuning(std::string_view path) { check(ctn_tuning_load(get(), detail::str(path))); }
  void trim() { check(ctn_memory_trim(get())); }
  void seed(uint64_t value) { check(ctn_random_seed(get(), value)); }
  void synchronize() { check(ctn_synchronize(get())); }
  // The queue of the context's device as its library knows it (a CUstream), and its order against
  // that of others: later work follows what a stream has now, or a stream's what was handed over.
  void* stream() const {
    void* s = nullptr;
    check(ctn_device_stream(get(), own_device(), &s));
    return s;
  }
  void follow(void* stream) { check(ctn_device_follow(get(), own_device(), stream)); }
  void lead(void* stream) { check(ctn_device_lead(get(), own_device(), stream)); }

 private:
  ctn_device own_device() const {
    ctn_device d{};
    check(ctn_context_device(get(), &d, nullptr));
    return d;
  }
  struct Alive {};  // shared by the copies of a context
  struct Entry {
    std::weak_ptr<const Alive> alive;
    ctn_context context;
  };
  static std::vector<Entry>& stack() {
    static thread_local std::vector<Entry> all;
    return all;
  }
  static ctn_context create(const ContextOptions& o) {
    ctn_context_options c{};
    c.size = sizeof c;
    c.device = detail::str(o.device);
    c.threads = o.threads;
    c.memory_limit = o.memory_limit;
    c.seed = o.seed;
    c.log_level = o.log_level;
    if (o.log) {
      c.log_user = o.log;
      c.log = [](void* user, int32_t level, ctn_str topic, ctn_str text) {
        (*static_cast<decltype(o.log)>(user))(level, {topic.p, topic.n}, {text.p, text.n});
      };
    }
    ctn_context ctx = nullptr;
    check(ctn_context_create(&c, &ctx));
    return ctx;
  }

  std::shared_ptr<const Alive> alive_ = std::make_shared<const Alive>();
};

// A configuration value: train, use_cudnn, user_* ...
using ConfigValue = std::variant<bool, int64_t, std::string>;

namespace detail {

// Borrows the text of v.
inline ctn_value config_value(const ConfigValue& v) {
  ctn_value c{};
  if (const auto* s = std::get_if<std::string>(&v)) {
    c = {CTN_STR, static_cast<uint32_t>(s->size()), {}};
    c.u.s = s->data();
  } else if (const auto* b = std::get_if<bool>(&v)) {
    c.kind = CTN_BOOL;
    c.u.i = *b;
  } else {
    c.kind = CTN_INT;
    c.u.i = std::get<int64_t>(v);
  }
  return c;
}
inline std::optional<ConfigValue> config_value(const ctn_value& c) {
  switch (c.kind) {
    case CTN_BOOL: return ConfigValue(c.u.i != 0);
    case CTN_INT: return ConfigValue(c.u.i);
    case CTN_STR: return ConfigValue(std::string(c.u.s, c.n));
    default: return std::nullopt;
  }
}

}  // namespace detail

// The value in force for this thread.
inline ConfigValue config(std::string_view key, ctn_context ctx = Context::current()) {
  ctn_value c{};
  check(ctn_config_get(ctx, detail::str(key), &c));
  return detail::config_value(c).value();
}

// Sets a configuration key for this thread until the scope ends, as chainer.using_config does.
// Threads that have no value of their own follow the global one again afterwards.
class using_config {
 public:
  using_config(std::string key, const ConfigValue& value, ctn_context ctx = Context::current())
      : ctx_(ctx), key_(std::move(key)) {
    ctn_value own{};
    // An unknown key is refused by the second call, with the status that setting it has.
    if (const ctn_status s = ctn_config_get_local(ctx_, detail::str(key_), &own);
        s != CTN_ENOTFOUND)
      check(s);
    before_ = detail::config_value(own);
    const ctn_value v = detail::config_value(value);
    check(ctn_config_set(ctx_, detail::str(key_), &v));
    ctn_context_retain(ctx_);
  }
  ~using_config() {
    const ctn_value v = before_ ? detail::config_value(*before_) : ctn_value{};
    // A value that was there before is accepted again.
    static_cast<void>(ctn_config_set(ctx_, detail::str(key_), &v));
    ctn_context_release(ctx_);
  }
  using_config(const using_config&) = delete;
  using_config& operator=(const using_config&) = delete;

 private:
  ctn_context ctx_;
  std::string key_;
  std::optional<ConfigValue> before_;
};

struct no_backprop_mode : using_config {
  explicit no_backprop_mode(ctn_context ctx = Context::current())
      : using_config("enable_backprop", false, ctx) {}
};
struct force_backprop_mode : using_config {
  explicit force_backprop_mode(ctn_context ctx = Context::current())
      : using_config("enable_backprop", true, ctx) {}
};

}  // namespace catena::inline cpp
