// Chainer's configuration: global values of a context and overrides of one thread. Its keys are
// fields of one word, so that the call path reads all of them at once and plans are kept by it.
// Source: Chainer 4.3.1, "Configuring Chainer".
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace catena {

// The fields that the core itself reads; config.cc has all of them.
enum ConfigFlag : uint64_t {
  kTrain = 1u << 0,
  kEnableBackprop = 1u << 1,
  kTypeCheck = 1u << 2,
  kDebug = 1u << 3,
};

// The bit of flags() that says "never" of a key that takes it; 0 for other keys.
uint64_t never_bit(std::string_view key);

class Config {
 public:
  explicit Config(bool use_env);
  ~Config();
  Config(const Config&) = delete;
  Config& operator=(const Config&) = delete;

  // The calling thread's keys.
  uint64_t flags() const;
  void set_global(std::string_view key, const ctn_value& value);
  void set_local(std::string_view key, const ctn_value* value);  // NULL or absent: remove
  // "auto" as the global value of a key that takes it, unless the environment or the program chose
  // one.
  void set_auto(std::string_view key);
  // Keys that take "never" and whose global value was chosen.
  std::vector<std::string> chosen() const;
  void get(std::string_view key, ctn_value* out) const;
  void get_local(std::string_view key, ctn_value* out) const;  // absent where there is none

  // Sets or clears flags for the calling thread; returns what restore_local() needs.
  struct Saved {
    uint64_t mask, bits;
  };
  Saved override_local(uint64_t mask, uint64_t bits);
  void restore_local(Saved saved);
  size_t overriding_threads() const;

 private:
  using Value = std::variant<bool, int64_t, std::string>;
  struct Overlay {
    uint64_t mask = 0, bits = 0;
    std::map<std::string, Value, std::less<>> values;  // of a program's own keys
  };
  Overlay& overlay() const;
  const Value* find_local(std::string_view key) const;  // under the lock
  static Value own_value(const ctn_value& v);
  static void put(const Value& value, ctn_value* out);
  void forget_if_empty();

  void set_global(uint64_t mask, uint64_t bits);

  std::atomic<uint64_t> global_;
  std::atomic<uint64_t> chosen_{0};  // fields of it that are no defaults
  const uint64_t id_;
  mutable std::mutex mutex_;
  std::map<std::string, Value, std::less<>> values_;  // of a program's own keys
  mutable std::map<uint64_t, Overlay> overlays_;      // by thread number
};

// Overrides flags in a scope, as `with chainer.using_config` does.
class ConfigScope {
 public:
  ConfigScope(Config& config, uint64_t mask, uint64_t bits)
      : config_(config), saved_(config.override_local(mask, bits)) {}
  ~ConfigScope() { config_.restore_local(saved_); }
  ConfigScope(const ConfigScope&) = delete;
  ConfigScope& operator=(const ConfigScope&) = delete;

 private:
  Config& config_;
  Config::Saved saved_;
};

}  // namespace catena
