// How cuBLAS and cuBLASLt name what they compute with.
#pragma once

#include <cuda/device.h>

#include <cublas_v2.h>

namespace catena::cuda {

struct BlasTypes {
  cudaDataType_t data;
  cublasComputeType_t compute;
};
// tf32: factors of float32 may be rounded to TF32. Throws CTN_EUNSUPPORTED for other dtypes.
inline BlasTypes blas_types(ctn_dtype dtype, bool tf32) {
  switch (sdk::dtype_index(dtype)) {
    case CTN_FLOAT16: return {CUDA_R_16F, CUBLAS_COMPUTE_32F};
    case CTN_BFLOAT16: return {CUDA_R_16BF, CUBLAS_COMPUTE_32F};
    case CTN_FLOAT32: return {CUDA_R_32F, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F};
    case CTN_FLOAT64: return {CUDA_R_64F, CUBLAS_COMPUTE_64F};
    default: sdk::fail(CTN_EUNSUPPORTED, "cuda: no product of ", sdk::dtype_name(dtype));
  }
}

// Bytes of the workspace of a product: what cuBLAS would take for itself, as its documentation
// recommends. The same for every product: with less, it may add up in another order.
inline int64_t blas_workspace_bytes(const Device& d) {
  return int64_t{d.major >= 9 ? 32 : 4} << 20;
}

}  // namespace catena::cuda
