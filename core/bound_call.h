// A call with its attributes bound and its inputs seen and checked: what the files behind call.h
// share. Knows ops by id only.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <array>

#include "core/call.h"

namespace catena {

// What a kernel is run on. `in`: NULL where absent, the inputs of followers last; `tensors`: the
// same as kernels see it.
struct KernelCall {
  Context& ctx;
  const Op& op;
  Device& device;
  uint64_t flags;  // configuration
  std::span<Array* const> in;
  std::span<const ctn_tensor> tensors;
  std::span<const ctn_value> attrs;
  std::span<const ctn_follower> followers;

  ctn_call_info info(size_t n_out) const;
};

// How kernels see an array whose data is not needed yet: the layout it has, or its plain data.
ctn_tensor tensor_of(const Array& a);

inline constexpr size_t kStackIn = 16;
inline constexpr size_t kStackAttrs = 24;

// Everything about one call, on the stack.
class Call {
 public:
  Context& ctx;
  const Op& op;
  std::span<Variable* const> in;
  const uint64_t flags;

  Call(Context& c, const Op& o, std::span<Variable* const> given,
       std::span<const ctn_value> values);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Device& device() const { return *device_; }
  std::span<const ctn_value> attrs() const { return {attrs_, op.attrs.size()}; }
  const ctn_value& attr(int32_t i) const { return attrs_[i]; }
  std::span<Array* const> arrays() const { return {arrays_, in.size()}; }
  KernelCall for_kernel() const {
    return {ctx, op, *device_, flags, arrays(), {tensors_, in.size()}, attrs(), {}};
  }
  int32_t visible_outputs() const;
  // Whether it would be part of a graph.
  bool is_recorded() const;
  // Some input is not computed yet: its tensor has no data until see_waiting().
  bool has_waiting() const { return has_waiting_; }
  void see_waiting();

 private:
  void pad_inputs();
  void view_inputs();
  void check_types() const;
  void check_same() const;

  std::array<ctn_tensor, kStackIn> tensor_room_;
  std::array<Array*, kStackIn> array_room_;
  std::array<ctn_value, kStackAttrs> attr_room_;
  std::vector<ctn_tensor> tensor_heap_;
  std::vector<Array*> array_heap_;
  std::vector<ctn_value> attr_heap_;
  std::vector<Variable*> in_heap_;
  ctn_tensor* tensors_ = tensor_room_.data();
  Array** arrays_ = array_room_.data();
  ctn_value* attrs_ = attr_room_.data();
  Device* device_ = nullptr;
  bool has_waiting_ = false;
};

// ---- primitives (primitive.cc)

// The outputs of a primitive: what infer says, then fresh arrays, views, copies or the inputs
// themselves.
class Outputs {
 public:
  std::vector<ctn_out_spec> specs;
  std::vector<Ref<Array>> arrays;  // after make()
  bool took_input = false;         // the plan's `onto`: its memory is that of output 0

  Outputs(const KernelCall& c, size_t n);
  // One fresh array like this one.
  explicit Outputs(const Array& like);
  size_t size() const { return specs.size(); }
  std::span<const int64_t> shape(size_t k) const {
    return {specs[k].shape, static_cast<size_t>(specs[k].ndim)};
  }
  bool any_new() const;
  // One fresh array of this shape and dtype, and nothing else.
  bool is_like(std::span<const int64_t> shape, int dtype) const;
  void make(const KernelCall& c, const Plan* plan);
  // Tensors without data, for those who decide how the outputs are made.
  std::span<const ctn_tensor> describe(const KernelCall& c);

 private:
  friend void run_kernel(const KernelCall& c, const Kernel& kernel, Outputs& outs);
  void set_room();
  void check(const KernelCall& c, size_t k) const;
  static Array& source(const KernelCall& c, const ctn_out_spec& s) {
    return *c.in[static_cast<size_t>(s.source)];
  }
  void open(const Plan* plan, Exec& exec);
  void written() const;
  bool empty() const;

  std::vector<int64_t> dims_;
  std::vector<ctn_tensor> tensors_;
};

// Runs it at once, alone and without a graph.
Ref<Array> call_now(Context& ctx, const Op& op, std::span<const Ref<Array>> in,
                    std::span<const ctn_value> attrs);

const Kernel& choose_kernel(const KernelCall& c, Outputs& outs);
void run_kernel(const KernelCall& c, const Kernel& kernel, Outputs& outs);
void call_primitive(Call& c, bool may_wait, std::span<Variable*> out);

}  // namespace catena
