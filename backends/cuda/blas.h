// cuBLAS as a table of the functions used, opened at the first product, and row-major products on
// it. Knows no op.
#pragma once

#include <cuda/device.h>

namespace catena::cuda {

// Empty if there is cuBLAS; otherwise why not.
const std::string& blas_why();

// c[k] = op(a[k]) * op(b[k]) (+ c[k]) for `count` pairs: m x n from m x k and k x n, all in C
// order. 16-bit floats are summed in float32. step: elements from one matrix to the next, 0 shares
// it (c: 0 is m * n). ld: elements from one stored row to the next, 0: there are none between.
// tf32: factors of float32 may be rounded to TF32. float32_c: c is that of 16-bit factors too.
struct Product {
  ctn_dtype dtype;
  int64_t m, n, k, count;
  const void* a;
  bool trans_a;
  int64_t step_a;
  const void* b;
  bool trans_b;
  int64_t step_b;
  void* c;
  bool add;
  bool tf32 = false;
  int64_t ld_a = 0, ld_b = 0, ld_c = 0, step_c = 0;
  bool float32_c = false;
};
// Scratch memory that the products of a run share, as they are in the order of one stream.
void* blas_workspace(const sdk::Run& run);
void multiply(Device& d, const Product& p, void* workspace);

}  // namespace catena::cuda
