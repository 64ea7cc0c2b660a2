// Array and Dtype: n-dimensional arrays on the context's device.
#pragma once

#include <catena/cpp/context.hpp>

#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

namespace catena::inline cpp {

using Shape = std::vector<int64_t>;

// float16 and bfloat16 have no C++ type here; their arrays are made by casting.
template <class T>
constexpr ctn_dtype dtype_of() {
  constexpr uint8_t bits = sizeof(T) * 8;
  if constexpr (std::is_same_v<T, bool>)
    return {CTN_DT_BOOL, 8, 1};
  else if constexpr (std::is_floating_point_v<T>)
    return {CTN_DT_FLOAT, bits, 1};
  else
    return {std::is_signed_v<T> ? uint8_t{CTN_DT_INT} : uint8_t{CTN_DT_UINT}, bits, 1};
}
inline constexpr ctn_dtype float16{CTN_DT_FLOAT, 16, 1};
inline constexpr ctn_dtype float32{CTN_DT_FLOAT, 32, 1};
inline constexpr ctn_dtype float64{CTN_DT_FLOAT, 64, 1};
inline constexpr ctn_dtype int32{CTN_DT_INT, 32, 1};
inline constexpr ctn_dtype int64{CTN_DT_INT, 64, 1};

namespace detail {

// "float32"
inline std::string dtype_text(ctn_dtype d) {
  const char* kind = d.code == CTN_DT_BOOL     ? "bool"
                     : d.code == CTN_DT_INT    ? "int"
                     : d.code == CTN_DT_UINT   ? "uint"
                     : d.code == CTN_DT_BFLOAT ? "bfloat"
                                               : "float";
  return d.code == CTN_DT_BOOL ? kind : kind + std::to_string(d.bits);
}
// "(2, 3)", "(4,)", "()"
inline std::string shape_text(const Shape& shape) {
  std::string out = "(";
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace detail

// A tensor on its way to another library; its deleter runs unless release() hands it on.
struct DlpackDelete {
  void operator()(ctn_dlpack* t) const {
    if (t->deleter) t->deleter(t);
  }
};
using Dlpack = std::unique_ptr<ctn_dlpack, DlpackDelete>;

class Array : public detail::Handle<ctn_array, ctn_array_retain, ctn_array_release> {
  using Base = detail::Handle<ctn_array, ctn_array_retain, ctn_array_release>;

 public:
  using Base::Base;
  Array() = default;

  // Copies values in C order; their number must fit the shape.
  template <class T>
  static Array from(std::span<const T> values, const Shape& shape,
                    ctn_context ctx = Context::current()) {
    require_size(values.size(), shape);
    ctn_array a = nullptr;
    check(ctn_array_from_host(ctx, dtype_of<T>(), static_cast<int32_t>(shape.size()), shape.data(),
                              values.data(), &a));
    return Array(a);
  }
  template <class T>
  static Array from(const std::vector<T>& values, const Shape& shape,
                    ctn_context ctx = Context::current()) {
    return from(std::span<const T>(values), shape, ctx);
  }
  // {1, 2, 3, 4}, and {} for an array without elements.
  template <class T>
  static Array from(std::initializer_list<T> values, const Shape& shape,
                    ctn_context ctx = Context::current()) {
    return from(std::span<const T>(values.begin(), values.size()), shape, ctx);
  }
  template <class T>
  static Array of(std::initializer_list<T> values, ctn_context ctx = Context::current()) {
    return from(std::span<const T>(values.begin(), values.size()),
                {static_cast<int64_t>(values.size())}, ctx);
  }
  static Array full(const Shape& shape, double value, ctn_dtype dtype = float32,
                    ctn_context ctx = Context::current()) {
    ctn_value v{};
    v.kind = CTN_FLOAT;
    v.u.f = value;
    ctn_array a = nullptr;
    check(ctn_array_full(ctx, dtype, static_cast<int32_t>(shape.size()), shape.data(), &v, &a));
    return Array(a);
  }
  static Array zeros(const Shape& shape, ctn_dtype dtype = float32) {
    return full(shape, 0, dtype);
  }
  // Over the program's own memory, in C order and without a copy. It stays valid as long as `owner`
  // lives, which the array keeps; without an owner the program sees to it.
  template <class T>
  static Array wrap(std::span<T> memory, const Shape& shape, std::shared_ptr<const void> owner = {},
                    ctn_context ctx = Context::current()) {
    static_assert(!std::is_const_v<T>, "arrays can be written");
    require_size(memory.size(), shape);
    Shape dims = shape;
    ctn_dltensor t{};
    t.data = memory.data();
    t.device = {CTN_DEV_CPU, 0};
    t.ndim = static_cast<int32_t>(dims.size());
    t.dtype = dtype_of<T>();
    t.shape = dims.data();
    auto kept = std::make_unique<std::shared_ptr<const void>>(std::move(owner));
    ctn_array a = nullptr;
    check(ctn_array_wrap(
        ctx, &t, [](void* user) { delete static_cast<std::shared_ptr<const void>*>(user); },
        kept.get(), &a));
    static_cast<void>(kept.release());
    return Array(a);
  }
  // A tensor of another library, without a copy unless it is read-only.
  static Array from_dlpack(Dlpack t, ctn_context ctx = Context::current()) {
    ctn_array a = nullptr;
    check(ctn_array_from_dlpack(ctx, t.release(), &a));
    return Array(a);
  }
  // For a consumer that works in this stream of the device's library; waits for nothing.
  Dlpack to_dlpack(void* stream) const {
    ctn_dlpack* t = nullptr;
    check(ctn_array_to_dlpack_stream(get(), stream, &t));
    return Dlpack(t);
  }
  Dlpack to_dlpack() const {
    ctn_dlpack* t = nullptr;
    check(ctn_array_to_dlpack(get(), &t));
    return Dlpack(t);
  }

  // Borrowed view: shape, strides in elements, memory.
  ctn_dltensor view() const {
    ctn_dltensor t{};
    check(ctn_array_view(get(), &t));
    return t;
  }
  // The same without the memory, which is left as it is.
  ctn_dltensor spec() const {
    ctn_dltensor t{};
    check(ctn_array_spec(get(), &t));
    return t;
  }
  Shape shape() const {
    const ctn_dltensor t = spec();
    return {t.shape, t.shape + t.ndim};
  }
  ctn_dtype dtype() const { return spec().dtype; }
  int64_t size() const {
    const ctn_dltensor t = spec();
    int64_t n = 1;
    for (int32_t i = 0; i < t.ndim; ++i) n *= t.shape[i];
    return n;
  }
  // The same memory with other steps (elements) from another element on; it must lie inside.
  Array strided(const Shape& shape, const Shape& strides, int64_t offset = 0) const {
    if (shape.size() != strides.size())
      throw InvalidArgument(CTN_EINVAL, "strided: shape and strides differ in length");
    ctn_array a = nullptr;
    check(ctn_array_strided(get(), static_cast<int32_t>(shape.size()), shape.data(), strides.data(),
                            offset, &a));
    return Array(a);
  }
  // One entry may be -1. The same memory where that is possible.
  Array reshape(const Shape& shape) const {
    ctn_array a = nullptr;
    check(ctn_array_reshape(get(), static_cast<int32_t>(shape.size()), shape.data(), &a));
    return Array(a);
  }
  void fill(double value) {
    ctn_value v{};
    v.kind = CTN_FLOAT;
    v.u.f = value;
    check(ctn_array_fill(get(), &v));
  }
  // Takes over the elements of another array, cast and broadcast.
  void assign(const Array& from) { check(ctn_array_assign(get(), from.get())); }
  // Where it lies: "cuda:1", "cpu:0".
  std::string device() const {
    ctn_str name{};
    check(ctn_device_describe(ctn_array_context(get()), spec().device, &name, nullptr));
    return {name.p, name.n};
  }
  // On another device of the context ("cuda:0"); the same array where it is there already.
  Array to_device(std::string_view name) const {
    ctn_device device{};
    check(ctn_device_find(ctn_array_context(get()), detail::str(name), &device));
    ctn_array a = nullptr;
    check(ctn_array_to_device(get(), device, &a));
    return Array(a);
  }
  Array astype(ctn_dtype dtype) const {
    ctn_array a = nullptr;
    check(ctn_array_copy(get(), dtype, &a));
    return Array(a);
  }
  // All elements in C order; T must be the array's dtype.
  template <class T>
  std::vector<T> to_vector() const {
    require<T>();
    std::vector<T> v(static_cast<size_t>(size()));
    check(ctn_array_to_host(get(), v.data(), v.size() * sizeof(T)));
    return v;
  }
  // The value of an array of one element, as astype converts it.
  template <class T = double>
  T item() const {
    if (size() != 1)
      throw InvalidArgument(CTN_EINVAL,
                            "item: the array has " + std::to_string(size()) + " elements");
    T v{};
    check(ctn_array_to_host(astype(dtype_of<T>()).get(), &v, sizeof v));
    return v;
  }

 private:
  static void require_size(size_t given, const Shape& shape) {
    size_t n = 1;
    for (int64_t d : shape) n *= static_cast<size_t>(d);
    if (n != given)
      throw InvalidArgument(CTN_EINVAL, "array: " + std::to_string(given) +
                                            " values for the shape " + detail::shape_text(shape) +
                                            ", which takes " + std::to_string(n));
  }
  template <class T>
  void require() const {
    const ctn_dtype have = dtype(), want = dtype_of<T>();
    if (have.code != want.code || have.bits != want.bits)
      throw DtypeError(CTN_EDTYPE, "to_vector: the array is " + detail::dtype_text(have) +
                                       ", asked for are values of " + detail::dtype_text(want) +
                                       "; astype casts");
  }
};

}  // namespace catena::inline cpp
