// See blas.h. cuBLAS counts columns first: a product in C order is that of the transposes, the
// other way round.
#include <cuda/blas.h>
#include <cuda/blas_types.h>
#include <cuda/library.h>
#include <cuda/native.h>

#include <climits>

namespace catena::cuda {
namespace {

#define CATENA_CUDA_BLAS(X) \
  X(cublasCreate)           \
  X(cublasSetStream)        \
  X(cublasSetWorkspace)     \
  X(cublasSetMathMode)      \
  X(cublasGetStatusString)

// The header overloads it; this is the one that the library exports.
using GemmFn = cublasStatus_t(CUBLASWINAPI*)(cublasHandle_t, cublasOperation_t, cublasOperation_t,
                                             int, int, int, const void*, const void*,
                                             cudaDataType_t, int, long long, const void*,
                                             cudaDataType_t, int, long long, const void*, void*,
                                             cudaDataType_t, int, long long, int,
                                             cublasComputeType_t, cublasGemmAlgo_t);

struct Blas {
#define CATENA_MEMBER(name) decltype(&::name) name = nullptr;
  CATENA_CUDA_BLAS(CATENA_MEMBER)
#undef CATENA_MEMBER
  GemmFn gemm = nullptr;
  std::string why;
};

#define CATENA_TEXT(name) #name
#define CATENA_NAME(name) CATENA_TEXT(name)

std::string start(Blas& b) {
  Library library = open_library({"libcublas.so.13", "libcublas.so.12", "libcublas.so"},
                                 "cuBLAS of the CUDA toolkit multiplies matrices; CUDA_PATH may "
                                 "say where it is");
  if (!library.handle) return library.why;
#define CATENA_FILL(name)                                                                \
  b.name = reinterpret_cast<decltype(&::name)>(find_symbol(library, CATENA_NAME(name))); \
  if (!b.name) return library.why + ": it is too old";
  CATENA_CUDA_BLAS(CATENA_FILL)
#undef CATENA_FILL
  b.gemm = reinterpret_cast<GemmFn>(find_symbol(library, "cublasGemmStridedBatchedEx"));
  if (!b.gemm) return library.why + ": it is too old";
  return "";
}

const Blas& blas() {
  static const Blas* const b = [] {
    auto* made = new Blas;
    made->why = start(*made);
    return made;
  }();
  return *b;
}

void check(const Device& d, cublasStatus_t s, const char* doing) {
  if (s == CUBLAS_STATUS_SUCCESS) return;
  sdk::fail(s == CUBLAS_STATUS_ALLOC_FAILED ? CTN_ENOMEM : CTN_EDEVICE, d.name, ": cuBLAS: ", doing,
            ": ", blas().cublasGetStatusString(s));
}

// One a device, as a handle is for one thread at a time. Its workspace is that of the run: cuBLAS's
// own would be no part of the context's memory, and in a capture be taken and given back by every
// replay.
struct Handle {
  std::mutex mutex;
  cublasHandle_t handle = nullptr;
  CUstream stream = nullptr;
  void* workspace = nullptr;
};

// With the device current.
cublasHandle_t open(Device& d) {
  cublasHandle_t made = nullptr;
  check(d, blas().cublasCreate(&made), "opening it");
  // Sums of 16-bit products stay in float32 whatever cuBLAS splits.
  check(d,
        blas().cublasSetMathMode(
            made, static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH |
                                            CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION)),
        "choosing the precision");
  return made;
}

// With its mutex held and the device current: what it queues goes where this thread's work goes.
cublasHandle_t ready(Device& d, Handle& h, void* workspace) {
  if (!h.handle) h.handle = open(d);
  const CUstream stream = d.stream;
  if (h.stream == stream && h.workspace == workspace) return h.handle;
  h.workspace = nullptr;
  if (h.stream != stream) {  // the workspace is forgotten with it
    h.stream = nullptr;
    check(d, blas().cublasSetStream(h.handle, stream), "choosing the stream");
    h.stream = stream;
  }
  check(
      d,
      blas().cublasSetWorkspace(h.handle, workspace, static_cast<size_t>(blas_workspace_bytes(d))),
      "choosing the workspace");
  h.workspace = workspace;
  return h.handle;
}

int small(int64_t n) {
  if (n > INT_MAX) sdk::fail(CTN_EUNSUPPORTED, "cuda: a matrix with a side of ", n);
  return static_cast<int>(n);
}

}  // namespace

const std::string& blas_why() { return blas().why; }

// A block of its own for the runtime, which begins where cuBLAS wants it: at a multiple of 256.
void* blas_workspace(const sdk::Run& run) {
  return run.scratch<char>(blas_workspace_bytes(device_of(run)));
}

void multiply(Device& d, const Product& p, void* workspace) {
  if (!blas_why().empty()) sdk::fail(CTN_EUNSUPPORTED, "cuda: ", blas_why());
  static Handle* const handles = new Handle[kMaxDevices];
  Handle& h = handles[d.index];
  const BlasTypes t = blas_types(p.dtype, p.tf32);
  const int m = small(p.m), n = small(p.n), k = small(p.k);
  const int lda = p.ld_a ? small(p.ld_a) : p.trans_a ? m : k;
  const int ldb = p.ld_b ? small(p.ld_b) : p.trans_b ? k : n;
  const int ldc = p.ld_c ? small(p.ld_c) : n;
  const cudaDataType_t result =
      p.float32_c && t.compute != CUBLAS_COMPUTE_64F ? CUDA_R_32F : t.data;
  const float one = 1, rest = p.add ? 1 : 0;
  const double one64 = 1, rest64 = p.add ? 1 : 0;
  const bool wide = t.compute == CUBLAS_COMPUTE_64F;
  const auto op = [](bool transposed) { return transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  const std::lock_guard lock(h.mutex);
  const Current current(d);
  check(d,
        blas().gemm(ready(d, h, workspace), op(p.trans_b), op(p.trans_a), n, m, k,
                    wide ? static_cast<const void*>(&one64) : &one, p.b, t.data, ldb, p.step_b, p.a,
                    t.data, lda, p.step_a, wide ? static_cast<const void*>(&rest64) : &rest, p.c,
                    result, ldc, p.step_c ? p.step_c : p.m * p.n, small(p.count), t.compute,
                    CUBLAS_GEMM_DEFAULT),
        "a product");
}

}  // namespace catena::cuda
