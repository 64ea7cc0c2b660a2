// Variables and arrays as C++ values: Ref borrows a ctn_variable, Var owns one reference of it,
// Array owns a ctn_array. Whoever holds a Var may pass it where a Ref is asked for.
#ifndef CATENA_SDK_VAR_HPP
#define CATENA_SDK_VAR_HPP

#include <catena/sdk/error.hpp>
#include <catena/sdk/tensor.hpp>
#include <catena/sdk/value.hpp>

#include <cstddef>
#include <span>
#include <utility>

namespace catena {
namespace sdk CTN_SDK_HIDDEN {

class Var;

class Array {
 public:
  Array() = default;
  static Array take(ctn_array a) {
    Array r;
    r.p_ = a;
    return r;
  }
  static Array empty(ctn_context ctx, ctn_dtype dtype, std::span<const int64_t> shape) {
    Array r;
    check(api().array_new(ctx, dtype, static_cast<int32_t>(shape.size()), shape.data(), &r.p_));
    return r;
  }
  static Array full(ctn_context ctx, ctn_dtype dtype, std::span<const int64_t> shape, Value value) {
    Array r;
    check(api().array_full(ctx, dtype, static_cast<int32_t>(shape.size()), shape.data(), &value.v,
                           &r.p_));
    return r;
  }
  // From C-order host memory.
  static Array from_host(ctn_context ctx, ctn_dtype dtype, std::span<const int64_t> shape,
                         const void* data) {
    Array r;
    check(api().array_from_host(ctx, dtype, static_cast<int32_t>(shape.size()), shape.data(), data,
                                &r.p_));
    return r;
  }
  Array(const Array& o) : p_(o.p_) {
    if (p_) api().array_retain(p_);
  }
  Array(Array&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  Array& operator=(Array o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Array() {
    if (p_) api().array_release(p_);
  }
  explicit operator bool() const { return p_ != nullptr; }
  ctn_array get() const { return p_; }
  ctn_array release() { return std::exchange(p_, nullptr); }
  ctn_context context() const { return api().array_context(p_); }
  // Waits for the context's work, so that the memory may be read.
  ctn_dltensor view() const {
    ctn_dltensor t;
    check(api().array_view(p_, &t));
    return t;
  }
  // Shape, strides, dtype and device, without the memory.
  ctn_dltensor spec() const {
    ctn_dltensor t;
    check(api().array_spec(p_, &t));
    return t;
  }
  // A copy on another device of the context; the same array where it is there.
  Array on(ctn_device device) const {
    ctn_array there = nullptr;
    check(api().array_to_device(p_, device, &there));
    return take(there);
  }
  Var variable(bool requires_grad = false) const;

 private:
  ctn_array p_ = nullptr;
};

// A borrowed variable, or none. Trivial: the size of the handle, never counted.
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  Ref(ctn_variable p) : p_(p) {}
  explicit operator bool() const { return p_ != nullptr; }
  ctn_variable get() const { return p_; }
  ctn_context context() const { return api().variable_context(p_); }
  bool requires_grad() const { return api().variable_requires_grad(p_) != 0; }
  // Shape, strides, dtype and memory; borrowed from the variable.
  ctn_dltensor view() const {
    ctn_dltensor t;
    check(api().variable_view(p_, &t));
    return t;
  }
  // The same without the memory, which is left as it is.
  ctn_dltensor spec() const {
    ctn_dltensor t;
    check(api().variable_spec(p_, &t));
    return t;
  }
  Dims shape() const {
    const ctn_dltensor t = spec();
    return Dims(std::span<const int64_t>(t.shape, static_cast<size_t>(t.ndim)));
  }
  int64_t shape(int k) const { return spec().shape[k]; }
  int ndim() const { return spec().ndim; }
  int64_t size() const { return size_of(shape()); }
  ctn_dtype dtype() const { return spec().dtype; }
  ctn_device device() const { return spec().device; }
  Array array() const {
    ctn_array a = nullptr;
    check(api().variable_array(p_, &a));
    return Array::take(a);
  }

 protected:
  ctn_variable p_ = nullptr;
};

// One counted reference, or none.
class Var : public Ref {
 public:
  Var() = default;
  Var(std::nullptr_t) {}
  explicit Var(Ref r) : Ref(r) {
    if (p_) api().variable_retain(p_);
  }
  static Var take(ctn_variable p) {
    Var v;
    v.p_ = p;
    return v;
  }
  Var(const Var& o) : Var(static_cast<const Ref&>(o)) {}
  Var(Var&& o) noexcept : Ref(std::exchange(o.p_, nullptr)) {}
  Var& operator=(Var o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Var() {
    if (p_) api().variable_release(p_);
  }
  ctn_variable release() { return std::exchange(p_, nullptr); }
};
static_assert(sizeof(Ref) == sizeof(ctn_variable) && sizeof(Var) == sizeof(ctn_variable));

inline Var Array::variable(bool requires_grad) const {
  ctn_variable v = nullptr;
  check(api().variable_new(p_, requires_grad, &v));
  return Var::take(v);
}

// The inputs of a composite, a link or a hook: borrowed, in order, none where absent.
class Vars {
 public:
  Vars(const ctn_variable* p, int n) : p_(p), n_(n) {}
  int size() const { return n_; }
  Ref operator[](int k) const { return k < n_ ? Ref(p_[k]) : Ref(); }
  const ctn_variable* data() const { return p_; }

 private:
  const ctn_variable* p_;
  int n_;
};

// Where a composite or link puts its results; what has been set is released if it fails later.
class Results {
 public:
  Results(ctn_variable* p, int n) : p_(p), n_(n) {
    for (int k = 0; k < n; ++k) p_[k] = nullptr;
  }
  int size() const { return n_; }
  void set(int k, Var v) {
    if (k < 0 || k >= n_) fail(CTN_EINTERNAL, "result ", k, " of ", n_);
    Var old = Var::take(std::exchange(p_[k], v.release()));
  }
  void clear() noexcept {
    for (int k = 0; k < n_; ++k) Var::take(std::exchange(p_[k], nullptr));
  }

 private:
  ctn_variable* p_;
  int n_;
};

}  // namespace CTN_SDK_HIDDEN
}  // namespace catena

#endif
