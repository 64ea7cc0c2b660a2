// Kernels of batch normalization. x is a batch of images of `channels` planes of `inner` elements;
// a kernel sums parts of channels, a second joins them, a third goes over all elements.
#include <catena/op_attrs.hpp>

#include <cuda/lines.h>
#include <cuda/widen.h>

#include <algorithm>

namespace catena::cuda {
namespace {

using sdk::Run;
using sdk::Tensor;

// As in norm_text.cc.
struct Norm {
  Lines lines;
  int64_t channels, inner, parts, chunk;
  const void *x, *gy, *gamma, *beta, *mean, *var;
  void *y, *ggamma, *gbeta, *out_mean, *out_var;
  void* partial;
  void* parameters;
  double eps;
};

constexpr int64_t kLeastPlane = 8;   // below, neighbouring threads take neighbouring channels
constexpr int64_t kBlocks = 512;     // enough for the largest GPUs there are
constexpr int64_t kPartItems = 64;   // of a lane in a part, at least
constexpr int64_t kPartial = 3 * 8;  // bytes of a part's sums

Norm shape_of(const Tensor& x, const Tensor& gamma) {
  Norm p{};
  p.channels = gamma.size();
  p.inner = sdk::size_of(x.shape().subspan(static_cast<size_t>(gamma.ndim()) + 1));
  // images without elements may be without number
  const int64_t items = x.size() == 0 ? 0 : x.shape(0) * p.inner;
  const bool across = p.inner < kLeastPlane && p.channels > 1;
  p.lines = {p.channels, items, p.inner, lanes_for(items, across ? p.channels : 1), across};
  const int64_t blocks = std::max<int64_t>(1, p.lines.threads() / kThreads);
  const int64_t useful = std::max<int64_t>(1, items / (p.lines.lanes * kPartItems));
  p.parts = std::clamp<int64_t>(kBlocks / blocks, 1, useful);
  p.chunk = std::max<int64_t>(1, (items + p.parts - 1) / p.parts);
  p.parts = std::max<int64_t>(1, (items + p.chunk - 1) / p.chunk);
  return p;
}

class Pass {
 public:
  Pass(const Run& run, Norm& p, ctn_dtype compute)
      : d_(device_of(run)),
        p_(p),
        type_(type_name(handed_dtype(run.in(0).dtype(), compute))),
        elements_(p.channels * p.lines.n) {
    p.partial = run.scratch<char>(p.parts * p.channels * kPartial);
    p.parameters = run.scratch<char>(4 * p.channels * sdk::dtype_bytes(compute));
  }
  void parts(const char* name) { launch(name, true, p_.lines.threads() * p_.parts); }
  void channels(const char* name) { launch(name, false, p_.channels); }
  void elements(const char* name) {
    if (elements_ > 0) launch(name, true, elements_);
  }

 private:
  void launch(const char* name, bool counts, int64_t n) {
    static Native* const kernels = new Native(kNormKernels);
    // a lane looks up to four rounds beyond the end
    const char* const count = count_type(static_cast<double>(elements_) + 4 * kThreads);
    const CUfunction f = counts ? kernels->find(d_, name, {type_, count}, "Norm")
                                : kernels->find(d_, name, {type_}, "Norm");
    queue(d_, f, n, &p_);
  }
  Device& d_;
  Norm& p_;
  const char* const type_;
  const int64_t elements_;
};

void batch_norm(const Run& run) {
  const ctn_dtype compute = compute_dtype(run);
  Norm p = shape_of(run.in(0), run.in(1));
  p.x = run.in(0).data();
  p.gamma = run.in(1).data();
  p.beta = run.in(2).data();
  p.y = run.out(0).data();
  p.out_mean = run.out(1).data();
  p.out_var = run.out(2).data();
  p.eps = run.f(attr::batch_norm::eps);
  Pass pass(run, p, compute);
  pass.parts("norm_moments");
  pass.channels("norm_finish");
  pass.elements("norm_apply");
  note(run, "batch_norm");
}

void fixed_batch_norm(const Run& run) {
  namespace in = in::fixed_batch_normalization;
  const ctn_dtype compute = compute_dtype(run);
  Norm p = shape_of(run.in(in::x), run.in(in::gamma));
  p.x = run.in(in::x).data();
  p.gamma = run.in(in::gamma).data();
  p.beta = run.in(in::beta).data();
  p.mean = data_as(run, run.in(in::mean), compute);
  p.var = data_as(run, run.in(in::var), compute);
  p.y = run.out(0).data();
  p.eps = run.f(attr::fixed_batch_normalization::eps);
  Pass pass(run, p, compute);
  pass.channels("norm_fixed");
  pass.elements("norm_apply");
  note(run, "fixed_batch_normalization");
}

void batch_norm_grad(const Run& run) {
  const ctn_dtype compute = compute_dtype(run), handed = handed_dtype(run.in(0).dtype(), compute);
  const OutputAs gx(run, 0, handed), ggamma(run, 1, handed), gbeta(run, 2, handed);
  Norm p = shape_of(run.in(0), run.in(1));
  p.x = data_as(run, run.in(0), handed);
  p.gamma = data_as(run, run.in(1), handed);
  p.mean = data_as(run, run.in(2), compute);
  p.var = data_as(run, run.in(3), compute);
  p.gy = data_as(run, run.in(4), handed);
  p.y = gx.data();
  p.ggamma = ggamma.data();
  p.gbeta = gbeta.data();
  p.eps = run.f(attr::batch_norm_grad::eps);
  Pass pass(run, p, compute);
  pass.parts("norm_dots");
  pass.channels("norm_grad_finish");
  pass.elements("norm_slope");
  gx.store();
  ggamma.store();
  gbeta.store();
  note(run, "batch_norm_grad");
}

}  // namespace

ctn_status register_norm(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"batch_norm", sdk::kernel<batch_norm>},
                      {"fixed_batch_normalization", sdk::kernel<fixed_batch_norm>},
                      {"batch_norm_grad", sdk::kernel<batch_norm_grad>}});
}

}  // namespace catena::cuda
