// C functions of catena.h, section "arrays".
#include <memory>

#include "core/capi/api.h"
#include "core/intrinsic.h"

using namespace catena;

namespace {

std::span<const int64_t> shape_of(int32_t ndim, const int64_t* shape) {
  return list(shape, ndim, "shape");
}

void check_bytes(const Array& a, uint64_t bytes) {
  if (bytes != static_cast<uint64_t>(a.bytes()))
    fail(CTN_EINVAL, "array " + array_text(a) + " has " + std::to_string(a.bytes()) +
                         " bytes, the host memory " + std::to_string(bytes));
}

// What keeps an exported array alive.
struct Export {
  ctn_dlpack dl;
  Array* array;
};

void release_export(ctn_dlpack* t);

// ready: what is to come first has been handed over by then.
template <class Ready>
ctn_dlpack* export_array(Array& array, Ready&& ready) {
  auto e = std::make_unique<Export>();
  array.fill_tensor(e->dl.dl_tensor);
  e->dl.dl_tensor.device.id = array.device().id;
  array.before_write();
  ready(array);
  e->array = &array;
  array.retain();
  array.storage->exports.fetch_add(1);
  e->dl.version = {CTN_DLPACK_MAJOR, CTN_DLPACK_MINOR};
  e->dl.manager_ctx = e.get();
  e->dl.deleter = release_export;
  return &e.release()->dl;
}

void release_export(ctn_dlpack* t) {
  auto* e = static_cast<Export*>(t->manager_ctx);
  e->array->written();  // before copies of it are kept again
  e->array->storage->exports.fetch_sub(1);
  e->array->release();
  delete e;
}

// From the release of a storage, which logs what the deleter throws.
void release_import(void* user) {
  auto* t = static_cast<ctn_dlpack*>(user);
  if (t->deleter) t->deleter(t);
}

}  // namespace

