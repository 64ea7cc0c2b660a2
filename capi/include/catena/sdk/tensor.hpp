// Shapes and borrowed views of array memory: Dims (a shape without allocation), Tensor (what infer
// and kernels see of an array), and the conversions between ctn_dtype and its small number.
#ifndef CATENA_SDK_TENSOR_HPP
#define CATENA_SDK_TENSOR_HPP

#include <catena/sdk/error.hpp>
#include <catena/sdk/float16.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string_view>

namespace catena {
namespace sdk CTN_SDK_HIDDEN {

// ---- dtypes

struct DtypeRow {
  uint8_t code, bits;
  std::string_view name;
};
inline constexpr DtypeRow kDtypes[CTN_DTYPE_COUNT] = {
    {CTN_DT_BOOL, 8, "bool"},       {CTN_DT_INT, 8, "int8"},       {CTN_DT_INT, 16, "int16"},
    {CTN_DT_INT, 32, "int32"},      {CTN_DT_INT, 64, "int64"},     {CTN_DT_UINT, 8, "uint8"},
    {CTN_DT_UINT, 16, "uint16"},    {CTN_DT_UINT, 32, "uint32"},   {CTN_DT_UINT, 64, "uint64"},
    {CTN_DT_FLOAT, 16, "float16"},  {CTN_DT_FLOAT, 32, "float32"}, {CTN_DT_FLOAT, 64, "float64"},
    {CTN_DT_BFLOAT, 16, "bfloat16"}};

// CTN_BOOL8 ... CTN_BFLOAT16, or -1.
constexpr int dtype_index(ctn_dtype d) noexcept {
  for (int k = 0; k < CTN_DTYPE_COUNT; ++k)
    if (kDtypes[k].code == d.code && kDtypes[k].bits == d.bits && d.lanes == 1) return k;
  return -1;
}
constexpr ctn_dtype dtype_of(int index) noexcept {
  return {kDtypes[index].code, kDtypes[index].bits, 1};
}
constexpr std::string_view dtype_name(ctn_dtype d) noexcept {
  const int k = dtype_index(d);
  return k < 0 ? "an unknown dtype" : kDtypes[k].name;
}
constexpr bool is_floating(ctn_dtype d) noexcept {
  return d.code == CTN_DT_FLOAT || d.code == CTN_DT_BFLOAT;
}
constexpr bool same_dtype(ctn_dtype a, ctn_dtype b) noexcept {
  return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}
constexpr int64_t dtype_bytes(ctn_dtype d) noexcept { return d.bits / 8; }

// The small number of a C++ element type.
template <class T>
inline constexpr int kDtypeOf = -1;
template <>
inline constexpr int kDtypeOf<bool> = CTN_BOOL8;
template <>
inline constexpr int kDtypeOf<int8_t> = CTN_INT8;
template <>
inline constexpr int kDtypeOf<int16_t> = CTN_INT16;
template <>
inline constexpr int kDtypeOf<int32_t> = CTN_INT32;
template <>
inline constexpr int kDtypeOf<int64_t> = CTN_INT64;
template <>
inline constexpr int kDtypeOf<uint8_t> = CTN_UINT8;
template <>
inline constexpr int kDtypeOf<uint16_t> = CTN_UINT16;
template <>
inline constexpr int kDtypeOf<uint32_t> = CTN_UINT32;
template <>
inline constexpr int kDtypeOf<uint64_t> = CTN_UINT64;
template <>
inline constexpr int kDtypeOf<float16> = CTN_FLOAT16;
template <>
inline constexpr int kDtypeOf<float> = CTN_FLOAT32;
template <>
inline constexpr int kDtypeOf<double> = CTN_FLOAT64;
template <>
inline constexpr int kDtypeOf<bfloat16> = CTN_BFLOAT16;

// Calls body.template operator()<T>() with the one of Ts that d names.
template <class... Ts, class Body>
void dispatch(ctn_dtype d, Body&& body) {
  const int index = dtype_index(d);
  const bool served =
      ((kDtypeOf<Ts> == index ? (body.template operator()<Ts>(), true) : false) || ...);
  if (!served) fail(CTN_EUNSUPPORTED, "no kernel for ", dtype_name(d));
}
template <class Body>
void dispatch_float(ctn_dtype d, Body&& body) {
  dispatch<float, double, float16, bfloat16>(d, body);
}
template <class Body>
void dispatch_int(ctn_dtype d, Body&& body) {
  dispatch<int32_t, int64_t, int8_t, int16_t, uint8_t, uint16_t, uint32_t, uint64_t>(d, body);
}
template <class Body>
void dispatch_all(ctn_dtype d, Body&& body) {
  dispatch<float, double, int32_t, int64_t, float16, bfloat16, bool, int8_t, int16_t, uint8_t,
           uint16_t, uint32_t, uint64_t>(d, body);
}

// ---- shapes

constexpr int64_t size_of(std::span<const int64_t> shape) noexcept {
  int64_t n = 1;
  for (const int64_t d : shape) n *= d;
  return n;
}

// Up to CTN_MAX_NDIM integers, on the stack.
class Dims {
 public:
  Dims() {}  // leaves the entries undefined
  Dims(const Dims& o) : n_(o.n_) { std::copy(o.begin(), o.end(), v_); }
  Dims& operator=(const Dims& o) {
    n_ = o.n_;
    std::copy(o.begin(), o.end(), v_);
    return *this;
  }
  Dims(std::initializer_list<int64_t> values) {
    for (const int64_t v : values) push(v);
  }
  explicit Dims(std::span<const int64_t> values) {
    for (const int64_t v : values) push(v);
  }
  static Dims filled(int n, int64_t value) {
    Dims d;
    while (d.n_ < n) d.push(value);
    return d;
  }
  Dims& push(int64_t v) {
    if (n_ == CTN_MAX_NDIM) fail(CTN_EINVAL, "more than ", CTN_MAX_NDIM, " dimensions");
    v_[n_++] = v;
    return *this;
  }
  Dims& insert(int at, int64_t v) {
    push(v);
    std::rotate(v_ + at, v_ + n_ - 1, v_ + n_);
    return *this;
  }
  Dims& erase(int at) {
    std::copy(v_ + at + 1, v_ + n_, v_ + at);
    --n_;
    return *this;
  }
  int size() const { return n_; }
  int64_t& operator[](int k) { return v_[k]; }
  int64_t operator[](int k) const { return v_[k]; }
  const int64_t* begin() const { return v_; }
  const int64_t* end() const { return v_ + n_; }
  std::span<const int64_t> span() const { return {v_, static_cast<size_t>(n_)}; }
  bool operator==(const Dims& o) const { return std::equal(begin(), end(), o.begin(), o.end()); }

