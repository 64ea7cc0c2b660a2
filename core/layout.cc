// Layouts: see layout.h. All copies are made, found and compared under Context::layout_mutex; their
// memory stays where it is until the storage goes, so that a kernel may read one meanwhile.
#include "core/layout.h"

#include <algorithm>

#include "core/capture.h"
#include "core/launch.h"
#include "core/waiting.h"

namespace catena {

struct Packed {
  Packed* next;
  uint64_t layout;
  uint64_t bytes;
  std::byte* data;
  uint64_t block_bytes;  // of this header
  uint32_t version;      // of the storage, when it was written
  bool valid;            // it has been written
  uint8_t dtype;
  int32_t ndim;
  int64_t dims[1];  // shape, then strides of C order
};

namespace {

const Backend& layouts_of(const Device& device) {
  const Backend* owner = device.backend->layout_owner;
  if (!owner) fail(CTN_EINTERNAL, "backend '" + device.backend->name + "' has no layouts");
  return *owner;
}

// Copies in layouts of its device may be kept.
bool is_ours(const Storage& s) { return s.device->backend->layout_owner && is_private(s); }

// What a layout means depends on the shape, and views of one storage may have several.
bool fits(const Packed& p, const auto& a) {  // an array, or another copy
  return p.dtype == a.dtype && p.ndim == a.ndim && std::equal(p.dims, p.dims + p.ndim, a.dims);
}

Packed* find(const Array& a, uint64_t layout) {
  Packed* p = a.storage->packed;
  while (p && !(p->layout == layout && fits(*p, a))) p = p->next;
  return p;
}

bool is_fresh(const Storage& s, const Packed& p) {
  return p.valid && p.version == s.version.load(std::memory_order_relaxed);
}

Packed& fresh(const Storage& s) {
  Packed* p = s.packed;
  while (p && !is_fresh(s, *p)) p = p->next;
  if (!p) fail(CTN_EINTERNAL, "array: neither its plain data nor a layout is up to date");
  return *p;
}

ctn_tensor tensor(const Storage& s, const Packed& like, std::byte* data, uint64_t layout) {
  ctn_tensor t{};
  auto* dims = const_cast<int64_t*>(like.dims);
  t.t = {data, s.device->dl, like.ndim, dtype_of(like.dtype), dims, dims + like.ndim, 0};
  t.layout = layout;
  return t;
}

void reorder(Exec& exec, const ctn_tensor& from, const ctn_tensor& to) {
  const Backend& b = layouts_of(exec.device);
  check_op(b.def.reorder(b.def.self, &exec, &from, &to), exec.label);
  const std::span<const int64_t> shape(from.t.shape, static_cast<size_t>(from.t.ndim));
  const int item = from.t.dtype.bits / 8;
  exec.ctx.count_reorder(static_cast<uint64_t>(element_count(shape, item) * item));
}

void note_read(Storage& s, Packed* form) {
  if (Capture* c = capture_in(*s.ctx)) [[unlikely]]
    c->note_read(s, form);
}

// Brings the plain data up to date.
void unpack_storage(Storage& s, Exec& exec) {
  Packed& p = fresh(s);
  note_read(s, &p);
  if (!s.data && s.bytes) s.data = static_cast<std::byte*>(s.ctx->alloc_data(*s.device, s.bytes));
  reorder(exec, tensor(s, p, p.data, p.layout), tensor(s, p, s.data, 0));
  s.stale.store(false, std::memory_order_release);
}

// The newest data there is, in the shape of `like`: plain, or in a layout.
ctn_tensor newest(Storage& s, const Packed& like, Exec& exec) {
  if (s.stale.load(std::memory_order_relaxed)) {
    Packed& p = fresh(s);
    if (fits(p, like)) {
      note_read(s, &p);
      return tensor(s, p, p.data, p.layout);
    }
    unpack_storage(s, exec);
  }
  note_read(s, nullptr);
  return tensor(s, like, s.data, 0);
}

void bring_up_to_date(Storage& s, Packed& p, Exec& exec) {
  p.valid = false;
  reorder(exec, newest(s, p, exec), tensor(s, p, p.data, p.layout));
  p.version = s.version.load(std::memory_order_relaxed);
  p.valid = true;
}

Packed* make_packed(Array& a, uint64_t layout) {
  Storage& s = *a.storage;
  const Backend& b = layouts_of(*s.device);
  ctn_dltensor t{};
  a.describe(t);
  uint64_t bytes = 0;
  check_status(b.def.layout_bytes(b.def.self, &t, layout, &bytes), "layout");
  const uint64_t block = sizeof(Packed) + 2 * static_cast<uint64_t>(a.ndim) * sizeof(int64_t);
  auto* p = static_cast<Packed*>(s.ctx->alloc_object(block));
  try {
    *p = {nullptr, layout, bytes, nullptr, block, 0, false, a.dtype, a.ndim, {}};
    p->data = static_cast<std::byte*>(s.ctx->alloc_data(*s.device, bytes));
  } catch (...) {
    s.ctx->free_object(p, block);
    throw;
  }
  std::copy_n(a.dims, 2 * a.ndim, p->dims);
  p->next = s.packed;
  s.packed = p;
  return p;
}

}  // namespace

Blocks blocks_of(const Device& device, uint64_t layout) {
  const Backend& b = layouts_of(device);
  Blocks blocks;
  if (b.def.layout_blocks)
    check_status(b.def.layout_blocks(b.def.self, layout, &blocks.axis, &blocks.block),
                 "layout_blocks");
  return blocks;
}

void add_packed(Array& a, uint64_t layout) {
  Packed* p = make_packed(a, layout);
  p->valid = true;
  p->version = a.storage->version.load(std::memory_order_relaxed);
}

void drop_packed(Storage& s) noexcept {
  while (Packed* p = s.packed) {
    s.packed = p->next;
    s.device->memory->put(p->data, p->bytes);
    s.ctx->free_object(p, p->block_bytes);
  }
}

void copy_tensor(Exec& exec, const ctn_tensor& from, const ctn_tensor& to, int64_t bytes) {
  if (to.layout) return reorder(exec, from, to);
  const Device& d = exec.device;
  const Backend& b = *d.backend->memory_owner;
  check_status(
      b.def.copy(b.def.self, d.id, to.t.data, d.id, from.t.data, static_cast<uint64_t>(bytes)),
      "copy");
}

std::byte* packed_data(Array& a, uint64_t layout, Exec& exec) {
  Storage& s = *a.storage;
  settle(s);
  if (!is_whole(a) || !is_ours(s)) {
    const Backend& b = layouts_of(exec.device);
    ctn_tensor from{}, to{};
    a.fill_tensor(from.t);
    to = from;
    to.layout = layout;
    uint64_t bytes = 0;
    check_status(b.def.layout_bytes(b.def.self, &from.t, layout, &bytes), "layout");
    to.t.data = exec.scratch(bytes);
    reorder(exec, from, to);
    return static_cast<std::byte*>(to.t.data);
  }
  std::lock_guard lock(s.ctx->layout_mutex);
  Packed* p = find(a, layout);
  if (!p) p = make_packed(a, layout);
  if (is_fresh(s, *p))
    note_read(s, p);
  else
    bring_up_to_date(s, *p, exec);
  return p->data;
}

std::byte* packed_room(Array& a, uint64_t layout) {
  Storage& s = *a.storage;
  settle(s);
  std::lock_guard lock(s.ctx->layout_mutex);
  Packed* p = find(a, layout);
  if (!p) p = make_packed(a, layout);
  return p->data;
}

namespace {

// With the lock held; NULL: the plain data was written.
void set_newest(Storage& s, Packed* p) {
  const uint32_t version = s.version.fetch_add(1, std::memory_order_relaxed) + 1;
  if (p) {
    p->version = version;
    p->valid = true;
  }
  s.stale.store(p != nullptr, std::memory_order_release);
}

}  // namespace

void written_packed(Array& a, uint64_t layout) {
  std::lock_guard lock(a.ctx().layout_mutex);
  set_newest(*a.storage, find(a, layout));
}

Forms forms_of(const Storage& s) {
  Forms f{s.version.load(std::memory_order_relaxed), s.stale.load(std::memory_order_relaxed), {}};
  for (Packed* p = s.packed; p; p = p->next)
    if (is_fresh(s, *p)) f.fresh.push_back(p);
  return f;
}

void put_back(Storage& s, const Forms& forms) noexcept {
  for (Packed* p = s.packed; p; p = p->next) {
    p->valid = forms.has(p);
    p->version = forms.version;
  }
  s.version.store(forms.version, std::memory_order_relaxed);
  s.stale.store(forms.stale, std::memory_order_release);
}

void note_plain_read(Array& a) {
  std::lock_guard lock(a.ctx().layout_mutex);
  note_read(*a.storage, nullptr);
}

Packed* newest_form(Storage& s) {
  std::lock_guard lock(s.ctx->layout_mutex);
  return s.stale.load(std::memory_order_relaxed) ? &fresh(s) : nullptr;
}

void refresh(Storage& s, Packed* form) {
  std::lock_guard lock(s.ctx->layout_mutex);
  Exec exec(*s.ctx, *s.device, "reorder");
  if (!form && s.stale.load(std::memory_order_relaxed)) unpack_storage(s, exec);
  if (form && !(is_fresh(s, *form) && is_private(s))) bring_up_to_date(s, *form, exec);
}

void written_in(Storage& s, Packed* form) {
  std::lock_guard lock(s.ctx->layout_mutex);
  set_newest(s, form);
}

void Array::unpack() const {
  Storage& s = *storage;
  settle(s);
  std::lock_guard lock(s.ctx->layout_mutex);
  if (!s.stale.load(std::memory_order_relaxed)) return;
  Exec exec(*s.ctx, *s.device, "reorder");
  unpack_storage(s, exec);
}

uint64_t find_only_layout(const Array& a) {
  Storage& s = *a.storage;
  settle(s);
  if (!is_whole(a)) return 0;
  std::lock_guard lock(s.ctx->layout_mutex);
  if (!s.stale.load(std::memory_order_relaxed)) return 0;
  const Packed& p = fresh(s);
  return fits(p, a) ? p.layout : 0;
}

uint64_t find_shared_layout(std::span<Array* const> args) {
  const Array* in_layout = nullptr;
  for (const Array* a : args) {
    if (a->dtype != args[0]->dtype || !std::ranges::equal(a->shape(), args[0]->shape())) return 0;
    if (!is_whole(*a) || !is_ours(*a->storage)) return 0;
    settle(*a->storage);
    if (a->storage->stale.load(std::memory_order_acquire)) in_layout = a;
  }
  if (!in_layout) return 0;
  const Storage& s = *in_layout->storage;
  std::lock_guard lock(s.ctx->layout_mutex);
  if (!s.stale.load(std::memory_order_relaxed)) return 0;
  const Packed& p = fresh(s);
  return p.bytes == s.bytes && fits(p, *in_layout) ? p.layout : 0;
}

}  // namespace catena
