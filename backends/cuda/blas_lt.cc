// See blas_lt.h. cuBLASLt counts columns first: what it computes here is y transposed, (n, m), from
// W and x transposed, and its bias has an element for each row of that.
#include <cuda/blas_lt.h>
#include <cuda/blas_types.h>
#include <cuda/library.h>

#include <cublasLt.h>

#include <algorithm>
#include <array>
#include <bit>
#include <climits>
#include <map>
#include <optional>

namespace catena::cuda {
namespace {

#define CATENA_CUDA_BLAS_LT(X)            \
  X(cublasLtCreate)                       \
  X(cublasLtGetStatusString)              \
  X(cublasLtMatmul)                       \
  X(cublasLtMatmulAlgoGetHeuristic)       \
  X(cublasLtMatmulDescCreate)             \
  X(cublasLtMatmulDescDestroy)            \
  X(cublasLtMatmulDescSetAttribute)       \
  X(cublasLtMatmulPreferenceCreate)       \
  X(cublasLtMatmulPreferenceDestroy)      \
  X(cublasLtMatmulPreferenceSetAttribute) \
  X(cublasLtMatrixLayoutCreate)           \
  X(cublasLtMatrixLayoutDestroy)

struct Lt {
#define CATENA_MEMBER(name) decltype(&::name) name = nullptr;
  CATENA_CUDA_BLAS_LT(CATENA_MEMBER)
#undef CATENA_MEMBER
};

// NULL: it is not there, or too old. cuBLAS needs it, and tells what is missing.
const Lt* start() {
  Library library = open_library({"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"},
                                 "a part of cuBLAS");
  if (!library.handle) return nullptr;
  auto made = std::make_unique<Lt>();
#define CATENA_FILL(name)                                                        \
  made->name = reinterpret_cast<decltype(&::name)>(find_symbol(library, #name)); \
  if (!made->name) return nullptr;
  CATENA_CUDA_BLAS_LT(CATENA_FILL)
#undef CATENA_FILL
  return made.release();
}

const Lt* lt() {
  static const Lt* const found = start();
  return found;
}

void check(std::string_view who, cublasStatus_t s, const char* doing) {
  if (s == CUBLAS_STATUS_SUCCESS) return;
  sdk::fail(s == CUBLAS_STATUS_ALLOC_FAILED ? CTN_ENOMEM : CTN_EDEVICE, who, ": cuBLASLt: ", doing,
            ": ", lt()->cublasLtGetStatusString(s));
}

// It has no such kernel, whether it says so at once or when it is to run.
bool declines(cublasStatus_t s) {
  return s == CUBLAS_STATUS_NOT_SUPPORTED || s == CUBLAS_STATUS_ARCH_MISMATCH;
}

// ---- descriptors

template <class T, auto kDestroy>
class Owned {
 public:
  Owned() = default;
  ~Owned() {
    if (p) (lt()->*kDestroy)(p);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  T p = nullptr;
};

struct Operation : Owned<cublasLtMatmulDesc_t, &Lt::cublasLtMatmulDescDestroy> {
  Operation(const BlasTypes& t, const void* bias) {
    check("cuda", lt()->cublasLtMatmulDescCreate(&p, t.compute, CUDA_R_32F), "making a descriptor");
    set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  template <class V>
  void set(cublasLtMatmulDescAttributes_t what, V value) {
    check("cuda", lt()->cublasLtMatmulDescSetAttribute(p, what, &value, sizeof value),
          "filling a descriptor");
  }
};

struct Layout : Owned<cublasLtMatrixLayout_t, &Lt::cublasLtMatrixLayoutDestroy> {
  Layout(cudaDataType_t type, int64_t rows, int64_t columns) {
    check("cuda",
          lt()->cublasLtMatrixLayoutCreate(&p, type, static_cast<uint64_t>(rows),
                                           static_cast<uint64_t>(columns), rows),
          "making a descriptor");
  }
};

struct Preference : Owned<cublasLtMatmulPreference_t, &Lt::cublasLtMatmulPreferenceDestroy> {
  Preference() { check("cuda", lt()->cublasLtMatmulPreferenceCreate(&p), "making a descriptor"); }
  template <class V>
  void set(cublasLtMatmulPreferenceAttributes_t what, V value) {
    check("cuda", lt()->cublasLtMatmulPreferenceSetAttribute(p, what, &value, sizeof value),
          "filling a descriptor");
  }
};

// ---- algorithms

// Of an address, as far as kernels care: they read up to 16 bytes at a time. What the allocator
// gives is as aligned as algorithms may ask for.
uint32_t alignment(const void* p) {
  const auto at = reinterpret_cast<uintptr_t>(p);
  return at % 256 == 0 ? 256 : uint32_t{1} << std::countr_zero(at | 16);
}

// All that the choice follows from.
using Key = std::array<int64_t, 10>;
Key key_of(const Device& d, const BlasTypes& t, const BiasedProduct& p) {
  return {d.index,        t.data,         t.compute,      p.m,           p.n, p.k,
          alignment(p.x), alignment(p.w), alignment(p.b), alignment(p.y)};
}

// What was chosen for products of a kind, or that there is nothing for it. Bounded.
class Chosen {
 public:
  using Algorithm = std::optional<cublasLtMatmulAlgo_t>;
  std::optional<Algorithm> find(const Key& key) {
    const std::lock_guard lock(mutex_);
    const auto at = all_.find(key);
    return at == all_.end() ? std::optional<Algorithm>() : at->second;
  }
  void put(const Key& key, const Algorithm& algorithm) {
    const std::lock_guard lock(mutex_);
    if (all_.size() >= kMost) all_.clear();
    all_.insert_or_assign(key, algorithm);
  }

 private:
  static constexpr size_t kMost = 4096;
  std::mutex mutex_;
  std::map<Key, Algorithm> all_;
};

// For any thread: it holds nothing that a call changes. With the device current.
cublasLtHandle_t handle_of(Device& d) {
  struct Slot {
    std::mutex mutex;
    cublasLtHandle_t handle = nullptr;
  };
  static Slot* const slots = new Slot[kMaxDevices];
  Slot& slot = slots[d.index];
  const std::lock_guard lock(slot.mutex);
  if (!slot.handle) check(d.name, lt()->cublasLtCreate(&slot.handle), "opening it");
  return slot.handle;
}

// What cuBLASLt has for the product, if anything. With the device current.
Chosen::Algorithm choose(const Device& d, cublasLtHandle_t handle, const BiasedProduct& p,
                         const Operation& operation, const Layout& w, const Layout& x,
                         const Layout& y) {
  Preference wanted;
  wanted.set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
             static_cast<uint64_t>(blas_workspace_bytes(d)));
  // Parts of a sum stay in the type of the sum, and are added in one order.
  wanted.set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
             uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  wanted.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(p.w));
  wanted.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(p.x));
  wanted.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(p.y));
  wanted.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(p.y));
  cublasLtMatmulHeuristicResult_t best{};
  int count = 0;
  const cublasStatus_t s = lt()->cublasLtMatmulAlgoGetHeuristic(handle, operation.p, w.p, x.p, y.p,
                                                                y.p, wanted.p, 1, &best, &count);
  if (declines(s)) return {};
  check(d.name, s, "choosing an algorithm");
  if (count == 0 || best.state != CUBLAS_STATUS_SUCCESS) return {};
  return best.algo;
}

void log_none(ctn_context ctx, const Device& d, const BiasedProduct& p) {
  const std::string text =
      sdk::text(d.name, lt() ? ": cuBLASLt has no kernel for " : ": there is no cuBLASLt for ",
                sdk::dtype_name(p.dtype), " ", p.m, "x", p.k, " times ", p.k, "x", p.n,
                " and a bias, which is put there first");
  sdk::host->log(ctx, CTN_LOG_DEBUG, sdk::str("kernel"), sdk::str(text));
}

}  // namespace

