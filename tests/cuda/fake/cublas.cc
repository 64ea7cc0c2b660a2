// A false cuBLAS on the false driver: strided batches of products, column first, summed in double.
#include <cublas_v2.h>

#include <cstdint>

#include "product.h"

struct cublasContext {
  cudaStream_t stream;
  void* workspace;
};

#define EXPORT __attribute__((visibility("default")))
extern "C" {

// Products for which it had to take memory itself, in captures by nodes of the graph.
static int own_memory = 0;
EXPORT int fake_cublas_own_memory() { return own_memory; }

// How the last product was to be computed.
static cublasComputeType_t last_compute = CUBLAS_COMPUTE_32F;
EXPORT int fake_cublas_compute() { return last_compute; }

EXPORT cublasStatus_t cublasCreate_v2(cublasHandle_t* h) {
  *h = new cublasContext{nullptr, nullptr};
  return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasSetStream_v2(cublasHandle_t h, cudaStream_t s) {
  h->stream = s;
  h->workspace = nullptr;  // its own again
  return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t h, void* p, size_t bytes) {
  if (!is_workspace(p, bytes)) return CUBLAS_STATUS_INVALID_VALUE;
  h->workspace = p;
  return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) {
  return CUBLAS_STATUS_SUCCESS;
}
EXPORT const char* cublasGetStatusString(cublasStatus_t) { return "CUBLAS_STATUS"; }
EXPORT cublasStatus_t cublasGemmStridedBatchedEx(
    cublasHandle_t h, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,
    const void* alpha, const void* a, cudaDataType_t type_a, int lda, long long step_a,
    const void* b, cudaDataType_t type_b, int ldb, long long step_b, const void* beta, void* c,
    cudaDataType_t type_c, int ldc, long long step_c, int count, cublasComputeType_t compute,
    cublasGemmAlgo_t) {
  const bool wide = compute == CUBLAS_COMPUTE_64F;
  const auto scalar = [wide](const void* p) {
    return wide ? *static_cast<const double*>(p)
                : static_cast<double>(*static_cast<const float*>(p));
  };
  const bool fits = lda >= (op_a == CUBLAS_OP_N ? m : k) && ldb >= (op_b == CUBLAS_OP_N ? k : n) &&
                    ldc >= m && m > 0 && n > 0 && k > 0 && type_a == type_b &&
                    (type_c == type_b || (type_c == CUDA_R_32F && !wide)) &&
                    wide == (type_a == CUDA_R_64F);
  if (!fits) return CUBLAS_STATUS_INVALID_VALUE;
  last_compute = compute;
  own_memory += h->workspace == nullptr;
  enqueue_product(h->stream,
                  {op_a,         op_b, m, n, k,       lda,    ldb,    ldc,    count,  scalar(alpha),
                   scalar(beta), a,    b, c, nullptr, step_a, step_b, step_c, type_a, type_c});
  return CUBLAS_STATUS_SUCCESS;
}
}
