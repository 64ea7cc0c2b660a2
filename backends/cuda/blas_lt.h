// A product with a bias in one call of cuBLASLt (EPILOGUE_BIAS). Knows no op.
#pragma once

#include <cuda/device.h>

namespace catena::cuda {

// y = x W^T + b: (m, n) from (m, k), (n, k) and (n), all in C order and of one dtype. Sums are made
// in float32, the bias among them; they are rounded once. tf32: factors of float32 may be rounded
// to TF32.
struct BiasedProduct {
  ctn_dtype dtype;
  int64_t m, n, k;
  const void *x, *w, *b;
  void* y;
  bool tf32;
};

// False, and nothing was queued: there is no cuBLASLt, or it has no kernel for this (logged at
// CTN_LOG_DEBUG of "kernel" once for each kind); or the product is of float64 or of a vector, for
// which cuBLAS has kernels of its own. `workspace` is blas_workspace's.
bool multiply_add_bias(Device& d, ctn_context ctx, const BiasedProduct& p, void* workspace);

}  // namespace catena::cuda
