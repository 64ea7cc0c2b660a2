// Memory for file buffers and for zlib: a host's ctn_allocator, or malloc. It must not know who
// counts the bytes.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstdlib>

#include "catena/types.h"
#include "core/error.h"

namespace catena {

inline constexpr uint64_t kHostAlign = 16;

// `from` NULL means malloc. The allocator is borrowed for the life of the memory.
inline void* host_alloc(const ctn_allocator* from, uint64_t bytes) noexcept {
  if (from == nullptr) return std::malloc(bytes);
  void* p = nullptr;  // also where the table throws: it has none
  shielded([&] { p = from->alloc(from->user, bytes, kHostAlign); });
  return p;
}

inline void host_free(const ctn_allocator* from, void* p, uint64_t bytes) noexcept {
  if (p == nullptr) return;
  if (from == nullptr) return std::free(p);
  shielded([&] { from->free(from->user, p, bytes, kHostAlign); });
}

// A fixed block of bytes, uninitialised.
class Block {
 public:
  Block(const ctn_allocator* from, uint64_t bytes)
      : from_(from), bytes_(bytes), data_(static_cast<uint8_t*>(host_alloc(from, bytes))) {
    if (data_ == nullptr)
      fail(CTN_ENOMEM, "no memory for a file buffer of " + std::to_string(bytes));
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { host_free(from_, data_, bytes_); }

  uint8_t* data() const { return data_; }
  uint64_t size() const { return bytes_; }

 private:
  const ctn_allocator* from_;
  uint64_t bytes_;
  uint8_t* data_;
};

// zlib frees without saying how much, so each of its blocks starts with its size.
inline voidpf zlib_alloc(voidpf opaque, uInt items, uInt size) noexcept {
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(uint64_t{items}, uint64_t{size}, &bytes)) return Z_NULL;
  bytes += kHostAlign;  // two 32-bit factors leave room
  auto* p = static_cast<uint8_t*>(host_alloc(static_cast<const ctn_allocator*>(opaque), bytes));
  if (p == nullptr) return Z_NULL;
  *reinterpret_cast<uint64_t*>(p) = bytes;
  return p + kHostAlign;
}

inline void zlib_free(voidpf opaque, voidpf address) noexcept {
  if (address == Z_NULL) return;
  uint8_t* p = static_cast<uint8_t*>(address) - kHostAlign;
  host_free(static_cast<const ctn_allocator*>(opaque), p, *reinterpret_cast<uint64_t*>(p));
}

// A z_stream that allocates from `from`. zlib keeps a pointer back to it: it must not move.
inline void zlib_init(z_stream* z, const ctn_allocator* from) noexcept {
  *z = z_stream{};
  z->zalloc = zlib_alloc;
  z->zfree = zlib_free;
  z->opaque = const_cast<ctn_allocator*>(from);
}

}  // namespace catena
