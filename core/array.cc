// Array and Storage: see array.h. A fresh small array on host memory is one block: storage header,
// array header, dims and data.
#include "core/array.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "core/capture.h"
#include "core/derived.h"
#include "core/intrinsic.h"
#include "core/layout.h"
#include "core/waiting.h"

namespace catena {
namespace {

constexpr uint64_t kTrackBytes = 1 << 16;  // storages from here are named in out-of-memory errors

uint64_t header_bytes(size_t ndim) {
  return (sizeof(Storage) + sizeof(Array) + 2 * ndim * sizeof(int64_t) + 63) & ~uint64_t{63};
}

// Puts the array header and its dims behind `s` in the same block.
Array* place_array(Storage* s, int dtype, std::span<const int64_t> shape, int64_t size) {
  auto* a = new (reinterpret_cast<std::byte*>(s) + sizeof(Storage)) Array;
  a->dims = reinterpret_cast<int64_t*>(reinterpret_cast<std::byte*>(a) + sizeof(Array));
  a->inside_storage = true;
  a->dtype = static_cast<uint8_t>(dtype);
  a->ndim = static_cast<int32_t>(shape.size());
  a->size = size;
  a->storage = s;
  std::copy_n(shape.data(), shape.size(), a->dims);
  c_strides(shape, a->dims + shape.size());
  return a;
}

Storage* make_storage(Context& ctx, Device& device, uint64_t block) {
  auto* s = new (ctx.alloc_object(block)) Storage;
  s->ctx = &ctx;
  s->device = &device;
  s->block_bytes = block;
  return s;
}

// A storage of its own, perhaps in the memory of what is captured.
void note_made(Storage& s) {
  if (Capture* c = capture_on(*s.device)) [[unlikely]]
    c->note_made(s);
}

void check_ndim(size_t ndim) {
  if (ndim > CTN_MAX_NDIM)
    fail(CTN_EINVAL, "array has " + std::to_string(ndim) + " dimensions, the most is " +
                         std::to_string(CTN_MAX_NDIM));
}

// Strides that show the elements of `a` in C order under another shape of as many; false if none
// do. Axes of `a` that lie behind one another are one run, into which axes of the shape must fit.
bool view_strides(const Array& a, std::span<const int64_t> shape, int64_t* out) {
  size_t to = shape.size();
  int64_t run = 1, step = 1, filled = 1;  // elements of the run, its last stride, elements placed
  const auto fill_run = [&] {
    while (to > 0 && filled < run) {
      out[--to] = step * filled;
      filled *= shape[to];
    }
    return filled == run;
  };
  for (size_t i = static_cast<size_t>(a.ndim); i-- > 0;) {
    if (a.shape()[i] == 1) continue;
    if (a.strides()[i] != run * step) {
      if (!fill_run()) return false;
      run = filled = 1;
      step = a.strides()[i];
    }
    run *= a.shape()[i];
  }
  if (!fill_run()) return false;
  while (to > 0) out[--to] = run * step;  // of size 1
  return true;
}

// Lowest and highest element offset that a view touches.
void view_range(std::span<const int64_t> shape, std::span<const int64_t> strides, int64_t& low,
                int64_t& high) {
  low = high = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t reach = checked_mul(shape[i] - 1, strides[i]);
    (reach < 0 ? low : high) = checked_add(reach < 0 ? low : high, reach);
  }
}

}  // namespace

int checked_dtype(ctn_dtype dtype) {
  const int index = dtype_index(dtype);
  if (index < 0)
    fail_argument("dtype code " + std::to_string(dtype.code) + " with " +
                      std::to_string(dtype.bits) + " bits and " + std::to_string(dtype.lanes) +
                      " lanes is not supported",
                  CTN_EDTYPE);
  return index;
}

int64_t element_count(std::span<const int64_t> shape, int itemsize) {
  int64_t n = 1, bytes = itemsize;
  bool empty = false;
  for (int64_t d : shape) {
    if (d < 0) fail(CTN_EINVAL, "array shape " + shape_text(shape) + " has a negative size");
    if (d == 0) {
      empty = true;
      continue;
    }
    if (__builtin_mul_overflow(n, d, &n) || __builtin_mul_overflow(bytes, d, &bytes))
      fail(CTN_EINVAL, "array shape " + shape_text(shape) + " is too large");
  }
  return empty ? 0 : n;
}

