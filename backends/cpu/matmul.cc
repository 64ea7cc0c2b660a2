// Kernels of linear and matmul: what their arrays are as matrices.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <cpu/add_kernels.h>
#include <cpu/blas/gemm.h>
#include <cpu/kernels.h>
#include <cpu/widen.h>

namespace catena::cpu {
namespace {

using sdk::Run;
using sdk::Tensor;

// The last two dimensions as a matrix of C, with strides if t may be read where it is.
template <class C>
Matrix<C> matrix(const Run& run, const Tensor& t, bool transposed) {
  const int n = t.ndim();
  Matrix<C> m{nullptr, t.shape(n - 1), 1};
  if (t.dtype_index() == sdk::kDtypeOf<C> && n == 2) {
    m = {t.data<const C>(), t.stride(0), t.stride(1)};
  } else {
    m.p = widened<C>(run, t);
  }
  if (transposed) std::swap(m.row, m.column);
  return m;
}

void linear(const Run& run) {
  const Tensor x = run.in(in::linear::x), w = run.in(in::linear::W), y = run.out(0);
  with_compute_type(run, [&]<class C>() {
    const int64_t m = y.shape(0), n = y.shape(1), k = w.shape(1);
    const Matrix<C> a =
        x.ndim() == 2 ? matrix<C>(run, x, false) : Matrix<C>{widened<C>(run, x), k, 1};
    const C* bias = run.has(in::linear::b) ? widened<C>(run, run.in(in::linear::b)) : nullptr;
    const Widened<C> out(run, 0);
    gemm<C>(run.exec(), dense<C>(),
            {m, n, k, a, matrix<C>(run, w, true), out.data(), n, false, bias});
    out.store();
  });
}

void matmul(const Run& run) {
  const Tensor a = run.in(in::matmul::a), b = run.in(in::matmul::b), y = run.out(0);
  with_compute_type(run, [&]<class C>() {
    const Widened<C> out(run, 0);
    if (a.ndim() == 1) {
      gemm<C>(run.exec(), dense<C>(),
              {1,
               1,
               a.shape(0),
               {widened<C>(run, a), 0, 1},
               {widened<C>(run, b), 1, 0},
               out.data(),
               1});
    } else {
      const int d = y.ndim();
      const bool transa = run.b(attr::matmul::transa);
      const int64_t m = y.shape(d - 2), n = y.shape(d - 1), k = a.shape(transa ? d - 2 : d - 1);
      const int64_t count = sdk::size_of(y.shape().first(static_cast<size_t>(d - 2)));
      gemm_batch<C>(run.exec(), dense<C>(),
                    {m, n, k, matrix<C>(run, a, transa),
                     matrix<C>(run, b, run.b(attr::matmul::transb)), out.data(), n},
                    count, m * k, k * n, m * n);
    }
    out.store();
  });
}

}  // namespace

ctn_status register_matmul(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"linear", CTN_KERNEL_STRIDED, sdk::kernel<linear>},
                      {"matmul", CTN_KERNEL_STRIDED, sdk::kernel<matmul>}});
}

}  // namespace catena::cpu
