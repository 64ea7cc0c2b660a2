// Kernels of batch normalization for 16-bit arrays whose channels lie innermost: what convolutions
// through cuDNN give stays as it is. All others are left to other kernels.
#include <catena/op_attrs.hpp>

#include <cuda/channels_last.h>
#include <cuda/native.h>

#include <algorithm>

namespace catena::cuda {
namespace {

using sdk::Call;
using sdk::Run;
using sdk::Tensor;

// As in norm_last_text.cc.
struct Norm {
  int64_t rows, channels, parts, chunk;
  double eps;
  const void *x, *gy, *gamma, *beta, *mean, *var;
  void *y, *first, *second;
  float *sums, *factors;
};

constexpr int64_t kMostParts = 512, kBlocks = 1024, kLeastRows = 32;

int64_t pack_of(const Norm& n) { return n.channels % 4 == 0 ? 4 : 1; }
int64_t tiles(const Norm& n) { return (n.channels / pack_of(n) + 31) / 32; }

// From the shape alone, so that results are the same everywhere.
Norm norm_of(const Tensor& x, double eps) {
  Norm n{};
  n.rows = x.shape(0) * x.shape(2) * x.shape(3);
  n.channels = x.shape(1);
  const int64_t most = std::min(kMostParts, (n.rows + kLeastRows - 1) / kLeastRows);
  n.parts = std::clamp<int64_t>(kBlocks / tiles(n), 1, most);
  n.chunk = (n.rows + n.parts - 1) / n.parts;
  n.parts = (n.rows + n.chunk - 1) / n.chunk;
  n.eps = eps;
  n.x = x.data();
  return n;
}

void place_scratch(const Run& run, Norm& n) {
  n.factors = run.planned_scratch<float>();
  n.sums = n.factors + 4 * n.channels;
}

void queue_norm(const Run& run, const char* name, Native::Arguments arguments, int64_t threads,
                const Norm& n) {
  static Native* const kernels = new Native(kNormLastKernels);
  Device& d = device_of(run);
  queue(d, kernels->find(d, name, arguments, "Norm"), threads, &n);
}

void sum_and_apply(const Run& run, const Norm& n, bool gradient) {
  const char *type = type_name(run.in(0).dtype()), *flag = gradient ? "true" : "false";
  const std::string pack = std::to_string(pack_of(n));  // short enough to need no memory
  queue_norm(run, "norm_sums", {type, pack, flag}, tiles(n) * n.parts * kThreads, n);
  queue_norm(run, "norm_finish", {type, flag}, (n.channels + 31) / 32 * kThreads, n);
  queue_norm(run, "norm_apply", {type, pack, flag}, n.rows * n.channels / pack_of(n), n);
}

void batch_norm(const Run& run) {
  Norm n = norm_of(run.in(0), run.f(attr::batch_norm::eps));
  n.gamma = run.in(in::batch_norm::gamma).data();
  n.beta = run.in(in::batch_norm::beta).data();
  n.y = run.out(0).data();
  n.first = run.out(1).data();
  n.second = run.out(2).data();
  place_scratch(run, n);
  sum_and_apply(run, n, false);
  note(run, "batch_norm");
}

void batch_norm_grad(const Run& run) {
  namespace in = in::batch_norm_grad;
  Norm n = norm_of(run.in(in::x), run.f(attr::batch_norm_grad::eps));
  n.gy = run.in(in::gy).data();
  n.gamma = run.in(in::gamma).data();
  n.mean = run.in(in::mean).data();
  n.var = run.in(in::var).data();
  n.y = run.out(0).data();
  n.first = run.out(1).data();
  n.second = run.out(2).data();
  place_scratch(run, n);
  sum_and_apply(run, n, true);
  note(run, "batch_norm_grad");
}

void fixed_batch_norm(const Run& run) {
  namespace in = in::fixed_batch_normalization;
  Norm n = norm_of(run.in(in::x), run.f(attr::fixed_batch_normalization::eps));
  n.gamma = run.in(in::gamma).data();
  n.beta = run.in(in::beta).data();
  n.mean = run.in(in::mean).data();
  n.var = run.in(in::var).data();
  n.y = run.out(0).data();
  place_scratch(run, n);
  const char* const type = type_name(run.in(0).dtype());
  queue_norm(run, "norm_given", {type}, n.channels, n);
  queue_norm(run, "norm_apply", {type, std::to_string(pack_of(n)), "false"},
             n.rows * n.channels / pack_of(n), n);
  note(run, "fixed_batch_normalization");
}

// ---- which calls are taken

// Only what is in the layout already: there is nothing to gain from putting it there.
template <bool gradient>
const char* supports_norm(const Call& c) {
  const Tensor x = c.in(0);
  if (x.dtype().bits != 16) return "not of 16 bits";
  if (x.ndim() != 4 || c.in(1).ndim() != 1 || x.size() == 0) return "no images";
  for (int k = 0; k < c.n_in(); ++k) {
    const bool kept = gradient && (k == in::batch_norm_grad::mean || k == in::batch_norm_grad::var);
    if (!sdk::same_dtype(c.in(k).dtype(), kept ? sdk::dtype_of(CTN_FLOAT32) : x.dtype()))
      return "dtypes differ";
  }
  for (int k = 0; k < c.n_in(); ++k)
    if (c.in(k).ndim() == 4 && c.in(k).layout() == kChannelsLast) return nullptr;
  return "x is plain";
}

void plan_norm(const Call& c, ctn_plan& plan) {
  for (int k = 0; k < c.n_in(); ++k)
    plan.in_layouts[k] = c.in(k).ndim() == 4 ? kChannelsLast : kPlain;
  plan.out_layouts[0] = kChannelsLast;
  const Norm n = norm_of(c.in(0), 0);
  plan.scratch_bytes = static_cast<uint64_t>((4 + 2 * n.parts) * n.channels) * sizeof(float);
}

constexpr int kLayoutPriority = 200;  // above kernels that would have it plain

template <bool gradient>
KernelRow row(std::string_view op, decltype(KernelRow::run) run) {
  return {op,
          run,
          CTN_KERNEL_LAYOUT,
          sdk::supports<supports_norm<gradient>>,
          sdk::plan<plan_norm>,
          nullptr,
          kLayoutPriority};
}

}  // namespace

ctn_status register_norm_last(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {row<false>("batch_norm", sdk::kernel<batch_norm>),
                      row<false>("fixed_batch_normalization", sdk::kernel<fixed_batch_norm>),
                      row<true>("batch_norm_grad", sdk::kernel<batch_norm_grad>)});
}

}  // namespace catena::cuda
