// Arrays: a counted storage and strided views of it. Knows no op; computing goes through launch.h.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/catena.h>

#include <span>

#include "core/checked.h"
#include "core/context.h"
#include "core/ref.h"

struct ctn_array_s {};

namespace catena {

// The data of a storage in a layout of its backend (layout.h).
struct Packed;
// What kernels made of it (derived.h).
struct Derived;
// The call that will compute it (waiting.h).
class Waiting;

// Memory of one or more arrays on one device: plain strides, copies in layouts, or both.
struct Storage {
  std::atomic<int32_t> refs{1};
  uint32_t flags = 0;    // kStorage*, from the beginning
  bool tracked = false;  // in the list of large storages; read by whoever has it alone
  Context* ctx = nullptr;
  Device* device = nullptr;
  std::byte* data = nullptr;  // plain; NULL also while only a layout has been written
  uint64_t bytes = 0;         // of the plain data
  // the plain data is not there or old: there is a copy in a layout, or a call that waits
  std::atomic<bool> stale{false};
  std::atomic<int32_t> readers{0};  // calls that wait and read it
  Packed* packed = nullptr;         // guarded by Context::layout_mutex
  Derived* derived = nullptr;       // the same
  Waiting* waiting = nullptr;       // from the beginning, until the storage goes
  uint64_t block_bytes = 0;         // of the object block that holds this header
  // moves on whenever the memory is written or an export ends: the key of packed copies
  std::atomic<uint32_t> version{0};
  std::atomic<int32_t> exports{0};  // live writable exports; with one no packed copy is kept
  void (*drop)(void* user) = nullptr;
  void* drop_user = nullptr;
  Storage* prev = nullptr;  // list of large storages
  Storage* next = nullptr;
  const char* owner = nullptr;  // who asked for it (an op's name), for out-of-memory texts

  void retain() { refs.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;
  // Of a fresh storage of as many bytes that nobody else has. With Context::layout_mutex locked.
  void take_data(Storage& from);
};
// Data up to here lies behind its header.
inline constexpr uint64_t kInlineBytes = 1024;
inline constexpr uint32_t kStorageBorrowed = 1;  // memory belongs to somebody else
inline constexpr uint32_t kStorageInline = 2;    // data lies behind the header

struct Array : ctn_array_s {
  std::atomic<int32_t> refs{1};
  uint8_t dtype = 0;
  bool contiguous = true;       // C order
  bool inside_storage = false;  // header shares the storage's block
  int8_t reserved = 0;
  int32_t ndim = 0;
  int64_t size = 0;  // elements
  Storage* storage = nullptr;
  int64_t offset = 0;       // bytes from the storage's plain data to element 0
  int64_t* dims = nullptr;  // shape[ndim], then strides[ndim] in elements

  // C order, undefined content. `owner` names who asks (static text).
  static Ref<Array> make(Device& device, int dtype, std::span<const int64_t> shape,
                         const char* owner = nullptr);
  // View into a storage; offset in elements from `base`.
  static Ref<Array> make_view(const Array& base, std::span<const int64_t> shape,
                              std::span<const int64_t> strides, int64_t offset);
  // C order in `layout` of the device's backend, undefined content.
  static Ref<Array> make_packed(Device& device, int dtype, std::span<const int64_t> shape,
                                uint64_t layout, const char* owner);
  // C order, without data: what `call` will compute.
  static Ref<Array> make_waiting(Device& device, int dtype, std::span<const int64_t> shape,
                                 Ref<Waiting> call);
  static Ref<Array> wrap(Device& device, const ctn_dltensor& t, void (*drop)(void*), void* user);

  void retain() { refs.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;

  std::span<const int64_t> shape() const { return {dims, static_cast<size_t>(ndim)}; }
  std::span<const int64_t> strides() const { return {dims + ndim, static_cast<size_t>(ndim)}; }
  Context& ctx() const { return *storage->ctx; }
  Device& device() const { return *storage->device; }
  int64_t itemsize() const { return kDtypeBytes[dtype]; }
  int64_t bytes() const { return size * itemsize(); }
  // Element 0 of the plain data, which is brought up to date first.
  std::byte* data() const {
    if (storage->stale.load(std::memory_order_acquire)) [[unlikely]]
      unpack();
    return storage->data + offset;
  }
  bool is_contiguous() const { return contiguous; }
  void fill_tensor(ctn_dltensor& out) const;
  // The same without the data.
  void describe(ctn_dltensor& out) const;
  // Comes before every write to memory that others may have seen: calls that wait and read it are
  // run first. Throws what that throws.
  void before_write() {
    if (storage->readers.load(std::memory_order_acquire) != 0) [[unlikely]]
      run_readers();
  }
  // The plain data was written.
  void written() { storage->version.fetch_add(1, std::memory_order_relaxed); }

 private:
  void unpack() const;  // layout.cc
  void run_readers();   // waiting.cc
};

inline Array* to_array(ctn_array a) {
  if (!a) fail_argument("array is NULL");
  return static_cast<Array*>(a);
}

// Its number; throws CTN_EDTYPE.
int checked_dtype(ctn_dtype dtype);
// Product of a shape; throws CTN_EINVAL on negative sizes or overflow of element or byte count.
int64_t element_count(std::span<const int64_t> shape, int itemsize = 1);
// C-order strides in elements.
void c_strides(std::span<const int64_t> shape, int64_t* out);
bool is_c_order(std::span<const int64_t> shape, std::span<const int64_t> strides);
// numpy broadcasting of two shapes into out; false if they do not fit.
bool broadcast_shapes(std::span<const int64_t> a, std::span<const int64_t> b,
                      std::vector<int64_t>& out);
// "(2, 3)", "float32[2,3]".
std::string shape_text(std::span<const int64_t> shape);
std::string array_text(const Array& a);

// Copies (contiguous or not) through the device's backend.
Ref<Array> to_contiguous(Array& a);          // itself if it is C order
Ref<Array> copy_array(Array& a, int dtype);  // always a new one
// dst[...] = src as ctn_array_assign has it: of one context, and as if src were read first.
void assign_array(Array& dst, Array& src);
Ref<Array> reshape_array(Array& a, std::span<const int64_t> shape);
void copy_to_host(Array& a, void* dst);  // C order, a.bytes() bytes
void copy_from_host(Array& a, const void* src);
// A new array in C order; `owner` names who asks (static text). to_device: itself if it is there.
Ref<Array> copy_to(Array& a, Device& device, const char* owner);
Ref<Array> to_device(Array& a, Device& device);

}  // namespace catena
