// Operands of dense kernels in the type these compute with: float, or double as soon as one array
// of the call is float64. 16-bit floats are widened into scratch memory and rounded back once.
#pragma once

#include <catena/sdk.hpp>

#include <type_traits>

namespace catena::cpu {

// fn.operator()<C>() with the type that the call computes with.
template <class Fn>
void with_compute_type(const sdk::Call& call, Fn&& fn) {
  bool wide = false;
  for (int k = 0; k < call.n_in(); ++k)
    wide |= call.has(k) && call.in(k).dtype_index() == CTN_FLOAT64;
  if (wide) {
    fn.template operator()<double>();
  } else {
    fn.template operator()<float>();
  }
}

// n contiguous elements from one floating dtype to another, rounding to nearest even.
void convert_floats(ctn_exec exec, ctn_dtype from, const void* src, ctn_dtype to, void* dst,
                    int64_t n);

// The elements of t in C order as C; t's own memory if it is that already. NULL for an absent
// input.
template <class C>
const C* widened(const sdk::Run& run, const sdk::Tensor& t);

// Where a kernel writes output k as C: the output itself, or scratch that store() rounds into it.
template <class C>
class Widened {
 public:
  Widened(const sdk::Run& run, int k)
      : run_(run), t_(run.out(k)), direct_(t_.dtype_index() == sdk::kDtypeOf<C>) {
    data_ = direct_ ? t_.data<C>() : run.scratch<C>(t_.size());
  }
  C* data() const { return data_; }
  void store() const {
    if (!direct_)
      convert_floats(run_.exec(), sdk::dtype_of(sdk::kDtypeOf<C>), data_, t_.dtype(), t_.data(),
                     t_.size());
  }

 private:
  const sdk::Run& run_;
  sdk::Tensor t_;
  bool direct_;
  C* data_;
};

}  // namespace catena::cpu