void c_strides(std::span<const int64_t> shape, int64_t* out) {
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    out[i] = step;
    step *= shape[i] > 0 ? shape[i] : 1;
  }
}

bool is_c_order(std::span<const int64_t> shape, std::span<const int64_t> strides) {
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != step) return false;
    step *= shape[i];
  }
  return true;
}

bool broadcast_shapes(std::span<const int64_t> a, std::span<const int64_t> b,
                      std::vector<int64_t>& out) {
  const size_t n = std::max(a.size(), b.size());
  out.assign(n, 1);
  for (size_t i = 0; i < n; ++i) {
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1) return false;
    out[n - 1 - i] = x == 1 ? y : x;
  }
  return true;
}

std::string shape_text(std::span<const int64_t> shape) {
  std::string s = "(";
  for (size_t i = 0; i < shape.size(); ++i) s += (i ? ", " : "") + std::to_string(shape[i]);
  return s + (shape.size() == 1 ? ",)" : ")");
}

std::string array_text(const Array& a) {
  std::string s(dtype_name(a.dtype));
  s += '[';
  for (int i = 0; i < a.ndim; ++i) s += (i ? "," : "") + std::to_string(a.dims[i]);
  return s + ']';
}

Ref<Array> Array::make_packed(Device& device, int dtype, std::span<const int64_t> shape,
                              uint64_t layout, const char* owner) {
  check_ndim(shape.size());
  const int64_t size = element_count(shape, kDtypeBytes[dtype]);
  Storage* s = make_storage(*device.ctx, device, header_bytes(shape.size()));
  s->bytes = static_cast<uint64_t>(size) * kDtypeBytes[dtype];
  s->owner = owner;
  Ref<Array> a = Ref<Array>::take(place_array(s, dtype, shape, size));
  add_packed(*a, layout);
  s->stale.store(true, std::memory_order_relaxed);
  note_made(*s);
  return a;
}

Ref<Array> Array::make_waiting(Device& device, int dtype, std::span<const int64_t> shape,
                               Ref<Waiting> call) {
  const int64_t size = element_count(shape, kDtypeBytes[dtype]);
  Storage* s = make_storage(*device.ctx, device, header_bytes(shape.size()));
  s->bytes = static_cast<uint64_t>(size) * kDtypeBytes[dtype];
  s->stale.store(true, std::memory_order_relaxed);
  s->waiting = call.detach();
  return Ref<Array>::take(place_array(s, dtype, shape, size));
}

// Its data, in whatever form, is that of another storage from now on.
void Storage::take_data(Storage& from) {
  if (from.tracked) ctx->untrack(from);
  std::swap(data, from.data);
  std::swap(packed, from.packed);
  owner = from.owner;
  version.store(from.version.load(std::memory_order_relaxed), std::memory_order_relaxed);
  if (data && bytes >= kTrackBytes) ctx->track(*this);
  stale.store(from.stale.load(std::memory_order_relaxed), std::memory_order_release);
}

Ref<Array> Array::make(Device& device, int dtype, std::span<const int64_t> shape,
                       const char* owner) {
  check_ndim(shape.size());
  const int64_t size = element_count(shape, kDtypeBytes[dtype]);
  const auto bytes = static_cast<uint64_t>(size) * kDtypeBytes[dtype];
  Context& ctx = *device.ctx;
  const bool small = device.direct() && bytes <= kInlineBytes;
  const uint64_t header = header_bytes(shape.size());
  Storage* s = make_storage(ctx, device, header + (small ? bytes : 0));
  s->bytes = bytes;
  s->owner = owner;
  Array* a = place_array(s, dtype, shape, size);
  if (small) {
    s->flags = kStorageInline;
    s->data = reinterpret_cast<std::byte*>(s) + header;
  } else if (bytes) {
    try {
      s->data = static_cast<std::byte*>(ctx.alloc_data(device, bytes));
    } catch (...) {
      ctx.free_object(s, s->block_bytes);
      throw;
    }
    if (bytes >= kTrackBytes) ctx.track(*s);
  }
  Ref<Array> made = Ref<Array>::take(a);
  note_made(*s);
  return made;
}

