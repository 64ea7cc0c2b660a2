// Kernels of batch normalization through cuDNN. x is images of channels of `inner` elements,
// however many axes gamma has. Parameters of 16-bit arrays go through float32 scratch.
#include <catena/op_attrs.hpp>

#include <cuda/dnn.h>
#include <cuda/native.h>

#include <algorithm>

namespace catena::cuda {
namespace {

using sdk::Call;
using sdk::Run;
using sdk::Tensor;

// As in dnn_norm_text.cc.
struct Channels {
  int64_t n, count;
  double eps;
  const void* from[4];
  void* to[4];
};

constexpr const char *kWiden = "widen_channels", *kNarrow = "narrow_channels";

void queue_channels(Device& d, std::string_view function, const char* type, const Channels& c) {
  static Native* const kernels = new Native(kDnnNormKernels);
  queue(d, kernels->find(d, function, {type}, "Channels"), c.n, &c);
}

// Arrays of one element a channel, from and to.
struct Copy {
  const void* from;
  void* to;
};
Channels channels_of(int64_t n, std::initializer_list<Copy> all) {
  Channels c{n, static_cast<int64_t>(all.size()), 0, {}, {}};
  size_t k = 0;
  for (const Copy& copy : all) {
    c.from[k] = copy.from;
    c.to[k++] = copy.to;
  }
  return c;
}

struct State {
  Sizes shape;  // images, channels, inner, 1
  ctn_dtype dtype;
  cudnnBatchNormMode_t mode;
  TensorDescriptor x, channels;
  Factor one, zero;
  std::shared_ptr<DnnHandle> handle;

