// Operands of kernels that compute in float32, or in float64 as soon as one array of the call is
// float64: kernels load their large arrays as they are and widen each element; arrays of other
// dtypes than they were made for are converted in scratch memory first.
#pragma once

#include <cuda/native.h>

namespace catena::cuda {

// float32 or float64.
ctn_dtype compute_dtype(const sdk::Call& call);

// What a kernel of this computation is handed in place of arrays of `own`: that, or float64.
inline ctn_dtype handed_dtype(ctn_dtype own, ctn_dtype compute) {
  return sdk::dtype_index(compute) == CTN_FLOAT64 ? compute : own;
}

// n elements of one floating dtype as another, rounded once.
void convert(Device& d, ctn_dtype from, const void* src, ctn_dtype to, void* dst, int64_t n);

// The elements of t in C order as `dtype`: its own memory if it is that already. NULL for an absent
// input.
const void* data_as(const sdk::Run& run, const sdk::Tensor& t, ctn_dtype dtype);

// Where a kernel writes output k as `dtype`: the output itself, or scratch that store() rounds into
// it.
class OutputAs {
 public:
  OutputAs(const sdk::Run& run, int k, ctn_dtype dtype);
  void* data() const { return data_; }
  void store() const;

 private:
  const sdk::Run& run_;
  sdk::Tensor t_;
  ctn_dtype dtype_;
  void* data_;
};

}  // namespace catena::cuda