Ref<Array> Array::make_view(const Array& base, std::span<const int64_t> shape,
                            std::span<const int64_t> strides, int64_t offset) {
  check_ndim(shape.size());
  const int64_t size = element_count(shape, kDtypeBytes[base.dtype]);
  int64_t low = 0, high = 0;
  if (size) {
    view_range(shape, strides, low, high);
    const int64_t start = base.offset / base.itemsize();
    const int64_t room = static_cast<int64_t>(base.storage->bytes) / base.itemsize();
    if (checked_add(checked_add(start, offset), low) < 0 ||
        checked_add(checked_add(start, offset), high) >= room)
      fail(CTN_EINVAL, "view " + shape_text(shape) + " with strides " + shape_text(strides) +
                           " and offset " + std::to_string(offset) + " leaves the memory of " +
                           array_text(base));
  }
  Context& ctx = base.ctx();
  const uint64_t bytes = sizeof(Array) + 2 * shape.size() * sizeof(int64_t);
  auto* a = new (ctx.alloc_object(bytes)) Array;
  a->dims = reinterpret_cast<int64_t*>(reinterpret_cast<std::byte*>(a) + sizeof(Array));
  a->dtype = base.dtype;
  a->ndim = static_cast<int32_t>(shape.size());
  a->size = size;
  std::copy_n(shape.data(), shape.size(), a->dims);
  std::copy_n(strides.data(), shape.size(), a->dims + shape.size());
  a->contiguous = is_c_order(shape, strides);
  a->storage = base.storage;
  a->storage->retain();
  a->offset = size ? base.offset + offset * base.itemsize() : base.offset;
  return Ref<Array>::take(a);
}

Ref<Array> Array::wrap(Device& device, const ctn_dltensor& t, void (*drop)(void*), void* user) {
  const int dtype = checked_dtype(t.dtype);
  if (t.ndim < 0) fail_argument("ndim is " + std::to_string(t.ndim));
  if (t.ndim > 0 && !t.shape) fail_argument("shape is NULL");
  check_ndim(static_cast<size_t>(t.ndim));
  const std::span<const int64_t> shape(t.shape, static_cast<size_t>(t.ndim));
  const int64_t size = element_count(shape, kDtypeBytes[dtype]);
  if (size && !t.data) fail_argument("data is NULL");
  int64_t strides[CTN_MAX_NDIM];
  if (t.strides)
    std::copy_n(t.strides, t.ndim, strides);
  else
    c_strides(shape, strides);
  const std::span<const int64_t> given(strides, shape.size());
  // All that can be refused comes before the storage.
  int64_t low = 0, high = -1;
  if (size) view_range(shape, given, low, high);
  const int64_t item = kDtypeBytes[dtype];
  const int64_t bytes = checked_mul(checked_add(checked_sub(high, low), int64_t{1}), item);
  if (t.byte_offset > INT64_MAX) fail_argument("byte_offset is " + std::to_string(t.byte_offset));
  auto* first = static_cast<std::byte*>(t.data) + (size ? t.byte_offset : 0);
  if (size && reinterpret_cast<uintptr_t>(first) % kDtypeBytes[dtype])
    fail_argument("element 0 is not aligned to " + std::to_string(item) + " bytes");
  Context& ctx = *device.ctx;
  Storage* s = make_storage(ctx, device, header_bytes(shape.size()));
  s->flags = kStorageBorrowed;
  s->bytes = static_cast<uint64_t>(bytes);
  s->data = size ? first + low * item : first;
  s->drop = drop;
  s->drop_user = user;
  Array* a = place_array(s, dtype, shape, size);
  std::copy_n(strides, t.ndim, a->dims + t.ndim);
  a->contiguous = is_c_order(shape, given);
  a->offset = size ? first - s->data : 0;
  return Ref<Array>::take(a);
}

