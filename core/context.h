// One context: everything that is not per process. Owns memory, threads, random numbers,
// configuration, files and the devices it uses. Knows no op.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/catena.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/device_memory.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/plan.h"
#include "core/pool.h"
#include "core/random.h"
#include "core/registry.h"
#include "core/tuning.h"
#include "core/waiting_list.h"

struct ctn_context_s {};

namespace catena {

class Context;
struct Storage;

// One device of one backend, with the context's cache of its memory.
struct Device {
  Context* ctx = nullptr;
  const Backend* backend = nullptr;
  int32_t id = 0;     // as the backend knows it
  ctn_device dl{};    // as everybody else does
  int32_t index = 0;  // in Context::devices_
  std::string name;
  bool host_memory = false;
  bool async = false;
  std::unique_ptr<DeviceMemory> memory;

  // Whether the CPU may read and write its memory at any time, without waiting.
  bool direct() const { return host_memory && !async; }
  // Waits for its work; throws the error that was stored meanwhile, once.
  void wait() const;
  // The same where nothing can be thrown: the error is kept for the next to wait. Nothing where
  // this thread's work is captured: what is pending is none of it.
  void settle() const noexcept;
  // Where calls on arrays of this device run under those flags of the configuration: here, or on
  // the device that a backend over this one has for it.
  Device& for_calls(uint64_t flags) {
    Device* u = upper.load(std::memory_order_acquire);
    return u && !(u->backend->off_bit & flags) ? *u : *this;
  }
  std::atomic<Device*> upper{nullptr};  // by Context::raise()

  // The queue of its work as the backend's library knows it, for the calling thread; NULL: none.
  void* native_stream() const;
  // Its later work comes after what the stream of that library has now; and the other way round.
  void follow(void* stream) const;
  void lead(void* stream) const;

  Device() = default;
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

 private:
  friend class Context;
  void sync() const;
  ctn_stream queue() const;  // of the backend; NULL: it has no streams
  template <class Body>
  void with_stream(void* stream, Body&& body) const;
  mutable std::atomic<ctn_stream> queue_{nullptr};
  mutable std::mutex kept_mutex_;
  mutable std::exception_ptr kept_;  // by settle()
};

inline constexpr int kMaxDevices = 64;

// Where arrays of both are computed with: the same device, or that of the backend which stands on
// the other one's and uses its memory; NULL if there is none.
Device* common_device(Device& a, Device& b);

class Context : public ctn_context_s {
 public:
  static Context* create(const ctn_context_options& options);
  // From 0 too: whoever holds an array has its context, and may want to keep it.
  void retain();
  void release();

  // Small host objects: nodes, headers, small arrays. Throws CTN_ENOMEM. The context lives until
  // the last of them is freed.
  void* alloc_object(uint64_t bytes);
  void free_object(void* p, uint64_t bytes) noexcept;
  // Counts memory that somebody else holds for the context: ledger().give() ends it. Throws
  // CTN_ENOMEM.
  void take(uint64_t bytes);
  // Array memory of a device; the same.
  void* alloc_data(Device& device, uint64_t bytes);

  Device& default_device() { return *default_device_; }
  // Loads the backend if needed; throws CTN_ENOTFOUND, CTN_EDEVICE.
  Device& device(std::string_view name);
  Device& device(ctn_device dl);
  // The one that memory of a DLPack device is taken for; throws CTN_EDEVICE, CTN_EUNSUPPORTED.
  Device& device_of_memory(ctn_device dl);
  int32_t device_count(std::string_view backend);

