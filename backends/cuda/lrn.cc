// Kernels of local response normalization: a thread sums the elements of equal place in
// neighbouring channels, the lowest first; neighbouring threads read neighbouring elements.
#include <catena/op_attrs.hpp>

#include <cuda/widen.h>

#include <algorithm>

namespace catena::cuda {
namespace {

using sdk::Run;
using sdk::Tensor;

constexpr const char* kText = R"(
struct Lrn {
  i64 size, image, step, reach;  // elements: of all, of an image, of a channel; channels to a side
  const void *x, *gy;
  void *y, *scale, *part;        // scale and part are of what is computed with
  f64 k, alpha, beta, factor;
};
template <bool squares, class S, class N>
__device__ inline Wide<S> window_sum(const Lrn& p, const S* x, N i) {
  const N step = (N)p.step, image = (N)p.image, place = i % image, channel = place / step;
  const N below = channel < (N)p.reach ? channel : (N)p.reach;
  const N left = image / step - 1 - channel, above = left < (N)p.reach ? left : (N)p.reach;
  Wide<S> sum = 0;
  for (N at = i - below * step; at <= i + above * step; at += step) {
    const Wide<S> v = load(x + at);
    sum += squares ? v * v : v;
  }
  return sum;
}
// s^-beta: the common power by roots, the others of float32 by a logarithm, as on the cpu. Without
// a power everything is 1, infinite scales included.
template <class C> __device__ inline C power(C s, C beta) {
  if (beta == 0) return 1;
  if (beta == (C)0.75) {
    const C r = (C)1 / x_sqrt(s);
    return r * x_sqrt(r);
  }
  if constexpr (Same<C, f32>::value) return x_exp(-beta * x_log(s));
  else return x_pow(s, -beta);
}
template <class S, class N> __device__ inline void lrn(const Lrn& p) {
  typedef Wide<S> C;
  const S* x = (const S*)p.x;
  const C k = (C)p.k, alpha = (C)p.alpha, beta = (C)p.beta;
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < (N)p.size;
       i += (N)gridDim.x * kThreads) {
    const C s = k + alpha * window_sum<true>(p, x, i);
    ((C*)p.scale)[i] = s;
    store((S*)p.y + i, load(x + i) * power(s, beta));
  }
}
template <class S> __device__ inline void lrn_parts(const Lrn& p) {
  typedef Wide<S> C;
  const C beta = (C)p.beta;
  for (i64 i = (i64)blockIdx.x * kThreads + threadIdx.x; i < p.size;
       i += (i64)gridDim.x * kThreads) {
    const C s = ((const C*)p.scale)[i];
    ((C*)p.part)[i] = load((const S*)p.gy + i) * power(s, beta) * load((const S*)p.x + i) / s;
  }
}
template <class S, class N> __device__ inline void lrn_grad(const Lrn& p) {
  typedef Wide<S> C;
  const C beta = (C)p.beta, factor = (C)p.factor;
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < (N)p.size;
       i += (N)gridDim.x * kThreads) {
    const C slope = load((const S*)p.gy + i) * power(((const C*)p.scale)[i], beta);
    const C sum = window_sum<false>(p, (const C*)p.part, i);
    store((S*)p.y + i, slope - factor * load((const S*)p.x + i) * sum);
  }
}
template <class S, class N> __device__ inline void channel_sum(const Lrn& p) {
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < (N)p.size;
       i += (N)gridDim.x * kThreads)
    store((S*)p.y + i, window_sum<false>(p, (const S*)p.x, i));
}
)";

// As there.
struct Lrn {
  int64_t size, image, step, reach;
  const void *x, *gy;
  void *y, *scale, *part;
  double k, alpha, beta, factor;
};

constexpr Sample kSamples[] = {{"lrn<f32, i32>", "Lrn"},
                               {"lrn_parts<f32>", "Lrn"},
                               {"lrn_grad<f32, i32>", "Lrn"},
                               {"channel_sum<f32, i32>", "Lrn"},
                               {nullptr, nullptr}};

Lrn windows(const Tensor& x, int64_t n) {
  Lrn p{};
  p.size = x.size();
  if (p.size == 0) return p;
  p.image = p.size / x.shape(0);
  p.step = p.image / x.shape(1);
  p.reach = std::min(n / 2, x.shape(1) - 1);
  return p;
}

void launch(Device& d, const char* name, ctn_dtype dtype, bool counts, const Lrn& p) {
  static Native* const kernels = new Native(kLrnKernels);
  if (p.size == 0) return;
  // a window ends at most an image behind an element
  const char *type = type_name(dtype), *count = count_type(static_cast<double>(p.size + p.image));
  const CUfunction f =
      counts ? kernels->find(d, name, {type, count}, "Lrn") : kernels->find(d, name, {type}, "Lrn");
  queue(d, f, p.size, &p);
}

void local_response_normalization(const Run& run) {
  namespace a = attr::local_response_normalization;
  Device& d = device_of(run);
  Lrn p = windows(run.in(0), run.i(a::n));
  p.x = run.in(0).data();
  p.y = run.out(0).data();
  p.scale = run.out(1).data();
  p.k = run.f(a::k);
  p.alpha = run.f(a::alpha);
  p.beta = run.f(a::beta);
  launch(d, "lrn", run.in(0).dtype(), true, p);
  note(run, "local_response_normalization");
}

void local_response_normalization_grad(const Run& run) {
  namespace a = attr::local_response_normalization_grad;
  namespace k = in::local_response_normalization_grad;
  Device& d = device_of(run);
  const ctn_dtype compute = compute_dtype(run),
                  handed = handed_dtype(run.in(k::x).dtype(), compute);
  const OutputAs gx(run, 0, handed);
  Lrn p = windows(run.in(k::x), run.i(a::n));
  p.x = data_as(run, run.in(k::x), handed);
  p.gy = data_as(run, run.in(k::gy), handed);
  p.scale = const_cast<void*>(data_as(run, run.in(k::scale), compute));
  p.part = run.scratch<char>(p.size * sdk::dtype_bytes(compute));
  p.y = gx.data();
  p.beta = run.f(a::beta);
  p.factor = 2 * run.f(a::alpha) * p.beta;
  launch(d, "lrn_parts", handed, false, p);
  launch(d, "lrn_grad", handed, true, p);
  gx.store();
  note(run, "local_response_normalization_grad");
}

void channel_window_sum(const Run& run) {
  Device& d = device_of(run);
  Lrn p = windows(run.in(0), run.i(attr::channel_window_sum::n));
  p.x = run.in(0).data();
  p.y = run.out(0).data();
  launch(d, "channel_sum", run.in(0).dtype(), true, p);
  note(run, "channel_window_sum");
}

}  // namespace

constinit const Text kLrnKernels{"lrn", {&kText}, kSamples};

ctn_status register_lrn(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(
      host, plugin,
      {{"local_response_normalization", sdk::kernel<local_response_normalization>},
       {"local_response_normalization_grad", sdk::kernel<local_response_normalization_grad>},
       {"channel_window_sum", sdk::kernel<channel_window_sum>}});
}

}  // namespace catena::cuda