void Storage::release() noexcept {
  if (!drop_one(refs)) return;
  if (waiting) {
    ctx->waiting.remove(*waiting);
    waiting->release();
  }
  if (tracked) ctx->untrack(*this);
  if (!(flags & (kStorageBorrowed | kStorageInline)) && data) device->memory->put(data, bytes);
  drop_packed(*this);
  drop_derived(*this);
  if (drop) device->settle();
  if (drop) ctx->shielded("drop of a wrapped array", [&] { drop(drop_user); });
  ctx->free_object(this, block_bytes);
}

void Array::release() noexcept {
  if (!drop_one(refs)) return;
  Storage* s = storage;
  if (!inside_storage)
    s->ctx->free_object(this, sizeof(Array) + 2 * static_cast<uint64_t>(ndim) * sizeof(int64_t));
  s->release();
}

void Array::fill_tensor(ctn_dltensor& out) const {
  describe(out);
  out.data = data();
}

void Array::describe(ctn_dltensor& out) const {
  out.data = nullptr;
  out.device = storage->device->dl;
  out.ndim = ndim;
  out.dtype = dtype_of(dtype);
  out.shape = dims;
  out.strides = dims + ndim;
  out.byte_offset = 0;
}

Ref<Array> to_contiguous(Array& a) {
  if (a.contiguous) return Ref<Array>::share(&a);
  return copy_array(a, a.dtype);
}

Ref<Array> copy_array(Array& a, int dtype) {
  Ref<Array> out = Array::make(a.device(), dtype, a.shape(), "copy");
  copy_into(*out, a);
  return out;
}

Ref<Array> reshape_array(Array& a, std::span<const int64_t> shape) {
  int64_t full[CTN_MAX_NDIM];
  check_ndim(shape.size());
  int64_t known = 1;
  int wild = -1, wilds = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    full[i] = shape[i];
    if (shape[i] == -1) {
      wild = static_cast<int>(i);
      ++wilds;
    } else {
      known = checked_mul(known, shape[i]);
    }
  }
  if (wilds > 1)
    fail(CTN_EINVAL, "array shape " + shape_text(shape) + " has several unknown sizes");
  if (wild >= 0 && known > 0) full[wild] = a.size / known;
  const std::span<const int64_t> target(full, shape.size());
  if ((wild >= 0 && known == 0) || element_count(target) != a.size)
    fail(CTN_ESHAPE, "cannot reshape " + array_text(a) + " to " + shape_text(shape));
  int64_t strides[CTN_MAX_NDIM];
  if (!a.contiguous && view_strides(a, target, strides))
    return Array::make_view(a, target, {strides, shape.size()}, 0);
  const Ref<Array> base = to_contiguous(a);
  c_strides(target, strides);
  return Array::make_view(*base, target, {strides, shape.size()}, 0);
}

namespace {

struct Reach {
  const std::byte *begin, *end;
};

// The memory that an array's elements lie in.
Reach reach_of(const Array& a) {
  int64_t low = 0, high = 0;
  view_range(a.shape(), a.strides(), low, high);
  const std::byte* first = a.data();
  return {first + low * a.itemsize(), first + (high + 1) * a.itemsize()};
}

// Whether an element written to `dst` may be read from `src` later, or in part.
bool meet(const Array& dst, const Array& src) {
  if (dst.size == 0 || src.size == 0) return false;
  const bool borrowed = (dst.storage->flags | src.storage->flags) & kStorageBorrowed;
  if (dst.storage != src.storage && !borrowed) return false;
  const Reach to = reach_of(dst), from = reach_of(src);
  if (from.end <= to.begin || to.end <= from.begin) return false;
  const bool same = dst.data() == src.data() && dst.dtype == src.dtype &&
                    std::ranges::equal(dst.shape(), src.shape()) &&
                    std::ranges::equal(dst.strides(), src.strides());
  return !same;  // element by element onto itself
}

}  // namespace

void assign_array(Array& dst, Array& src) {
  if (&dst.ctx() != &src.ctx())
    fail(CTN_EINVAL, "cannot assign " + array_text(src) + " of another context");
  const bool staged = &dst.device() == &src.device() && meet(dst, src);
  copy_into(dst, staged ? *copy_array(src, src.dtype) : src);
}

}  // namespace catena
