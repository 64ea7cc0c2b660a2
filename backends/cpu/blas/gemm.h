// Matrix products of arrays in memory. The kernels of linear, matmul and others call these; shapes
// and strides have been checked by then.
#pragma once

#include <catena/plugin.h>

#include <cpu/blas/dense.h>

namespace catena::cpu {

// Element (i, j) of a matrix is p[i * row + j * column].
template <class T>
struct Matrix {
  const T* p;
  int64_t row, column;
};

// C[m x n] = A[m x k] * B[k x n] (+ C if add) (+ bias[j]); rows of C are ldc apart.
template <class T>
struct Gemm {
  int64_t m, n, k;
  Matrix<T> a, b;
  T* c;
  int64_t ldc;
  bool add = false;
  const T* bias = nullptr;
};

template <class T>
void gemm(ctn_exec exec, const Dense<T>& dense, const Gemm<T>& g);

// c[i] = a[i] * b[i] for `count` products of one shape; the steps are distances in elements.
template <class T>
void gemm_batch(ctn_exec exec, const Dense<T>& dense, const Gemm<T>& g, int64_t count,
                int64_t step_a, int64_t step_b, int64_t step_c);

// C[i][j] (+)= sum over p of a[i * lda + p] * b[j * ldb + p] (+ bias[j]), in the calling thread and
// without memory: for few rows on one side, or rows that are short-lived.
template <class T>
struct Dots {
  int64_t m, n, k;
  const T* a;
  int64_t lda;
  const T* b;
  int64_t ldb;
  T* c;
  int64_t ldc;
  bool add;
  const T* bias;
};
template <class T>
void dots(const Dense<T>& dense, const Dots<T>& d);

}  // namespace catena::cpu
