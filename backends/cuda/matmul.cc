// Kernels of linear and matmul: what their arrays are as matrices for cuBLAS.
#include <catena/op_attrs.hpp>

#include <cuda/blas.h>
#include <cuda/move.h>

namespace catena::cuda {
namespace {

using sdk::Dims;
using sdk::Run;
using sdk::Tensor;

void linear(const Run& run) {
  Device& d = device_of(run);
  const Tensor x = run.in(in::linear::x), w = run.in(in::linear::W), y = run.out(0);
  const int64_t m = y.shape(0), n = y.shape(1), k = w.shape(1);
  const bool bias = run.has(in::linear::b);
  if (bias) {
    const int64_t item = sdk::dtype_bytes(y.dtype()), to[] = {n * item, item}, from[] = {0, item};
    copy_strided(d, y.shape(), item, y.data(), to, run.in(in::linear::b).data(), from);
  } else if (k == 0) {
    fill_zero(d, y.data(), y.size() * sdk::dtype_bytes(y.dtype()));
  }
  if (k != 0)
    multiply(d, {y.dtype(), m, n, k, 1, x.data(), false, 0, w.data(), true, 0, y.data(), bias,
                 rounds_factors(run)});
  d.recent.add("linear");
}

void matmul(const Run& run) {
  Device& d = device_of(run);
  const Tensor a = run.in(in::matmul::a), b = run.in(in::matmul::b), y = run.out(0);
  Product p{y.dtype(), 1,        1,     a.shape(0), 1,        a.data(), false,
            0,         b.data(), false, 0,          y.data(), false,    rounds_factors(run)};
  if (a.ndim() > 1) {
    const int last = y.ndim();
    p.trans_a = run.b(attr::matmul::transa);
    p.trans_b = run.b(attr::matmul::transb);
    p.m = y.shape(last - 2);
    p.n = y.shape(last - 1);
    p.k = a.shape(p.trans_a ? last - 2 : last - 1);
    p.count = sdk::size_of(y.shape().first(static_cast<size_t>(last - 2)));
    p.step_a = p.m * p.k;
    p.step_b = p.k * p.n;
  }
  if (p.k == 0)
    fill_zero(d, y.data(), y.size() * sdk::dtype_bytes(y.dtype()));
  else
    multiply(d, p);
  d.recent.add("matmul");
}

const char* supported(const sdk::Call&) {
  return blas_why().empty() ? nullptr : blas_why().c_str();
}

}  // namespace

ctn_status register_matmul(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"linear", sdk::kernel<linear>, 0, sdk::supports<supported>},
                      {"matmul", sdk::kernel<matmul>, 0, sdk::supports<supported>}});
}

}  // namespace catena::cuda
