// Context: memory, threads, random numbers and configuration of everything made in it; and scopes
// of configuration. The context made last on a thread is its current one.
#pragma once

#include <catena/cpp/error.hpp>

#include <cstdint>
#include <functional>
#include <string>

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
  explicit Context(const std::string& device) : Context(ContextOptions{.device = device}) {}
  explicit Context(const ContextOptions& options) : Base(create(options)) { slot() = get(); }
  ~Context() {
    if (slot() == get()) slot() = nullptr;
  }
  Context(const Context&) = default;
  Context& operator=(const Context&) = default;

  // The context made last on this thread that is still there.
  static ctn_context current() {
    if (!slot()) throw InvalidArgument(CTN_EINVAL, "this thread has no context: make one first");
    return slot();
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
  int threads() const { return ctn_context_threads(get()); }
  ctn_memory_stats memory() const {
    ctn_memory_stats s{};
    s.size = sizeof s;
    check(ctn_memory_get_stats(get(), &s));
    return s;
  }
  void trim() { check(ctn_memory_trim(get())); }
  void seed(uint64_t value) { check(ctn_random_seed(get(), value)); }
  void synchronize() { check(ctn_synchronize(get())); }

 private:
  static ctn_context& slot() {
    static thread_local ctn_context current = nullptr;
    return current;
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
};

// Sets a configuration key for this thread until the scope ends, as chainer.using_config does.
class using_config {
 public:
  using_config(std::string key, bool value, ctn_context ctx = Context::current())
      : ctx_(ctx), key_(std::move(key)) {
    check(ctn_config_get(ctx_, detail::str(key_), &before_));
    ctn_value v{};
    v.kind = CTN_BOOL;
    v.u.i = value;
    check(ctn_config_set(ctx_, detail::str(key_), &v));
    ctn_context_retain(ctx_);
  }
  ~using_config() {
    // Restoring a value that was in force cannot fail.
    if (ctn_config_set(ctx_, detail::str(key_), &before_) == CTN_OK) ctn_context_release(ctx_);
  }
  using_config(const using_config&) = delete;
  using_config& operator=(const using_config&) = delete;

 private:
  ctn_context ctx_;
  std::string key_;
  ctn_value before_{};
};

struct no_backprop_mode : using_config {
  no_backprop_mode() : using_config("enable_backprop", false) {}
};
struct force_backprop_mode : using_config {
  force_backprop_mode() : using_config("enable_backprop", true) {}
};

}  // namespace catena::inline cpp
