// The callbacks of an op from plain functions: infer<fn>, count<fn>, backward<fn>, compose<fn>, and
// what those functions are handed. `self` of the definition is not used by them.
#ifndef CATENA_SDK_CALL_HPP
#define CATENA_SDK_CALL_HPP

#include <catena/sdk/op.hpp>
#include <catena/sdk/tensor.hpp>
#include <catena/sdk/value.hpp>
#include <catena/sdk/var.hpp>

#include <algorithm>
#include <span>
#include <type_traits>

namespace catena {
namespace sdk CTN_SDK_HIDDEN {

// A call as infer, supports, plan, compose and kernels see it: tensors and attributes.
class Call : public Attrs {
 public:
  explicit Call(const ctn_call_info& info) : Attrs(info.attrs), info_(&info) {}
  int n_in() const { return info_->n_in; }
  int n_out() const { return info_->n_out; }
  int n_attrs() const { return info_->n_attrs; }
  Tensor in(int k) const { return Tensor(info_->in[k]); }
  Tensor out(int k) const { return Tensor(info_->out[k]); }
  bool has(int k) const { return k < n_in() && info_->in[k].t.ndim >= 0; }
  ctn_context context() const { return info_->ctx; }
  // Ops that the kernel absorbed, in their order.
  std::span<const ctn_follower> followers() const {
    return {info_->followers, static_cast<size_t>(info_->n_followers)};
  }
  const ctn_call_info& raw() const { return *info_; }

 private:
  const ctn_call_info* info_;
};

// A configuration key in force for the calling thread: a boolean ("train", "enable_backprop"), a
// number ("max_workspace_size"), one of three ("use_cudnn").
inline ctn_value config_value(ctn_context ctx, std::string_view key) {
  ctn_value v;
  check(api().config_get(ctx, str(key), &v));
  return v;
}
inline bool config(ctn_context ctx, std::string_view key) {
  return config_value(ctx, key).u.i != 0;
}
inline int64_t config_int(ctn_context ctx, std::string_view key) {
  return config_value(ctx, key).u.i;
}
inline bool config_is(ctn_context ctx, std::string_view key, std::string_view text) {
  const ctn_value v = config_value(ctx, key);
  return v.kind == CTN_STR && std::string_view(v.u.s, v.n) == text;
}

// A type check that data cannot say, in the words of those that it can: `label` is the op's, the
// texts name inputs as in_types[k].
[[noreturn]] inline void refuse(std::string_view label, std::string_view expect,
                                std::string_view actual) {
  fail(CTN_ESHAPE, "Invalid operation is performed in: ", label, " (Forward)\n\nExpect: ", expect,
       "\nActual: ", actual);
}

// What infer says of one output.
class Out {
 public:
  explicit Out(ctn_out_spec& s) : s_(&s) {}
  // Fresh memory.
  void make(ctn_dtype dtype, std::span<const int64_t> shape) {
    s_->mode = CTN_OUT_NEW;
    set(dtype, shape);
  }
  void make(ctn_dtype dtype, std::initializer_list<int64_t> shape) {
    make(dtype, std::span(shape.begin(), shape.size()));
  }
  void like(Tensor t) { make(t.dtype(), t.shape()); }
  // A view of input `source`: strides and offset in elements from its element 0.
  void view(int source, ctn_dtype dtype, std::span<const int64_t> shape,
            std::span<const int64_t> strides, int64_t offset) {
    s_->mode = CTN_OUT_VIEW;
    s_->source = source;
    s_->offset = offset;
    set(dtype, shape);
    std::copy(strides.begin(), strides.end(), s_->strides);
  }
  // A copy of input `source` on a device that is open in the context.
  void copy(int source, Tensor t, ctn_device device) {
    s_->mode = CTN_OUT_COPY;
    s_->source = source;
    s_->device = device;
    set(t.dtype(), t.shape());
  }
  // Input `source` itself.
  void same(int source, Tensor t) {
    s_->mode = CTN_OUT_SAME;
    s_->source = source;
    set(t.dtype(), t.shape());
  }