  int64_t n() const { return shape[1]; }
  bool narrow() const { return dtype.bits == 16; }
};

ctn_dtype sum_dtype(ctn_dtype dtype) {
  return sdk::dtype_of(sdk::dtype_index(dtype) == CTN_FLOAT64 ? CTN_FLOAT64 : CTN_FLOAT32);
}

enum class Pass { kTraining, kFixed, kGradient };

// Sizes at which cuDNN's kernels end; found by others, as its documentation tells none of them.
const char* beyond_grids(Pass pass, const Tensor& x, const Tensor& gamma) {
  constexpr int64_t kMostTraining = 880801, kMostFixed = 65535, kMostChannels = 65535;
  constexpr int64_t kMostRowsTraining = 131070, kMostRowsFixed = 262136;
  const bool fixed = pass == Pass::kFixed, rows = x.size() == x.shape(0) * gamma.size();
  const int64_t most =
      rows ? (fixed ? kMostRowsFixed : kMostRowsTraining) : (fixed ? kMostFixed : kMostTraining);
  if (x.shape(0) > most) return "too many images";
  return !rows && gamma.size() > kMostChannels ? "too many channels" : nullptr;
}

template <Pass pass, int eps>
const char* supports_norm(const Call& c) {
  const Tensor x = c.in(0), gamma = c.in(1);
  if (const char* why = declines_simple(c, {x, gamma})) return why;
  for (int k = 2; k < c.n_in(); ++k) {
    const bool kept = pass == Pass::kGradient &&
                      (k == in::batch_norm_grad::mean || k == in::batch_norm_grad::var);
    const ctn_dtype want = kept ? sum_dtype(x.dtype()) : x.dtype();
    if (!sdk::same_dtype(c.in(k).dtype(), want)) return "dtypes differ";
  }
  if (pass != Pass::kFixed && x.size() == gamma.size()) return "one element for each channel";
  if (const char* why = beyond_grids(pass, x, gamma)) return why;
  return c.f(eps) < CUDNN_BN_MIN_EPSILON ? "eps is negative" : nullptr;
}

// Parts of the scratch, an array of float32 or float64 for each channel.
constexpr int64_t kAlignment = 256;
int64_t part_bytes(const State& s) {
  const int64_t bytes = s.n() * sdk::dtype_bytes(sum_dtype(s.dtype));
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}
char* part(const Run& run, const State& s, int64_t k) {
  return run.planned_scratch<char>() + k * part_bytes(s);
}

template <int parts>
void plan_norm(const Call& c, ctn_plan& plan, std::unique_ptr<State>& state) {
  const Tensor x = c.in(0), gamma = c.in(1);
  const Sizes shape = {x.shape(0), gamma.size(),
                       sdk::size_of(x.shape().subspan(static_cast<size_t>(gamma.ndim()) + 1)), 1};
  const bool fast =
      x.dtype().bits == 16 && sdk::config(c.context(), "cudnn_fast_batch_normalization");
  state.reset(new State{
      shape, x.dtype(),
      shape[2] == 1 ? CUDNN_BATCHNORM_PER_ACTIVATION
      : fast        ? CUDNN_BATCHNORM_SPATIAL_PERSISTENT
                    : CUDNN_BATCHNORM_SPATIAL,
      describe_images(x.dtype(), shape), describe_images(sum_dtype(x.dtype()), {1, shape[1], 1, 1}),
      Factor(x.dtype(), 1), Factor(x.dtype(), 0), dnn_handle(device_of(x.device()))});
  plan.scratch_bytes = static_cast<uint64_t>(parts * part_bytes(*state));
}

const State& state_of(const Run& run) { return *run.state<std::unique_ptr<State>>(); }

// The running averages of cuDNN, with a factor of 1, are the mean and the variance of the batch,
// the latter as an estimate: (m - 1) / m of it is the variance itself. They start from zeros, as
// cuDNN reads them.
void batch_norm(const Run& run) {
  const State& s = state_of(run);
  Device& d = s.handle->device();
  void *mean = run.out(1).data(), *var = run.out(2).data();
  const int64_t bytes = s.n() * sdk::dtype_bytes(sum_dtype(s.dtype));
  fill_zero(d, mean, bytes);
  fill_zero(d, var, bytes);
  const void* const x = dnn_input(run, run.in(0));
  const void *gamma = dnn_input(run, run.in(1)), *beta = dnn_input(run, run.in(2));
  if (s.narrow()) {
    queue_channels(d, kWiden, "f16",
                   channels_of(s.n(), {{gamma, part(run, s, 0)}, {beta, part(run, s, 1)}}));
    gamma = part(run, s, 0);
    beta = part(run, s, 1);
  }
  const auto m = static_cast<double>(s.shape[0] * s.shape[2]);
  const Factor unbias(s.dtype, (m - 1) / m);
  s.handle->use("batch normalization", [&](cudnnHandle_t h) {
    const cudnnStatus_t status = dnn().cudnnBatchNormalizationForwardTraining(
        h, s.mode, s.one.get(), s.zero.get(), s.x.get(), x, s.x.get(), run.out(0).data(),
        s.channels.get(), gamma, beta, 1.0, mean, var, run.f(attr::batch_norm::eps), nullptr,
        nullptr);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    return dnn().cudnnScaleTensor(h, s.channels.get(), var, unbias.get());
  });
  note_queued(run);
}

void fixed_batch_norm(const Run& run) {
  const State& s = state_of(run);
  const void *const x = dnn_input(run, run.in(0)), *p[4];
  for (int k = 0; k < 4; ++k) p[k] = dnn_input(run, run.in(k + 1));
  if (s.narrow()) {
    void* wide[4];
    for (int k = 0; k < 4; ++k) wide[k] = part(run, s, k);
    queue_channels(
        s.handle->device(), kWiden, "f16",
        channels_of(s.n(), {{p[0], wide[0]}, {p[1], wide[1]}, {p[2], wide[2]}, {p[3], wide[3]}}));
    std::copy_n(wide, 4, p);
  }
  s.handle->use("batch normalization", [&](cudnnHandle_t h) {
    return dnn().cudnnBatchNormalizationForwardInference(
        h, s.mode, s.one.get(), s.zero.get(), s.x.get(), x, s.x.get(), run.out(0).data(),
        s.channels.get(), p[0], p[1], p[2], p[3], run.f(attr::fixed_batch_normalization::eps));
  });
  note_queued(run);
}

void batch_norm_grad(const Run& run) {
  namespace in = in::batch_norm_grad;
  const State& s = state_of(run);
  Device& d = s.handle->device();
  const double eps = run.f(attr::batch_norm_grad::eps);
  void *const inverse = part(run, s, 0), *ggamma = run.out(1).data(), *gbeta = run.out(2).data();
  const void *const x = dnn_input(run, run.in(in::x)), *const gy = dnn_input(run, run.in(in::gy));
  const void *const mean = dnn_input(run, run.in(in::mean)),
                    *gamma = dnn_input(run, run.in(in::gamma));
  Channels variance = channels_of(s.n(), {{run.in(in::var).data(), inverse}});
  variance.eps = eps;
  queue_channels(d, "invert_channels", s.dtype.bits == 64 ? "f64" : "f32", variance);
  if (s.narrow()) {
    queue_channels(d, kWiden, "f16", channels_of(s.n(), {{gamma, part(run, s, 1)}}));
    gamma = part(run, s, 1);
    ggamma = part(run, s, 2);
    gbeta = part(run, s, 3);
  }
  s.handle->use("gradient of batch normalization", [&](cudnnHandle_t h) {
    return dnn().cudnnBatchNormalizationBackward(h, s.mode, s.one.get(), s.zero.get(), s.one.get(),
                                                 s.zero.get(), s.x.get(), x, s.x.get(), gy,
                                                 s.x.get(), run.out(0).data(), s.channels.get(),
                                                 gamma, ggamma, gbeta, eps, mean, inverse);
  });
  if (s.narrow())
    queue_channels(d, kNarrow, "f16",
                   channels_of(s.n(), {{ggamma, run.out(1).data()}, {gbeta, run.out(2).data()}}));
  note_queued(run);
}

template <Pass pass, int eps, int parts>
KernelRow row(std::string_view op, decltype(KernelRow::run) run) {
  return {op,
          run,
          0,
          sdk::supports<supports_norm<pass, eps>>,
          sdk::plan<plan_norm<parts>, std::unique_ptr<State>>,
          sdk::drop<std::unique_ptr<State>>,
          kDnnPriority};
}

}  // namespace

ctn_status register_dnn_norm(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(
      host, plugin,
      {row<Pass::kTraining, attr::batch_norm::eps, 2>("batch_norm", sdk::kernel<batch_norm>),
       row<Pass::kFixed, attr::fixed_batch_normalization::eps, 4>("fixed_batch_normalization",
                                                                  sdk::kernel<fixed_batch_norm>),
       row<Pass::kGradient, attr::batch_norm_grad::eps, 4>("batch_norm_grad",
                                                           sdk::kernel<batch_norm_grad>)});
}

}  // namespace catena::cuda
