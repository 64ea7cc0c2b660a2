// Derived data: see derived.h. The list of a storage is guarded by Context::layout_mutex.
#include "core/derived.h"

#include "core/layout.h"

namespace catena {
namespace {

// Takes what fits out of a storage's list. With the lock held; to be released without it.
template <class Fits>
Derived* cut_out(Storage& s, Fits fits) noexcept {
  Derived* cut = nullptr;
  for (Derived** at = &s.derived; *at;) {
    Derived* d = *at;
    if (!fits(*d)) {
      at = &d->next;
      continue;
    }
    *at = d->next;
    d->next = cut;
    cut = d;
  }
  return cut;
}

void release_all(Derived* list) noexcept {
  while (list) std::exchange(list, list->next)->release();
}

constexpr size_t kMost = 8;  // of one array

// Views of the storage in other shapes are other inputs to a kernel: only its own array has pieces.
bool has_pieces(const Array& a) { return a.inside_storage && is_private(*a.storage); }

uint32_t version_of(const Storage& s) { return s.version.load(std::memory_order_relaxed); }

}  // namespace

void Derived::release() noexcept {
  if (!drop_one(refs)) return;
  Context& ctx = *device->ctx;
  device->memory->put(data, bytes);
  ctx.free_object(this, sizeof *this);
}

Ref<Derived> find_derived(Array& a, uint64_t key) {
  if (!has_pieces(a)) return nullptr;
  Storage& s = *a.storage;
  std::lock_guard lock(s.ctx->layout_mutex);
  for (Derived* d = s.derived; d; d = d->next)
    if (d->key == key && d->version == version_of(s)) return Ref<Derived>::share(d);
  return nullptr;
}

Ref<Derived> make_derived(Array& a, uint64_t key, uint64_t bytes) {
  Device& device = a.device();
  auto* d = new (device.ctx->alloc_object(sizeof(Derived))) Derived;
  try {
    d->data = static_cast<std::byte*>(device.ctx->alloc_data(device, bytes ? bytes : 1));
  } catch (...) {
    device.ctx->free_object(d, sizeof *d);
    throw;
  }
  d->device = &device;
  d->key = key;
  d->bytes = bytes ? bytes : 1;
  d->version = version_of(*a.storage);
  return Ref<Derived>::take(d);
}

void keep_derived(Array& a, Derived& d) noexcept {
  if (!has_pieces(a)) return;
  Storage& s = *a.storage;
  Derived *old = nullptr, *old_keys = nullptr;
  {
    std::lock_guard lock(s.ctx->layout_mutex);
    const uint32_t now = version_of(s);
    if (d.version != now) return;
    old = cut_out(s, [&](const Derived& o) { return o.key == d.key || o.version != now; });
    d.retain();
    d.next = s.derived;
    s.derived = &d;
    Derived* last = &d;
    for (size_t n = 1; n < kMost && last->next; ++n) last = last->next;
    old_keys = std::exchange(last->next, nullptr);
  }
  release_all(old);
  release_all(old_keys);
}

void drop_derived(Storage& s) noexcept { release_all(std::exchange(s.derived, nullptr)); }

}  // namespace catena
