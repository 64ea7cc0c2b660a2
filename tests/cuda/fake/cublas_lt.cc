// A false cuBLASLt on the false driver: products of W transposed and x, with a bias and no more.
#include <cublasLt.h>

#include <cstring>

#include "product.h"

namespace {

struct Operation {
  cublasComputeType_t compute;
  cublasOperation_t a = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};
struct Layout {
  cudaDataType_t type;
  int rows, columns;
  int64_t ld;
};
struct Preference {
  uint64_t workspace = 0;
  uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
  uint32_t a = 256, b = 256, c = 256, d = 256;  // least alignments of addresses
  uint32_t bias = 1;                            // that of the bias it was chosen for
};

template <class T, class Opaque>
T* real(Opaque* p) {
  return reinterpret_cast<T*>(p);
}

int products = 0, refusing = 0, descriptors = 0;

// What of an address says how it is aligned, up to 16 bytes.
uint32_t least_bits(const void* p) {
  const auto at = reinterpret_cast<uintptr_t>(p) | 16;
  return static_cast<uint32_t>(at & -at);
}

// Descriptors that are handed out, and taken back.
template <class Opaque, class T>
cublasStatus_t hand_out(Opaque** out, const T& made) {
  *out = reinterpret_cast<Opaque*>(new T(made));
  ++descriptors;
  return CUBLAS_STATUS_SUCCESS;
}
template <class T, class Opaque>
cublasStatus_t take_back(Opaque* p) {
  delete real<T>(p);
  --descriptors;
  return CUBLAS_STATUS_SUCCESS;
}

bool is_aligned(const void* p, uint32_t bytes) {
  return reinterpret_cast<uintptr_t>(p) % bytes == 0;
}

template <class T>
cublasStatus_t put(T& to, const void* value, size_t bytes) {
  if (bytes != sizeof to) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&to, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

#define EXPORT __attribute__((visibility("default")))
extern "C" {

// Products run so far; descriptors that are there.
EXPORT int fake_cublas_lt_products() { return products; }
EXPORT int fake_cublas_lt_descriptors() { return descriptors; }
// 1: it says that there is no algorithm; 2: it says nothing and has none; 3: it has one that then
// cannot run; 4: choosing breaks.
EXPORT void fake_cublas_lt_refuse(int how) { refusing = how; }

EXPORT cublasStatus_t cublasLtCreate(cublasLtHandle_t* h) {
  static int opened;
  *h = reinterpret_cast<cublasLtHandle_t>(&opened);
  return CUBLAS_STATUS_SUCCESS;
}
EXPORT const char* cublasLtGetStatusString(cublasStatus_t) { return "CUBLAS_STATUS"; }

EXPORT cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* d, cublasComputeType_t compute,
                                               cudaDataType_t scale) {
  if (scale != CUDA_R_32F) return CUBLAS_STATUS_INVALID_VALUE;
  return hand_out(d, Operation{compute});
}
EXPORT cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d) {
  return take_back<Operation>(d);
}
EXPORT cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d,
                                                     cublasLtMatmulDescAttributes_t what,
                                                     const void* value, size_t bytes) {
  auto* o = real<Operation>(d);
  switch (what) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return put(o->a, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return put(o->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return put(o->bias, value, bytes);
    default: return CUBLAS_STATUS_INVALID_VALUE;
  }
}

EXPORT cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* l, cudaDataType_t type,
                                                 uint64_t rows, uint64_t columns, int64_t ld) {
  if (rows == 0 || columns == 0 || ld < static_cast<int64_t>(rows))
    return CUBLAS_STATUS_INVALID_VALUE;
  return hand_out(l, Layout{type, static_cast<int>(rows), static_cast<int>(columns), ld});
}
EXPORT cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l) {
  return take_back<Layout>(l);
}

EXPORT cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* p) {
  return hand_out(p, Preference{});
}
EXPORT cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p) {
  return take_back<Preference>(p);
}
EXPORT cublasStatus_t cublasLtMatmulPreferenceSetAttribute(
    cublasLtMatmulPreference_t pref, cublasLtMatmulPreferenceAttributes_t what, const void* value,
    size_t bytes) {
  auto* p = real<Preference>(pref);
  switch (what) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: return put(p->workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: return put(p->reductions, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: return put(p->a, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: return put(p->b, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: return put(p->c, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: return put(p->d, value, bytes);
    default: return CUBLAS_STATUS_INVALID_VALUE;
  }
}

// What it gives is the preference itself, so that the product can see whether it was kept.
EXPORT cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc,
                                                     cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                                     cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                                     cublasLtMatmulPreference_t wanted, int most,
                                                     cublasLtMatmulHeuristicResult_t* results,
                                                     int* count) {
  *count = 0;
  if (most < 1) return CUBLAS_STATUS_INVALID_VALUE;
  if (refusing == 1) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (refusing == 2) return CUBLAS_STATUS_SUCCESS;
  if (refusing == 4) return CUBLAS_STATUS_INTERNAL_ERROR;
  *results = {};
  Preference kept = *real<Preference>(wanted);
  kept.bias = least_bits(real<Operation>(desc)->bias);
  static_assert(sizeof(Preference) <= sizeof results->algo);
  std::memcpy(&results->algo, &kept, sizeof kept);
  results->state = CUBLAS_STATUS_SUCCESS;
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void* alpha,
                                     const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                                     cublasLtMatrixLayout_t b_layout, const void* beta,
                                     const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                                     cublasLtMatrixLayout_t d_layout,
                                     const cublasLtMatmulAlgo_t* algo, void* workspace,
                                     size_t bytes, cudaStream_t stream) {
  if (refusing == 3) return CUBLAS_STATUS_NOT_SUPPORTED;
  const auto& o = *real<Operation>(desc);
  const auto &la = *real<Layout>(a_layout), &lb = *real<Layout>(b_layout),
             &ld = *real<Layout>(d_layout);
  Preference p;
  std::memcpy(static_cast<void*>(&p), algo, sizeof p);
  const bool fits = o.a == CUBLAS_OP_T && o.epilogue == CUBLASLT_EPILOGUE_BIAS && o.bias &&
                    c == d && c_layout == d_layout && la.ld == la.rows && lb.ld == lb.rows &&
                    (o.compute == CUBLAS_COMPUTE_32F ||
                     (o.compute == CUBLAS_COMPUTE_32F_FAST_TF32 && la.type == CUDA_R_32F)) &&
                    p.reductions == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE &&
                    is_aligned(o.bias, p.bias) && la.rows == lb.rows && la.columns == ld.rows &&
                    lb.columns == ld.columns && la.type == lb.type && lb.type == ld.type &&
                    la.type != CUDA_R_64F && p.workspace <= bytes &&
                    is_workspace(workspace, bytes) && is_aligned(a, p.a) && is_aligned(b, p.b) &&
                    is_aligned(c, p.c) && is_aligned(d, p.d) &&
                    *static_cast<const float*>(alpha) == 1 && *static_cast<const float*>(beta) == 0;
  if (!fits) return CUBLAS_STATUS_EXECUTION_FAILED;
  ++products;
  enqueue_product(stream, {CUBLAS_OP_T,
                           CUBLAS_OP_N,
                           ld.rows,
                           ld.columns,
                           la.rows,
                           static_cast<int>(la.ld),
                           static_cast<int>(lb.ld),
                           static_cast<int>(ld.ld),
                           1,
                           1,
                           0,
                           a,
                           b,
                           d,
                           o.bias,
                           0,
                           0,
                           0,
                           la.type,
                           ld.type});
  return CUBLAS_STATUS_SUCCESS;
}
}
