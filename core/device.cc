// The devices of a context: opening them, their memory, waiting for their work. Knows no backend.
#include <charconv>

#include "core/array.h"
#include "core/capture.h"
#include "core/context.h"
#include "core/file.h"
#include "core/loader.h"

namespace catena {
namespace {

// Why a backend last gave this thread no memory, where that was not for lack of it. The text is the
// thread's last error in either case.
constinit thread_local ctn_status t_refusal = CTN_OK;

void* device_source_alloc(void* user, uint64_t bytes, uint64_t align) noexcept {
  const auto& d = *static_cast<const Device*>(user);
  const Backend& b = *d.backend->memory_owner;
  void* p = nullptr;
  ctn_status s = CTN_OK;
  forget_text();
  try {
    s = b.def.alloc(b.def.self, d.ctx, d.id, bytes, align, &p);
  } catch (...) {
    d.ctx->log_current_exception(d.name);
    s = store_current_exception();
  }
  if (s == CTN_OK) return p;
  t_refusal = s == CTN_ENOMEM ? CTN_OK : s;
  return nullptr;
}
void device_source_free(void* user, void* p, uint64_t bytes, uint64_t align) noexcept {
  const auto& d = *static_cast<const Device*>(user);
  const Backend& b = *d.backend->memory_owner;
  d.ctx->shielded(d.name, [&] { b.def.free(b.def.self, d.ctx, d.id, p, bytes, align); });
}

}  // namespace

void* Context::alloc_data(Device& device, uint64_t bytes) {
  Capture* const capture = capture_on(device);
  DeviceMemory::Pool* const pool = capture ? capture->pool() : nullptr;
  if (capture) [[unlikely]]
    capture->drop_made();
  if (void* p = device.memory->get(bytes, pool)) [[likely]]
    return p;
  trim();
  t_refusal = CTN_OK;
  forget_text();
  if (void* p = device.memory->get(bytes, pool)) return p;
  if (t_refusal != CTN_OK)
    rethrow_status(t_refusal,
                   "backend '" + device.backend->name + "': alloc of " + megabytes(bytes));
  out_of_memory(bytes, fresh_text(CTN_ENOMEM));
}

// ---- opening

namespace {

int32_t count_devices(const Backend& backend, ctn_str& why) {
  const Backend& owner = *backend.device_owner;
  int32_t count = 0;
  checked_call("backend '" + backend.name + "': device_count",
               [&] { return owner.def.device_count(owner.def.self, &count, &why); });
  return count;
}

}  // namespace

int32_t Context::device_count(std::string_view backend) {
  ctn_str why{};
  return count_devices(require_backend(backend, use_env_), why);
}

Device& Context::device(std::string_view name) {
  const size_t colon = name.find(':');
  const std::string_view backend_name = name.substr(0, colon);
  int32_t id = 0;
  if (colon != std::string_view::npos) {
    const std::string_view digits = name.substr(colon + 1);
    const char* const last = digits.data() + digits.size();
    const auto [end, error] = std::from_chars(digits.data(), last, id);
    if (error != std::errc() || end != last || id < 0 || id > 4096)
      fail(CTN_EINVAL, "device " + quoted(name) + ": what follows ':' is not an id of 0 to 4096");
  }
  const Backend& backend = require_backend(backend_name, use_env_);
  if (Device* open = find_open(backend, id)) return *open;
  ctn_str why{};
  const int32_t count = count_devices(backend, why);
  if (id >= count)
    fail(CTN_EDEVICE, "device '" + std::string(name) + "' does not exist: backend '" +
                          backend.name + "' has " + std::to_string(count) +
                          (count == 1 ? " device" : " devices") +
                          (why.n ? " (" + std::string(view(why)) + ")" : ""));
  const std::lock_guard lock(device_mutex_);
  Device* const open = find_open(backend, id);  // by another thread meanwhile
  return open ? *open : add_device(backend, id);
}

Device* Context::find_open(const Backend& backend, int32_t id) {
  for (int32_t i = 0; i < device_count_.load(std::memory_order_acquire); ++i) {
    Device* d = devices_[static_cast<size_t>(i)].load();
    if (d->backend == &backend && d->id == id) return d;
  }
  return nullptr;
}

Device* Context::find_open(ctn_device dl) {
  for (int32_t i = 0; i < device_count_.load(std::memory_order_acquire); ++i) {
    Device* d = devices_[static_cast<size_t>(i)].load();
    if (d->dl.type == dl.type && d->dl.id == dl.id) return d;
  }
  return nullptr;
}

namespace {

// How many backends of its type the process met before this one.
int32_t rank_of(const Backend& backend) {
  int32_t rank = 0;
  for (int32_t i = 0; i < backend.id; ++i)
    rank += Registry::get().backend(i)->def.device_type == backend.def.device_type;
  return rank;
}

}  // namespace

// One that is not open is opened where a device of its backend is, or one with the same memory.
Device& Context::device(ctn_device dl) {
  if (Device* open = find_open(dl)) return *open;
  for (int32_t i = 0; dl.id >= 0 && i < Registry::get().backend_count(); ++i) {
    const Backend& b = *Registry::get().backend(i);
    if (b.def.device_type != dl.type || rank_of(b) != dl.id / CTN_DEV_NEXT) continue;
    for (int32_t k = 0; k < device_count_.load(std::memory_order_acquire); ++k)
      if (devices_[static_cast<size_t>(k)].load()->backend->memory_owner == b.memory_owner)
        return device(b.name + ":" + std::to_string(dl.id % CTN_DEV_NEXT));
  }
  fail(CTN_EDEVICE, "device type " + std::to_string(dl.type) + " id " + std::to_string(dl.id) +
                        " is not open in this context");
}

// DLPack does not tell backends apart: the context's own device comes first, and of others there
// may be one memory only.
Device& Context::device_of_memory(ctn_device dl) {
  if (dl.id >= CTN_DEV_NEXT) return device(dl);  // of a view that we gave
  const auto fits = [&](const Device& d) { return d.dl.type == dl.type && d.id == dl.id; };
  if (fits(*default_device_)) return *default_device_;
  Device* found = nullptr;
  for (int32_t i = 0; i < device_count_.load(std::memory_order_acquire); ++i) {
    Device& d = *devices_[static_cast<size_t>(i)].load();
    if (!fits(d)) continue;
    if (found && found->backend->memory_owner != d.backend->memory_owner)
      fail(CTN_EUNSUPPORTED, "memory of device " + d.name + " cannot be told from that of " +
                                 found->name + ": both are number " + std::to_string(dl.id) +
                                 " of DLPack device type " + std::to_string(dl.type));
    if (!found) found = &d;
  }
  return found ? *found : device(dl);
}

Device* common_device(Device& a, Device& b) {
  if (&a == &b) return &a;
  if (a.id != b.id || a.backend->memory_owner != b.backend->memory_owner) return nullptr;
  const auto stands_on = [](const Backend* upper, const Backend* lower) {
    while (upper && upper != lower) upper = upper->parent;
    return upper != nullptr;
  };
  if (stands_on(a.backend, b.backend)) return &a;
  return stands_on(b.backend, a.backend) ? &b : nullptr;
}

Device& Context::add_device(const Backend& backend, int32_t id) {
  const int32_t n = device_count_.load();
  if (n == kMaxDevices) fail(CTN_EUNSUPPORTED, "context: too many devices");
  auto d = std::make_unique<Device>();
  d->ctx = this;
  d->backend = &backend;
  d->id = id;
  d->dl = {backend.def.device_type, rank_of(backend) * CTN_DEV_NEXT + id};
  d->index = n;
  d->name = backend.name + ":" + std::to_string(id);
  d->host_memory = backend.def.flags & CTN_BACKEND_HOST_MEMORY;
  d->async = backend.def.flags & CTN_BACKEND_ASYNC;
  d->memory = std::make_unique<DeviceMemory>(
      ledger_, RawSource{d.get(), device_source_alloc, device_source_free, d->direct()});
  Device& added = *d;
  devices_[static_cast<size_t>(n)].store(d.release(), std::memory_order_release);
  device_count_.store(n + 1, std::memory_order_release);
  if (log_.wants(CTN_LOG_DEBUG, "loader"))
    log(CTN_LOG_DEBUG, "loader",
        added.name + ": opened, backend '" + backend.name + "' of plugin '" + backend.plugin + "'");
  return added;
}

// ---- waiting

// Waits for all devices, then throws what the first of them had to say.
void Context::synchronize() {
  std::exception_ptr first;
  for (int32_t i = 0; i < device_count_.load(std::memory_order_acquire); ++i) {
    const Device& d = *devices_[static_cast<size_t>(i)].load();
    if (!d.async) continue;
    try {
      d.wait();
    } catch (...) {
      if (!first) first = std::current_exception();
    }
  }
  if (first) std::rethrow_exception(first);
}

void Device::sync() const {
  const Backend& owner = *backend->stream_owner;  // there, since it is asynchronous
  const ctn_backend_def& def = owner.def;
  checked_call(name, [&] {
    return def.sync_context ? def.sync_context(def.self, ctx, id) : def.sync(def.self, id);
  });
}

void Device::wait() const {
  if (!async) return;
  if (const Capture* c = capture_on(*this)) c->refuse("waiting for " + name);
  settle();
  std::exception_ptr first;
  {
    const std::lock_guard lock(kept_mutex_);
    first = std::exchange(kept_, nullptr);
  }
  if (first) std::rethrow_exception(first);
}

void Device::settle() const noexcept {
  if (!async || capture_on(*this)) return;
  try {
    sync();
  } catch (...) {
    const std::lock_guard lock(kept_mutex_);
    if (!kept_) kept_ = std::current_exception();
  }
}

// ---- streams of others

Device::~Device() {
  const ctn_stream s = queue_.load();
  if (!s) return;
  const Backend& b = *backend->stream_owner;
  shielded([&] { b.def.stream_close(b.def.self, s); });
}

ctn_stream Device::queue() const {
  if (ctn_stream known = queue_.load(std::memory_order_acquire)) return known;
  const Backend* b = backend->stream_owner;
  if (!async || !b || !b->def.stream_open) return nullptr;
  ctn_stream made = nullptr, known = nullptr;
  checked_call(name, [&] { return b->def.stream_open(b->def.self, id, nullptr, &made); });
  if (queue_.compare_exchange_strong(known, made, std::memory_order_acq_rel)) return made;
  b->def.stream_close(b->def.self, made);
  return known;
}

void* Device::native_stream() const {
  const ctn_stream s = queue();
  const Backend* b = backend->stream_owner;
  return s && b->def.stream_native ? b->def.stream_native(b->def.self, s) : nullptr;
}

// body(backend, its stream that stands for the given one, that of the device).
template <class Body>
void Device::with_stream(void* stream, Body&& body) const {
  const ctn_stream own = queue();
  if (!own) fail(CTN_EUNSUPPORTED, "device " + name + " has no streams");
  if (const Capture* c = capture_on(*this)) c->refuse("an order of streams");
  const Backend& b = *backend->stream_owner;
  ctn_stream theirs = nullptr;
  checked_call(name, [&] { return b.def.stream_open(b.def.self, id, stream, &theirs); });
  try {
    body(b, theirs, own);
  } catch (...) {
    b.def.stream_close(b.def.self, theirs);
    throw;
  }
  b.def.stream_close(b.def.self, theirs);
}

void Device::follow(void* stream) const {
  with_stream(stream, [&](const Backend& b, ctn_stream theirs, ctn_stream own) {
    uint64_t mark = 0;
    checked_call(name, [&] { return b.def.event_record(b.def.self, theirs, &mark); });
    checked_call(name, [&] { return b.def.event_wait(b.def.self, own, mark); });
  });
}

void Device::lead(void* stream) const {
  with_stream(stream, [&](const Backend& b, ctn_stream theirs, ctn_stream own) {
    uint64_t mark = 0;
    checked_call(name, [&] { return b.def.event_record(b.def.self, own, &mark); });
    checked_call(name, [&] { return b.def.event_wait(b.def.self, theirs, mark); });
  });
}

}  // namespace catena
