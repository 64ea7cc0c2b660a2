// A false cuBLAS on the false driver: strided batches of products, column first, summed in double.
#include <catena/sdk/float16.hpp>

#include <cublas_v2.h>
#include <dlfcn.h>

#include <cstdint>

#include "driver.h"

using catena::sdk::narrow_bfloat16, catena::sdk::narrow_float16;
using catena::sdk::widen_bfloat16, catena::sdk::widen_float16;

struct cublasContext {
  cudaStream_t stream;
  void* workspace;
};

namespace {

struct Job {
  cublasOperation_t op_a, op_b;
  int m, n, k, lda, ldb, ldc, count;
  double alpha, beta;
  const void *a, *b;
  void* c;
  long long step_a, step_b, step_c;
  cudaDataType_t type, type_c;
};

double read(cudaDataType_t type, const void* p, long long at) {
  switch (type) {
    case CUDA_R_64F: return static_cast<const double*>(p)[at];
    case CUDA_R_16BF:
      return static_cast<double>(widen_bfloat16(static_cast<const uint16_t*>(p)[at]));
    case CUDA_R_16F: return static_cast<double>(widen_float16(static_cast<const uint16_t*>(p)[at]));
    default: return static_cast<double>(static_cast<const float*>(p)[at]);
  }
}

void write(const Job& j, long long at, double v) {
  const auto f = static_cast<float>(v);
  switch (j.type_c) {
    case CUDA_R_64F: static_cast<double*>(j.c)[at] = v; break;
    case CUDA_R_16BF: static_cast<uint16_t*>(j.c)[at] = narrow_bfloat16(f); break;
    case CUDA_R_16F: static_cast<uint16_t*>(j.c)[at] = narrow_float16(f); break;
    default: static_cast<float*>(j.c)[at] = f;
  }
}

void run(void* arg) {
  auto* j = static_cast<Job*>(arg);
  for (int p = 0; p < j->count; ++p) {
    for (int col = 0; col < j->n; ++col) {
      for (int row = 0; row < j->m; ++row) {
        double sum = 0;
        for (int i = 0; i < j->k; ++i) {
          const long long at_a = j->op_a == CUBLAS_OP_N ? row + static_cast<long long>(i) * j->lda
                                                        : i + static_cast<long long>(row) * j->lda;
          const long long at_b = j->op_b == CUBLAS_OP_N ? i + static_cast<long long>(col) * j->ldb
                                                        : col + static_cast<long long>(i) * j->ldb;
          sum +=
              read(j->type, j->a, p * j->step_a + at_a) * read(j->type, j->b, p * j->step_b + at_b);
        }
        const long long at = p * j->step_c + row + static_cast<long long>(col) * j->ldc;
        const double old = j->beta == 0 ? 0 : read(j->type_c, j->c, at);
        write(*j, at, j->alpha * sum + j->beta * old);
      }
    }
  }
}

}  // namespace

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
  const auto owns = reinterpret_cast<decltype(&fake_cuda_owns)>(
      dlsym(dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD), "fake_cuda_owns"));
  if (reinterpret_cast<uintptr_t>(p) % 256 != 0 || !owns(p, bytes))
    return CUBLAS_STATUS_INVALID_VALUE;
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
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  const auto enqueue =
      reinterpret_cast<decltype(&fake_cuda_enqueue)>(dlsym(driver, "fake_cuda_enqueue"));
  enqueue(h->stream, run,
          new Job{op_a, op_b, m, n, k, lda, ldb, ldc, count, scalar(alpha), scalar(beta), a, b, c,
                  step_a, step_b, step_c, type_a, type_c},
          [](void* job) { delete static_cast<Job*>(job); });
  return CUBLAS_STATUS_SUCCESS;
}
}