extern "C" {

ctn_status ctn_array_new(ctn_context ctx, ctn_dtype dtype, int32_t ndim, const int64_t* shape,
                         ctn_array* out) {
  return guarded([&] {
    require(out, "out");
    Context& c = *to_context(ctx);
    *out = Array::make(c.default_device(), checked_dtype(dtype), shape_of(ndim, shape)).detach();
  });
}

ctn_status ctn_array_new_on(ctn_context ctx, ctn_device device, ctn_dtype dtype, int32_t ndim,
                            const int64_t* shape, ctn_array* out) {
  return guarded([&] {
    require(out, "out");
    Device& on = to_context(ctx)->device(device);
    *out = Array::make(on, checked_dtype(dtype), shape_of(ndim, shape)).detach();
  });
}

ctn_status ctn_array_full(ctn_context ctx, ctn_dtype dtype, int32_t ndim, const int64_t* shape,
                          const ctn_value* value, ctn_array* out) {
  return guarded([&] {
    require(value, "value");
    require(out, "out");
    Context& c = *to_context(ctx);
    Ref<Array> a = Array::make(c.default_device(), checked_dtype(dtype), shape_of(ndim, shape));
    fill(*a, *value);
    *out = a.detach();
  });
}

ctn_status ctn_array_from_host(ctn_context ctx, ctn_dtype dtype, int32_t ndim, const int64_t* shape,
                               const void* data, ctn_array* out) {
  return guarded([&] {
    require(out, "out");
    Context& c = *to_context(ctx);
    Ref<Array> a = Array::make(c.default_device(), checked_dtype(dtype), shape_of(ndim, shape));
    if (a->size) require(data, "data");
    copy_from_host(*a, data);
    *out = a.detach();
  });
}

ctn_status ctn_array_wrap(ctn_context ctx, const ctn_dltensor* t, void (*drop)(void*), void* user,
                          ctn_array* out) {
  return guarded([&] {
    require(t, "view");
    require(out, "out");
    Context& c = *to_context(ctx);
    Device& device = c.default_device();
    if (t->device.type != CTN_DEV_CPU || t->device.id % CTN_DEV_NEXT != 0 || !device.host_memory)
      fail_argument("memory of device type " + std::to_string(t->device.type) + " id " +
                    std::to_string(t->device.id) + " cannot be used by " + device.name);
    *out = Array::wrap(device, *t, drop, user).detach();
  });
}

ctn_status ctn_array_from_dlpack(ctn_context ctx, ctn_dlpack* t, ctn_array* out) {
  if (!t) return guarded([] { require(nullptr, "tensor"); });
  const ctn_status s = guarded([&] {
    require(out, "out");
    Context& c = *to_context(ctx);
    if (t->version.major != CTN_DLPACK_MAJOR)
      fail(CTN_EVERSION, "DLPack major version is " + std::to_string(t->version.major) +
                             ", this library reads " + std::to_string(CTN_DLPACK_MAJOR));
    Device& device = c.device_of_memory(t->dl_tensor.device);
    if (t->flags & CTN_DLPACK_READ_ONLY) {
      Ref<Array> borrowed = Array::wrap(device, t->dl_tensor, nullptr, nullptr);
      Ref<Array> copy = copy_array(*borrowed, borrowed->dtype);
      device.wait();  // until it has been read
      c.shielded("deleter of a DLPack tensor", [&] { release_import(t); });
      *out = copy.detach();
      return;
    }
    *out = Array::wrap(device, t->dl_tensor, release_import, t).detach();
  });
  if (s != CTN_OK) shielded([&] { release_import(t); });
  return s;
}

ctn_status ctn_array_to_dlpack(ctn_array a, ctn_dlpack** out) {
  return guarded([&] {
    require(out, "out");
    *out = export_array(*to_array(a), [](Array& array) { array.ctx().synchronize(); });
  });
}
ctn_status ctn_array_to_dlpack_stream(ctn_array a, void* stream, ctn_dlpack** out) {
  return guarded([&] {
    require(stream, "stream");
    require(out, "out");
    *out = export_array(*to_array(a), [&](Array& array) { array.device().lead(stream); });
  });
}

void ctn_array_retain(ctn_array a) {
  if (a) static_cast<Array*>(a)->retain();
}
void ctn_array_release(ctn_array a) {
  if (a) static_cast<Array*>(a)->release();
}

ctn_status ctn_array_spec(ctn_array a, ctn_dltensor* out) {
  return guarded([&] {
    require(out, "out");
    to_array(a)->describe(*out);
  });
}
ctn_status ctn_array_view(ctn_array a, ctn_dltensor* out) {
  return guarded([&] {
    require(out, "out");
    const Array& array = *to_array(a);
    ctn_dltensor t;
    array.fill_tensor(t);
    array.ctx().synchronize();
    *out = t;
  });
}

ctn_status ctn_array_to_host(ctn_array a, void* dst, uint64_t bytes) {
  return guarded([&] {
    Array& array = *to_array(a);
    check_bytes(array, bytes);
    if (bytes) require(dst, "dst");
    copy_to_host(array, dst);
  });
}

ctn_status ctn_array_set(ctn_array a, const void* src, uint64_t bytes) {
  return guarded([&] {
    Array& array = *to_array(a);
    check_bytes(array, bytes);
    if (bytes) require(src, "src");
    copy_from_host(array, src);
  });
}

ctn_status ctn_array_fill(ctn_array a, const ctn_value* value) {
  return guarded([&] {
    require(value, "value");
    fill(*to_array(a), *value);
  });
}

ctn_status ctn_array_assign(ctn_array dst, ctn_array src) {
  return guarded([&] { assign_array(*to_array(dst), *to_array(src)); });
}

ctn_status ctn_array_copy(ctn_array a, ctn_dtype dtype, ctn_array* out) {
  return guarded([&] {
    require(out, "out");
    Array& array = *to_array(a);
    const int to = dtype.lanes == 0 ? array.dtype : checked_dtype(dtype);
    *out = copy_array(array, to).detach();
  });
}

ctn_status ctn_array_strided(ctn_array a, int32_t ndim, const int64_t* shape,
                             const int64_t* strides, int64_t offset, ctn_array* out) {
  return guarded([&] {
    require(out, "out");
    *out = Array::make_view(*to_array(a), shape_of(ndim, shape), list(strides, ndim, "strides"),
                            offset)
               .detach();
  });
}

ctn_status ctn_array_reshape(ctn_array a, int32_t ndim, const int64_t* shape, ctn_array* out) {
  return guarded([&] {
    require(out, "out");
    *out = reshape_array(*to_array(a), shape_of(ndim, shape)).detach();
  });
}

ctn_status ctn_array_to_device(ctn_array a, ctn_device device, ctn_array* out) {
  return guarded([&] {
    require(out, "out");
    Array& array = *to_array(a);
    *out = to_device(array, array.ctx().device(device)).detach();
  });
}

ctn_context ctn_array_context(ctn_array a) { return a ? &static_cast<Array*>(a)->ctx() : nullptr; }

}  // extern "C"