 private:
  int n_ = 0;
  int64_t v_[CTN_MAX_NDIM];
};

// Strides in elements of a C-order array.
inline Dims c_strides(std::span<const int64_t> shape) {
  Dims strides = Dims::filled(static_cast<int>(shape.size()), 1);
  int64_t step = 1;
  for (int k = strides.size() - 1; k >= 0; --k) {
    strides[k] = step;
    step *= shape[static_cast<size_t>(k)];
  }
  return strides;
}

// An axis counted from the end if negative, checked against ndim; `what` names it in the message.
inline int wrap_axis(int64_t axis, int64_t ndim, std::string_view what = "axis") {
  if (axis < -ndim || axis >= ndim)
    fail(CTN_EINVAL, what, " ", axis, " is out of bounds for an array of dimension ", ndim);
  return static_cast<int>(axis < 0 ? axis + ndim : axis);
}

// ---- views

// A borrowed view. In infer and supports, and for specs, data() may be null.
class Tensor {
 public:
  explicit Tensor(const ctn_dltensor& t, uint64_t layout = 0) : t_(&t), layout_(layout) {}
  explicit Tensor(const ctn_tensor& t) : Tensor(t.t, t.layout) {}

  bool present() const { return t_->ndim >= 0; }  // false: an optional input that was not given
  explicit operator bool() const { return present(); }
  int ndim() const { return t_->ndim; }
  std::span<const int64_t> shape() const { return {t_->shape, static_cast<size_t>(t_->ndim)}; }
  int64_t shape(int k) const { return t_->shape[k]; }
  int64_t stride(int k) const { return t_->strides[k]; }  // elements
  std::span<const int64_t> strides() const { return {t_->strides, static_cast<size_t>(t_->ndim)}; }
  int64_t size() const { return size_of(shape()); }
  ctn_dtype dtype() const { return t_->dtype; }
  int dtype_index() const { return sdk::dtype_index(t_->dtype); }
  ctn_device device() const { return t_->device; }
  uint64_t layout() const { return layout_; }
  template <class T = void>
  T* data() const {
    return reinterpret_cast<T*>(static_cast<char*>(t_->data) + t_->byte_offset);
  }
  bool contiguous() const {
    int64_t step = 1;
    for (int k = ndim() - 1; k >= 0; --k) {
      if (shape(k) != 1 && stride(k) != step) return size() == 0;
      step *= shape(k);
    }
    return true;
  }
  const ctn_dltensor& raw() const { return *t_; }

 private:
  const ctn_dltensor* t_;
  uint64_t layout_;
};

}  // namespace CTN_SDK_HIDDEN
}  // namespace catena

#endif
