// Context: see context.h.
#include "core/context.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>

#include "core/adopt.h"
#include "core/array.h"
#include "core/capture.h"
#include "core/file.h"
#include "core/loader.h"
#include "core/manifest.h"
#include "core/sys/host_memory.h"
#include "core/sys/io_posix.h"

namespace catena {
namespace {

int env_threads() {
  const char* text = secure_getenv("CATENA_NUM_THREADS");
  if (!text || !*text) return 0;
  char* end = nullptr;
  const long n = std::strtol(text, &end, 10);
  if (*end || n < 1 || n > 1024)
    fail(CTN_EINVAL, std::string("CATENA_NUM_THREADS='") + text + "' is not a number of 1 to 1024");
  return static_cast<int>(n);
}

void check_threads(int32_t threads, const char* what) {
  if (threads < 0 || threads > 1024)
    fail(CTN_EINVAL,
         std::string("context: ") + what + " is " + std::to_string(threads) + ", not 0 to 1024");
}

int own_threads(const ctn_context_options& o, bool use_env) {
  check_threads(o.threads, "threads");
  return o.threads ? o.threads : use_env ? env_threads() : 0;
}

ctn_io checked_io(const ctn_io& given) {
  const ctn_io io = adopt(&given, "ctn_io");
  if (!io.open || !io.length || !io.read || !io.write || !io.sync || !io.close || !io.rename ||
      !io.remove || !io.sync_dir)
    fail(CTN_EINVAL, "context: io has members that are NULL");
  return io;
}

ctn_executor checked_executor(const ctn_executor& given) {
  const ctn_executor e = adopt(&given, "ctn_executor");
  if (!e.run) fail(CTN_EINVAL, "context: executor needs run");
  check_threads(e.threads, "executor.threads");
  return e;
}

ctn_random checked_random(const ctn_random& given) {
  const ctn_random r = adopt(&given, "ctn_random");
  if (!r.draw) fail(CTN_EINVAL, "context: random needs draw");
  return r;
}

ctn_allocator checked_allocator(const ctn_context_options& o) {
  if (!o.allocator) return {};
  const ctn_allocator a = adopt(o.allocator, "ctn_allocator");
  if (!a.alloc || !a.free) fail(CTN_EINVAL, "context: allocator needs alloc and free");
  return a;
}

}  // namespace

std::string megabytes(uint64_t bytes) {
  if (bytes < 10000) return std::to_string(bytes) + " bytes";
  constexpr const char* kUnits[] = {" KB", " MB", " GB", " TB", " PB", " EB"};
  size_t unit = 0;
  uint64_t tenth = 100;  // of the unit
  for (; bytes / tenth >= 10000 && unit + 1 < std::size(kUnits); ++unit) tenth *= 1000;
  return std::to_string(bytes / tenth / 10) + "." + std::to_string(bytes / tenth % 10) +
         kUnits[unit];
}

Context* Context::create(const ctn_context_options& options) {
  auto* ctx = new Context(options);
  try {
    ctx->open_device(options);
  } catch (...) {
    ctx->release();
    throw;
  }
  return ctx;
}

Context::Context(const ctn_context_options& o)
    : use_env_(!(o.flags & CTN_CONTEXT_NO_ENV)),
      allocator_(checked_allocator(o)),
      host_(host_memory(allocator_)),
      io_(o.io ? checked_io(*o.io) : posix_io()),
      log_(o, use_env_),
      ledger_(o.memory_limit),
      objects_(ledger_, host_),
      executor_(o.executor ? Executor(checked_executor(*o.executor))
                           : Executor(own_threads(o, use_env_))),
      config_(use_env_),
      random_(o.random ? checked_random(*o.random) : ctn_random{}),
      philox_(o.seed ? o.seed : std::random_device{}()) {}

// Errors that nobody waited for do not reach the next context on their device.
Context::~Context() {
  plans.clear();  // they stand in the ledger
  for (int32_t i = 0; i < device_count_.load(); ++i) {
    const Device& d = *devices_[static_cast<size_t>(i)].load();
    shielded("device " + d.name + " of a context that is gone", [&] { d.wait(); });
  }
  for (int32_t i = 0; i < device_count_.load(); ++i) delete devices_[static_cast<size_t>(i)].load();
}

void Context::retain() {
  if (handles_.fetch_add(1, std::memory_order_relaxed) == 0) objects_.open();
}

void Context::release() {
  if (handles_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (objects_.close()) delete this;
}

void* Context::alloc_object(uint64_t bytes) {
  if (void* p = objects_.get(bytes)) [[likely]]
    return p;
  trim();
  if (void* p = objects_.get(bytes)) return p;
  out_of_memory(bytes);
}

void Context::take(uint64_t bytes) {
  if (bytes == 0 || ledger_.take(bytes)) return;
  trim();
  if (!ledger_.take(bytes)) out_of_memory(bytes);
}

void Context::free_object(void* p, uint64_t bytes) noexcept {
  if (objects_.put(p, bytes)) [[unlikely]]
    delete this;  // closed, and this was the last object
}

uint64_t Context::trim() {
  plans.clear();
  uint64_t bytes = objects_.trim();
  for (int32_t i = 0; i < device_count_.load(std::memory_order_acquire); ++i)
    bytes += devices_[static_cast<size_t>(i)].load()->memory->trim();
  return bytes;
}

void Context::out_of_memory(uint64_t bytes, std::string_view why) {
  const std::string reason(why);  // of the thread's last error, which may change
  ctn_memory_stats stats{};
  ledger_.fill(&stats);
  const uint64_t taken = MemoryPool::taken_for(bytes);
  std::string text =
      "out of memory: " + megabytes(bytes) + " asked for" +
      (megabytes(taken) != megabytes(bytes) ? " (taken in blocks of " + megabytes(taken) + ")"
                                            : std::string()) +
      ", " + megabytes(stats.used) + " in use, " + megabytes(stats.cached) + " cached";
  text += stats.limit ? ", limit " + megabytes(stats.limit) : ", no limit set";
  // The largest holders by who asked for them.
  std::vector<std::pair<uint64_t, const char*>> holders;
  {
    std::lock_guard lock(track_mutex_);
    for (const Storage* s = tracked_; s; s = s->next) {
      const char* owner = s->owner ? s->owner : "array";
      const auto it = std::find_if(holders.begin(), holders.end(), [&](const auto& h) {
        return std::strcmp(h.second, owner) == 0;
      });
      if (it != holders.end())
        it->first += s->bytes;
      else
        holders.emplace_back(s->bytes, owner);
    }
  }
  std::sort(holders.begin(), holders.end(), std::greater<>());
  if (holders.size() > 5) holders.resize(5);
  for (size_t i = 0; i < holders.size(); ++i)
    text += (i ? ", " : "; largest holders: ") + std::string(holders[i].second) + " " +
            megabytes(holders[i].first);
  if (!reason.empty()) text += "; " + reason;
  fail(CTN_ENOMEM, std::move(text));
}

void Context::track(Storage& s) {
  std::lock_guard lock(track_mutex_);
  s.next = tracked_;
  if (tracked_) tracked_->prev = &s;
  tracked_ = &s;
  s.tracked = true;
}

void Context::untrack(Storage& s) noexcept {
  std::lock_guard lock(track_mutex_);
  (s.prev ? s.prev->next : tracked_) = s.next;
  if (s.next) s.next->prev = s.prev;
  s.tracked = false;
}

void Context::open_device(const ctn_context_options& o) {
  for (const std::string& failure : load_default_plugins(use_env_))
    log(CTN_LOG_WARN, "loader", failure);
  try {
    default_device_ = &first_device(o);
  } catch (...) {
    log_plugins();
    throw;
  }
  log_plugins();
  const Backend& own = *default_device_->backend;
  if (own.off_bit) config_.set_auto(view(own.def.config_key));
  for (const std::string& key : config_.chosen())
    if (!(config_.flags() & never_bit(key))) raise(key);
}

void Context::set_config(std::string_view key, const ctn_value& value) {
  config_.set_global(key, value);
  if (never_bit(key) && std::string_view(value.u.s, value.n) != "never") raise(key);
}

void Context::set_thread_config(std::string_view key, const ctn_value* value) {
  config_.set_local(key, value);
  const bool given = value && value->kind == CTN_STR;
  if (never_bit(key) && given && std::string_view(value->u.s, value->n) != "never") raise(key);
}

// Where a backend cannot be had, calls stay where they are, as Chainer has it.
void Context::raise(std::string_view key) {
  const std::lock_guard lock(raise_mutex_);
  if (!raised_.emplace(key).second) return;
  const std::string name(key);
  for (const std::string& failure : load_providers("config:" + name, use_env_))
    log(CTN_LOG_WARN, "loader", name + ": " + failure);
  for (int32_t i = 0; i < Registry::get().backend_count(); ++i) {
    const Backend& b = *Registry::get().backend(i);
    if (view(b.def.config_key) != key) continue;
    for (int32_t k = 0; k < device_count_.load(std::memory_order_acquire); ++k) {
      Device& d = *devices_[static_cast<size_t>(k)].load();
      if (d.backend != b.parent) continue;
      try {
        d.upper.store(&device(b.name + ":" + std::to_string(d.id)), std::memory_order_release);
      } catch (const Error& e) {
        log(CTN_LOG_WARN, "loader", name + ": " + e.what());
      }
    }
  }
}

// What became of every plugin that was found, for whoever asks why one is not there.
void Context::log_plugins() const {
  if (!log_.wants(CTN_LOG_DEBUG, "loader")) return;
  const std::string report = plugin_report();
  for (const std::string_view line : split(report, '\n')) log(CTN_LOG_DEBUG, "loader", line);
}

Device& Context::first_device(const ctn_context_options& o) {
  constexpr const char* kUsual = "cpu";
  const std::string_view name = o.device.n ? view(o.device) : kUsual;
  if (name != "auto") return device(name);
  std::vector<std::string> candidates = backend_preference(use_env_);
  if (candidates.empty()) candidates.emplace_back(kUsual);  // to say where plugins were looked for
  std::string reasons;
  for (const std::string& candidate : candidates) {
    try {
      Device& found = device(candidate);
      if (!reasons.empty())
        log(CTN_LOG_WARN, "loader", "auto: using " + candidate + "; " + reasons);
      return found;
    } catch (const Error& e) {
      reasons += (reasons.empty() ? "" : "; ") + candidate + ": " + e.what();
    }
  }
  fail(CTN_ENOTFOUND, "auto: no backend can be used; " + reasons);
}

void Context::draw(int32_t kind, void* dst, int64_t n) {
  if (n < 0) fail(CTN_EINVAL, "random: n is " + std::to_string(n));
  if (kind < CTN_RANDOM_UNIFORM || kind > CTN_RANDOM_GUMBEL)
    fail(CTN_EINVAL, "there is no kind " + std::to_string(kind) + " of random numbers");
  if (const Capture* c = capture_in(*this)) c->refuse("random numbers");
  std::lock_guard lock(random_mutex_);
  if (random_.size)
    checked_call("random", [&] { return random_.draw(random_.user, kind, dst, n); });
  else
    philox_.draw(kind, dst, n);
}

PhiloxState Context::take_random(int32_t kind, int64_t n) {
  if (random_.size) fail(CTN_EUNSUPPORTED, "the context draws its random numbers itself");
  std::lock_guard lock(random_mutex_);
  return philox_.take(kind, n);
}

void Context::seed(uint64_t seed) {
  std::lock_guard lock(random_mutex_);
  philox_.seed(seed);
}

void Context::log(int32_t level, std::string_view topic, std::string_view text) const noexcept {
  if (logs(level)) catena::shielded([&] { log_.write(level, topic, text); });
}

void Context::log_current_exception(std::string_view who) const noexcept {
  if (!logs(CTN_LOG_ERROR)) return;
  struct Where {
    const Context* ctx;
    std::string_view who;
  } where{this, who};
  tell_current_exception(
      [](void* user, ctn_status, std::string_view text) {
        const Where& w = *static_cast<const Where*>(user);
        catena::shielded([&] {
          w.ctx->log(CTN_LOG_ERROR, "callback",
                     std::string(w.who) + " threw: " + std::string(text));
        });
      },
      &where);
}

}  // namespace catena