  Config& config() { return config_; }
  // Sets a key of the configuration: globally, or for the calling thread (NULL: removes it).
  void set_config(std::string_view key, const ctn_value& value);
  void set_thread_config(std::string_view key, const ctn_value* value);
  Executor& executor() { return executor_; }
  Ledger& ledger() { return ledger_; }
  const ctn_io& io() const { return io_; }
  const RawSource& host_source() const { return host_; }
  void draw(int32_t kind, void* dst, int64_t n);
  // Where numbers of the default stream begin that are made elsewhere; CTN_EUNSUPPORTED where the
  // context has random numbers of its own.
  PhiloxState take_random(int32_t kind, int64_t n);
  void seed(uint64_t seed);
  void log(int32_t level, std::string_view topic, std::string_view text) const noexcept;
  bool logs(int32_t level) const noexcept { return log_.wants(level); }
  // In a catch block only.
  void log_current_exception(std::string_view who) const noexcept;
  // Foreign code that has no way to report a failure: what it throws goes to the log. False then.
  template <class Body>
  bool shielded(std::string_view who, Body&& body) noexcept {
    try {
      body();
      return true;
    } catch (...) {
      log_current_exception(who);
      return false;
    }
  }
  uint64_t trim();
  void synchronize();
  void count_reorder(uint64_t bytes) noexcept {
    reorders_.fetch_add(1, std::memory_order_relaxed);
    reordered_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  }
  // Everything but stats->size.
  void fill(ctn_memory_stats* stats) const noexcept {
    ledger_.fill(stats);
    stats->reorders = reorders_.load(std::memory_order_relaxed);
    stats->reordered_bytes = reordered_bytes_.load(std::memory_order_relaxed);
  }
  bool use_env() const { return use_env_; }

  // Large live storages, for the text of an out-of-memory error.
  void track(Storage& s);
  void untrack(Storage& s) noexcept;

  PlanCache plans;
  Tuning tuning;
  WaitingList waiting;
  // Of backward passes that write gradients of leaves: what an old one lets go of may run another.
  std::recursive_mutex leaf_mutex;
  // Guards the copies in layouts of all storages, and their making.
  std::mutex layout_mutex;

  // How many threads capture work (capture.h).
  std::atomic<int32_t> captures{0};

  // Function hooks (function_hook.cc).
  struct Hook {
    uint64_t id, thread;
    ctn_function_hook hook;
  };
  std::atomic<int32_t> hook_count{0};
  std::mutex hook_mutex;
  std::vector<Hook> hooks;

 private:
  explicit Context(const ctn_context_options& options);
  ~Context();
  void open_device(const ctn_context_options& options);
  Device& first_device(const ctn_context_options& options);
  void log_plugins() const;
  // NULL if it is not open yet.
  Device* find_open(const Backend& backend, int32_t id);
  Device* find_open(ctn_device dl);
  Device& add_device(const Backend& backend, int32_t id);
  // Calls on devices of this context run on those that backends with this key have over them.
  void raise(std::string_view key);
  // why: what the device's backend says, if it was asked.
  [[noreturn]] void out_of_memory(uint64_t bytes, std::string_view why = {});

  std::atomic<int64_t> handles_{1};
  bool use_env_;
  ctn_allocator allocator_;
  RawSource host_;
  ctn_io io_;
  Log log_;
  Ledger ledger_;
  MemoryPool objects_;
  Executor executor_;
  Config config_;
  std::mutex random_mutex_;
  ctn_random random_;
  Philox philox_;
  std::mutex raise_mutex_;
  std::set<std::string, std::less<>> raised_;  // keys, once each
  std::mutex device_mutex_;
  std::array<std::atomic<Device*>, kMaxDevices> devices_{};
  std::atomic<int32_t> device_count_{0};
  Device* default_device_ = nullptr;
  std::atomic<uint64_t> reorders_{0}, reordered_bytes_{0};
  std::mutex track_mutex_;
  Storage* tracked_ = nullptr;
};

// "12.3 MB", "400 bytes".
std::string megabytes(uint64_t bytes);

inline Context* to_context(ctn_context c) {
  if (!c) fail_argument("context is NULL");
  return static_cast<Context*>(c);
}

}  // namespace catena