bool multiply_add_bias(Device& d, ctn_context ctx, const BiasedProduct& p, void* workspace) {
  const BlasTypes t = blas_types(p.dtype, p.tf32);
  if (t.compute == CUBLAS_COMPUTE_64F) return false;
  if (p.m == 1 || p.n == 1 || std::max({p.m, p.n, p.k}) > INT_MAX) return false;
  static Chosen* const all = new Chosen;
  const Key key = key_of(d, t, p);
  std::optional<Chosen::Algorithm> chosen = all->find(key);
  if (chosen && !*chosen) return false;
  if (!lt()) {
    all->put(key, std::nullopt);
    log_none(ctx, d, p);
    return false;
  }

  const Current current(d);
  const cublasLtHandle_t handle = handle_of(d);
  const Operation operation(t, p.b);
  const Layout w(t.data, p.k, p.n), x(t.data, p.k, p.m), y(t.data, p.n, p.m);
  if (!chosen) {
    chosen = choose(d, handle, p, operation, w, x, y);
    all->put(key, *chosen);
  }
  if (*chosen) {
    const float one = 1, zero = 0;
    const cublasStatus_t s = lt()->cublasLtMatmul(
        handle, operation.p, &one, p.w, w.p, p.x, x.p, &zero, p.y, y.p, p.y, y.p, &**chosen,
        workspace, static_cast<size_t>(blas_workspace_bytes(d)), d.stream);
    if (!declines(s)) {
      check(d.name, s, "a product with a bias");
      return true;
    }
    all->put(key, std::nullopt);
  }
  log_none(ctx, d, p);
  return false;
}

}  // namespace catena::cuda
