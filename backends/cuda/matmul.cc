// Kernels of linear and matmul: what their arrays are as matrices for cuBLAS.
#include <catena/op_attrs.hpp>

#include <cuda/blas.h>
#include <cuda/blas_lt.h>
#include <cuda/move.h>
#include <cuda/widen.h>

namespace catena::cuda {
namespace {

using sdk::Dims;
using sdk::Run;
using sdk::Tensor;

// One dtype for all matrices of a product.
ctn_dtype product_dtype(const Run& run) {
  const ctn_dtype dtype = run.out(0).dtype();
  for (int k = 0; k < run.n_in(); ++k)
    if (run.has(k) && !sdk::same_dtype(run.in(k).dtype(), dtype)) return compute_dtype(run);
  return dtype;
}

// Each of the m rows of y becomes b, or zeros where there is none.
void start_rows(Device& d, void* y, const void* b, int64_t m, int64_t n, int64_t item) {
  if (!b) return fill_zero(d, y, m * n * item);
  const int64_t shape[] = {m, n}, to[] = {n * item, item}, from[] = {0, item};
  copy_strided(d, shape, item, y, to, b, from);
}

void linear(const Run& run) {
  Device& d = device_of(run);
  const ctn_dtype dtype = product_dtype(run);
  const Tensor w = run.in(in::linear::W);
  const OutputAs y(run, 0, dtype);
  const int64_t m = run.out(0).shape(0), n = w.shape(0), k = w.shape(1);
  const int64_t item = sdk::dtype_bytes(dtype);
  const void* const bias =
      run.has(in::linear::b) ? data_as(run, run.in(in::linear::b), dtype) : nullptr;
  if (k == 0) {
    start_rows(d, y.data(), bias, m, n, item);
  } else {
    const void* const x = data_as(run, run.in(in::linear::x), dtype);
    const void* const weights = data_as(run, w, dtype);
    const bool tf32 = rounds_factors(run);
    void* const workspace = blas_workspace(run);
    if (!bias ||
        !multiply_add_bias(d, sdk::host->exec_context(run.exec()),
                           {dtype, m, n, k, x, weights, bias, y.data(), tf32}, workspace)) {
      if (bias) start_rows(d, y.data(), bias, m, n, item);
      multiply(d,
               {dtype, m, n, k, 1, x, false, 0, weights, true, 0, y.data(), bias != nullptr, tf32},
               workspace);
    }
  }
  y.store();
  note(run, "linear");
}

void matmul(const Run& run) {
  Device& d = device_of(run);
  const ctn_dtype dtype = product_dtype(run);
  const Tensor a = run.in(in::matmul::a), b = run.in(in::matmul::b), y = run.out(0);
  const OutputAs out(run, 0, dtype);
  Product p{dtype,
            1,
            1,
            a.shape(0),
            1,
            data_as(run, a, dtype),
            false,
            0,
            data_as(run, b, dtype),
            false,
            0,
            out.data(),
            false,
            rounds_factors(run)};
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
    fill_zero(d, out.data(), y.size() * sdk::dtype_bytes(dtype));
  else
    multiply(d, p, blas_workspace(run));
  out.store();
  note(run, "matmul");
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
