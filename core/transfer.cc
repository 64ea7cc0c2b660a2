// Copies between host memory and devices, and from device to device. A backend orders what it
// copies behind the rest of its work; work of another one is waited for here.
#include "core/array.h"
#include "core/capture.h"
#include "core/intrinsic.h"

namespace catena {
namespace {

void check_captured(const Array& a, const char* what) {
  if (const Capture* c = capture_in(a.ctx())) [[unlikely]]
    c->refuse(what);
}

}  // namespace

void copy_to_host(Array& a, void* dst) {
  if (!a.size) return;
  check_captured(a, "a copy to the host");
  Ref<Array> c = to_contiguous(a);
  const Device& d = c->device();
  const Backend& b = *d.backend->memory_owner;
  const auto bytes = static_cast<uint64_t>(c->bytes());
  checked_call("copy to host",
               [&] { return b.def.copy(b.def.self, -1, dst, d.id, c->data(), bytes); });
  d.ctx->synchronize();
}

void copy_from_host(Array& a, const void* src) {
  if (!a.size) return;
  check_captured(a, "a copy from the host");
  const Device& d = a.device();
  const Backend& b = *d.backend->memory_owner;
  if (!a.contiguous) {
    Ref<Array> staged = Array::make(a.device(), a.dtype, a.shape(), "copy");
    copy_from_host(*staged, src);
    copy_into(a, *staged);
    return;
  }
  const auto bytes = static_cast<uint64_t>(a.bytes());
  a.before_write();
  checked_call("copy from host",
               [&] { return b.def.copy(b.def.self, d.id, a.data(), -1, src, bytes); });
  a.written();
}

namespace {

void check_copy(const Backend& b, int32_t to, std::byte* dst, int32_t from, const std::byte* src,
                int64_t bytes) {
  checked_call("copy between devices", [&] {
    return b.def.copy(b.def.self, to, dst, from, src, static_cast<uint64_t>(bytes));
  });
}

// Neither side reads the other's memory: through the host's.
void copy_staged(Array& src, Array& dst) {
  Context& ctx = src.ctx();
  const auto bytes = static_cast<uint64_t>(src.bytes());
  void* const staged = ctx.alloc_object(bytes);
  try {
    copy_to_host(src, staged);
    copy_from_host(dst, staged);
  } catch (...) {
    ctx.free_object(staged, bytes);
    throw;
  }
  ctx.free_object(staged, bytes);
}

// Elements of one array in C order to another one of as many bytes. A backend orders what it copies
// behind its own work; the other side's is waited for here.
void copy_bytes(Array& src, Array& dst) {
  if (&src.device() != &dst.device()) check_captured(src, "a copy between devices");
  note_read(src);
  const Device &from = src.device(), &to = dst.device();
  const Backend &reader = *from.backend->memory_owner, &writer = *to.backend->memory_owner;
  if (&reader == &writer)
    return check_copy(writer, to.id, dst.data(), from.id, src.data(), src.bytes());
  if (!from.host_memory && !to.host_memory) return copy_staged(src, dst);
  if (from.host_memory) {
    from.wait();
    return check_copy(writer, to.id, dst.data(), -1, src.data(), src.bytes());
  }
  to.wait();
  check_copy(reader, -1, dst.data(), from.id, src.data(), src.bytes());
  from.wait();
}

}  // namespace

Ref<Array> copy_to(Array& a, Device& device, const char* owner) {
  if (a.size) {
    const Ref<Array> from = to_contiguous(a);
    Ref<Array> out = Array::make(device, a.dtype, a.shape(), owner);
    copy_bytes(*from, *out);
    return out;
  }
  return Array::make(device, a.dtype, a.shape(), owner);
}

Ref<Array> to_device(Array& a, Device& device) {
  return &a.device() == &device ? Ref<Array>::share(&a) : copy_to(a, device, "copy");
}

}  // namespace catena
