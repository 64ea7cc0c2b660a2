// Products as the false cuBLAS and cuBLASLt compute them: strided batches, column first, summed in
// double, when the stream comes to them.
#pragma once

#include <catena/sdk/float16.hpp>

#include <cublas_v2.h>
#include <dlfcn.h>

#include <cstdint>

#include "driver.h"

using catena::sdk::narrow_bfloat16, catena::sdk::narrow_float16;
using catena::sdk::widen_bfloat16, catena::sdk::widen_float16;

struct Product {
  cublasOperation_t op_a, op_b;
  int m, n, k, lda, ldb, ldc, count;
  double alpha, beta;
  const void *a, *b;
  void* c;
  const void* bias;  // or NULL: of c's type, an element for each row
  long long step_a, step_b, step_c;
  cudaDataType_t type, type_c;
};

inline double read(cudaDataType_t type, const void* p, long long at) {
  switch (type) {
    case CUDA_R_64F: return static_cast<const double*>(p)[at];
    case CUDA_R_16BF:
      return static_cast<double>(widen_bfloat16(static_cast<const uint16_t*>(p)[at]));
    case CUDA_R_16F: return static_cast<double>(widen_float16(static_cast<const uint16_t*>(p)[at]));
    default: return static_cast<double>(static_cast<const float*>(p)[at]);
  }
}

inline void write(const Product& j, long long at, double v) {
  const auto f = static_cast<float>(v);
  switch (j.type_c) {
    case CUDA_R_64F: static_cast<double*>(j.c)[at] = v; break;
    case CUDA_R_16BF: static_cast<uint16_t*>(j.c)[at] = narrow_bfloat16(f); break;
    case CUDA_R_16F: static_cast<uint16_t*>(j.c)[at] = narrow_float16(f); break;
    default: static_cast<float*>(j.c)[at] = f;
  }
}

inline void run_product(void* arg) {
  auto* j = static_cast<Product*>(arg);
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
        const double more = j->bias ? read(j->type_c, j->bias, row) : 0;
        write(*j, at, j->alpha * sum + j->beta * old + more);
      }
    }
  }
}

// A function of the false driver, which is in the process by now.
template <class F>
F* of_driver(const char* name) {
  return reinterpret_cast<F*>(dlsym(dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD), name));
}

inline void enqueue_product(void* stream, const Product& p) {
  of_driver<decltype(fake_cuda_enqueue)>("fake_cuda_enqueue")(
      stream, run_product, new Product(p), [](void* job) { delete static_cast<Product*>(job); });
}

// Whether it can be a product's workspace.
inline bool is_workspace(const void* p, size_t bytes) {
  return reinterpret_cast<uintptr_t>(p) % 256 == 0 &&
         of_driver<decltype(fake_cuda_owns)>("fake_cuda_owns")(p, bytes);
}