 private:
  void set(ctn_dtype dtype, std::span<const int64_t> shape) {
    if (shape.size() > CTN_MAX_NDIM) fail(CTN_EINVAL, "more than ", CTN_MAX_NDIM, " dimensions");
    s_->dtype = dtype;
    s_->ndim = static_cast<int32_t>(shape.size());
    std::copy(shape.begin(), shape.end(), s_->shape);
  }
  ctn_out_spec* s_;
};
class Outs {
 public:
  Outs(ctn_out_spec* s, int n) : s_(s), n_(n) {}
  int size() const { return n_; }
  Out operator[](int k) const { return Out(s_[k]); }

 private:
  ctn_out_spec* s_;
  int n_;
};

// Shape and dtype of an input or output of the forward call, kept when its data is not.
struct Spec {
  ctn_dltensor t;
  Tensor tensor() const { return Tensor(t); }
  Dims shape() const {
    return Dims(std::span<const int64_t>(t.shape, static_cast<size_t>(t.ndim)));
  }
  int64_t shape(int k) const { return t.shape[k]; }
  int ndim() const { return t.ndim; }
  ctn_dtype dtype() const { return t.dtype; }
};

// A running backward. gx is computed with ops, so that it can be differentiated again.
class Grad : public Attrs {
 public:
  explicit Grad(ctn_grad g) : Attrs(host->grad_attrs(g)), g_(g) {}
  int n_in() const { return host->grad_n_in(g_); }
  int n_out() const { return host->grad_n_out(g_); }
  // Retained inputs and outputs; none where an optional input is absent.
  Ref in(int k) const { return read(host->grad_in, k); }
  Ref out(int k) const { return read(host->grad_out, k); }
  // The gradient of output k; none where nothing flows back through it.
  Ref gy(int k = 0) const { return read(host->grad_gy, k); }
  Spec in_spec(int k) const {
    Spec s;
    check(host->grad_in_spec(g_, k, &s.t));
    return s;
  }
  Spec out_spec(int k) const {
    Spec s;
    check(host->grad_out_spec(g_, k, &s.t));
    return s;
  }
  bool needed(int k) const { return host->grad_needed(g_, k) != 0; }
  void set(int k, Ref gx) { check(host->grad_set(g_, k, gx.get())); }
  ctn_context context() const { return host->grad_context(g_); }
  ctn_grad raw() const { return g_; }

 private:
  Ref read(ctn_status(CTN_CALL* get)(ctn_grad, int32_t, ctn_variable*), int k) const {
    ctn_variable v = nullptr;
    check(get(g_, k, &v));
    return v;
  }
  ctn_grad g_;
};

// void fn(const Call&, Outs)
template <auto fn>
ctn_status CTN_CALL infer(void*, const ctn_call_info* call, ctn_out_spec* out) {
  return guarded([&] { fn(Call(*call), Outs(out, call->n_out)); });
}

// int fn(const Call&)
template <auto fn>
ctn_status CTN_CALL count(void*, const ctn_call_info* call, int32_t* n_out) {
  return guarded([&] { *n_out = fn(Call(*call)); });
}

// void fn(Grad&)
template <auto fn>
ctn_status CTN_CALL backward(void*, ctn_grad g) {
  return guarded([&] {
    Grad grad(g);
    fn(grad);
  });
}

// Var fn(const Call&, Vars), or void fn(const Call&, Vars, Results&) for several outputs.
template <auto fn>
ctn_status CTN_CALL compose(void*, const ctn_call_info* call, const ctn_variable* in,
                            ctn_variable* out) {
  const Vars vars(in, call->n_in);
  constexpr bool kOne = std::is_invocable_r_v<Var, decltype(fn), const Call&, Vars>;
  Results results(out, kOne ? std::max(call->n_out, 1) : call->n_out);
  const ctn_status status = guarded([&] {
    if constexpr (kOne) {
      results.set(0, fn(Call(*call), vars));
    } else {
      fn(Call(*call), vars, results);
    }
  });
  if (status != CTN_OK) results.clear();
  return status;
}

}  // namespace CTN_SDK_HIDDEN
}  // namespace catena

#endif
