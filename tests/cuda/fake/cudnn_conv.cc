// Convolutions of the false cuDNN. Algorithms differ in name, workspace and determinism alone; what
// is foretold to be the fastest is not what timing finds.
#include "cudnn.h"

#include <algorithm>
#include <vector>

using fake::alive, fake::count, fake::holds, fake::Lock, fake::place, fake::read, fake::ready;
using fake::refuse, fake::state, fake::write;

namespace {

// W of each direction: what is computed is x, W or y.
struct Call {
  cudnnHandle_t handle;
  const cudnnTensorStruct *x, *y;
  const cudnnFilterStruct* w;
  const cudnnConvolutionStruct* conv;

  bool right() const {
    if (!alive(handle) || !ready(x) || !ready(y) || !ready(w) || !ready(conv)) return false;
    if (x->type != w->type || x->type != y->type || conv->sums != fake::sums_of(x->type))
      return false;
    if (x->size[1] != w->size[1] * conv->groups || w->size[0] % conv->groups != 0 ||
        y->size[1] != w->size[0] || x->size[0] != y->size[0])
      return false;
    for (int k = 0; k < 2; ++k) {
      const int reach = (w->size[k + 2] - 1) * conv->dilate[k] + 1;
      const int free = x->size[k + 2] + 2 * conv->pad[k] - reach;
      if (free < 0 || y->size[k + 2] != free / conv->stride[k] + 1) return false;
    }
    return true;
  }
  bool small_steps() const {
    return conv->groups == 1 && conv->stride[0] == 1 && conv->stride[1] == 1 &&
           conv->dilate[0] == 1 && conv->dilate[1] == 1;
  }
};

// In the order that is foretold; the last one that can be is the fastest by the clock.
struct Algorithm {
  int number;
  cudnnDeterminism_t determinism;
  size_t bytes;
  bool small_steps;  // strides and dilation 1, no groups
};
constexpr auto kSame = CUDNN_DETERMINISTIC, kOther = CUDNN_NON_DETERMINISTIC;
const std::vector<Algorithm> kForward = {
    {CUDNN_CONVOLUTION_FWD_ALGO_FFT, kSame, 16 << 20, true},
    {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, kSame, 4096, false},
    {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, kSame, 0, false},
    {CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD, kSame, 8192, true},
};
const std::vector<Algorithm> kData = {
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_0, kOther, 0, false},
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, kSame, 1024, false},
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD, kSame, 8192, true},
};
const std::vector<Algorithm> kFilter = {
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0, kOther, 0, false},
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, kSame, 2048, false},
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3, kOther, 4096, false},
};

const Algorithm* find(const std::vector<Algorithm>& all, int number) {
  for (const Algorithm& a : all)
    if (a.number == number) return &a;
  return nullptr;
}

cudnnStatus_t status_of(const Algorithm& a, const Call& c) {
  return a.small_steps && !c.small_steps() ? CUDNN_STATUS_NOT_SUPPORTED : CUDNN_STATUS_SUCCESS;
}

// Those that can be first, as the real one sorts them.
template <class Perf>
void list(std::vector<Algorithm> all, const Call& c, int most, int* n, Perf* out, size_t bytes) {
  std::stable_partition(all.begin(), all.end(), [&](const Algorithm& a) {
    return status_of(a, c) == CUDNN_STATUS_SUCCESS && a.bytes <= bytes;
  });
  *n = 0;
  for (const Algorithm& a : all) {
    if (*n == most) break;
    Perf& p = out[(*n)++];
    p = {};
    p.algo = static_cast<decltype(p.algo)>(a.number);
    p.status = status_of(a, c);
    if (p.status == CUDNN_STATUS_SUCCESS && a.bytes > bytes)
      p.status = CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED;
    p.time = static_cast<float>(*n);
    p.memory = a.bytes;
    p.determinism = a.determinism;
    p.mathType = c.conv->math;
  }
}

template <class Perf>
cudnnStatus_t foretell(const std::vector<Algorithm>& all, const Call& c, int most, int* n,
                       Perf* out) {
  const Lock lock(state().mutex);
  if (!c.right() || most < 1 || !n || !out) return refuse();
  count("foretold");
  list(all, c, most, n, out, SIZE_MAX);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t bytes(const std::vector<Algorithm>& all, const Call& c, int number, size_t* out) {
  const Lock lock(state().mutex);
  if (!c.right() || !out) return refuse();
  const Algorithm* a = find(all, number);
  if (!a || status_of(*a, c) != CUDNN_STATUS_SUCCESS) return CUDNN_STATUS_NOT_SUPPORTED;
  *out = a->bytes;
  return CUDNN_STATUS_SUCCESS;
}

struct Data {
  const void *x, *w, *y;
  const void* bias = nullptr;  // of y's channels
  bool held(const Call& c) const { return holds(*c.x, x) && holds(*c.w, w) && holds(*c.y, y); }
};

// add(where in x, in W, in y) for each product of the convolution.
template <class Add>
void products(const cudnnTensorStruct& x, const cudnnTensorStruct& w, const cudnnTensorStruct& y,
              const cudnnConvolutionStruct& conv, Add&& add) {
  const int filters = y.size[1] / conv.groups;
  for (int n = 0; n < y.size[0]; ++n)
    for (int k = 0; k < y.size[1]; ++k)
      for (int oy = 0; oy < y.size[2]; ++oy)
        for (int ox = 0; ox < y.size[3]; ++ox)
          for (int c = 0; c < w.size[1]; ++c)
            for (int ky = 0; ky < w.size[2]; ++ky)
              for (int kx = 0; kx < w.size[3]; ++kx) {
                const int iy = oy * conv.stride[0] - conv.pad[0] + ky * conv.dilate[0];
                const int ix = ox * conv.stride[1] - conv.pad[1] + kx * conv.dilate[1];
                if (iy < 0 || ix < 0 || iy >= x.size[2] || ix >= x.size[3]) continue;
                add(place(x, n, k / filters * w.size[1] + c, iy, ix), place(w, k, c, ky, kx),
                    place(y, n, k, oy, ox));
              }
}

enum class Output { kX, kW, kY };
void compute(const Call& c, const Data& d, Output which, double one, double rest) {
  const cudnnTensorStruct& to = which == Output::kX ? *c.x : which == Output::kW ? *c.w : *c.y;
  const int64_t all = int64_t{to.size[0]} * to.size[1] * to.size[2] * to.size[3];
  std::vector<double> sums(static_cast<size_t>(all), 0.0);
  products(*c.x, *c.w, *c.y, *c.conv, [&](int64_t x, int64_t w, int64_t y) {
    const cudnnDataType_t t = to.type;
    switch (which) {
      case Output::kX: sums[static_cast<size_t>(x)] += read(t, d.w, w) * read(t, d.y, y); break;
      case Output::kW: sums[static_cast<size_t>(w)] += read(t, d.x, x) * read(t, d.y, y); break;
      default: sums[static_cast<size_t>(y)] += read(t, d.x, x) * read(t, d.w, w);
    }
  });
  if (d.bias)
    for (int n = 0; n < to.size[0]; ++n)
      for (int k = 0; k < to.size[1]; ++k)
        for (int y = 0; y < to.size[2]; ++y)
          for (int x = 0; x < to.size[3]; ++x)
            sums[static_cast<size_t>(place(to, n, k, y, x))] += read(to.type, d.bias, k);
  void* out = const_cast<void*>(which == Output::kX ? d.x : which == Output::kW ? d.w : d.y);
  for (int64_t k = 0; k < all; ++k) {
    const double old = rest == 0 ? 0 : rest * read(to.type, out, k);
    write(to.type, out, k, one * sums[static_cast<size_t>(k)] + old);
  }
}

cudnnStatus_t queue(const Call& c, const Data& d, Output which, double one, double rest) {
  return fake::queue(c.handle, [x = *c.x, w = *c.w, y = *c.y, conv = *c.conv, d, which, one, rest] {
    compute({nullptr, &x, &y, &w, &conv}, d, which, one, rest);
  });
}

template <class Perf>
cudnnStatus_t time(std::vector<Algorithm> all, const Call& c, const Data& d, Output which, int most,
                   int* n, Perf* out, void* workspace, size_t size) {
  const Lock lock(state().mutex);
  if (!c.right() || !c.handle->stream || !d.held(c) || most < 1 || !n || !out) return refuse();
  if (size > 0 && !fake::is_memory(workspace, size, 16)) return refuse();
  count("timed");
  std::reverse(all.begin(), all.end());
  list(all, c, most, n, out, size);
  return queue(c, d, which, 1, 0);
}

cudnnStatus_t run(const std::vector<Algorithm>& all, const Call& c, const Data& d, Output which,
                  const char* name, int number, const void* alpha, const void* beta,
                  void* workspace, size_t size) {
  const Lock lock(state().mutex);
  double one = 0, rest = 0;
  const Algorithm* a = find(all, number);
  if (!c.right() || !c.handle->stream || !d.held(c) || !a ||
      !fake::factor(c.x->type, alpha, &one) || !fake::factor(c.x->type, beta, &rest))
    return refuse();
  if (size < a->bytes || (a->bytes > 0 && !fake::is_memory(workspace, a->bytes, 256)))
    return refuse();
  if (status_of(*a, c) != CUDNN_STATUS_SUCCESS) return CUDNN_STATUS_NOT_SUPPORTED;
  if (state().balk > 0 && --state().balk >= 0) return CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH;
  state().counts[name] = number;
  state().counts["math"] = c.conv->math;
  return queue(c, d, which, one, rest);
}

// With nothing behind the bias it takes one algorithm, and numbers of the bias side by side.
bool may_add(const Call& c, const cudnnTensorStruct* z, const cudnnTensorStruct* bias,
             const cudnnActivationStruct* a, int number) {
  if (a->mode != CUDNN_ACTIVATION_IDENTITY || a->nan != CUDNN_NOT_PROPAGATE_NAN) return false;
  if (number != CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM || bias->type != c.y->type)
    return false;
  for (int k = 0; k < 4; ++k)
    if (bias->size[k] != (k == 1 ? c.y->size[1] : 1) || z->size[k] != c.y->size[k] ||
        z->step[k] != c.y->step[k])
      return false;
  return bias->step[1] == 1 && z->type == c.y->type;
}

bool overlap(const cudnnTensorStruct& a, const void* p, const cudnnTensorStruct& b, const void* q) {
  const auto bytes = [](const cudnnTensorStruct& t) {
    return int64_t{t.size[0]} * t.size[1] * t.size[2] * t.size[3] * fake::bytes_of(t.type);
  };
  const auto *from = static_cast<const char*>(p), *to = static_cast<const char*>(q);
  return from < to + bytes(b) && to < from + bytes(a);
}

}  // namespace

extern "C" {

EXPORT cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* d) {
  return fake::make(d);
}
EXPORT cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t d) {
  return fake::destroy(d);
}
EXPORT cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t d, int py, int px,
                                                     int sy, int sx, int dy, int dx,
                                                     cudnnConvolutionMode_t mode,
                                                     cudnnDataType_t sums) {
  const Lock lock(state().mutex);
  if (!alive(d) || py < 0 || px < 0 || sy < 1 || sx < 1 || dy < 1 || dx < 1 ||
      mode != CUDNN_CROSS_CORRELATION)
    return refuse();
  *d = {true, {py, px}, {sy, sx}, {dy, dx}, 1, sums, CUDNN_DEFAULT_MATH};
  return CUDNN_STATUS_SUCCESS;
}
EXPORT cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t d, int groups) {
  const Lock lock(state().mutex);
  if (!ready(d) || groups < 1) return refuse();
  d->groups = groups;
  return CUDNN_STATUS_SUCCESS;
}
EXPORT cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t d,
                                                 cudnnMathType_t math) {
  const Lock lock(state().mutex);
  if (!ready(d) || math > CUDNN_FMA_MATH) return refuse();
  d->math = math;
  return CUDNN_STATUS_SUCCESS;
}

EXPORT cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(
    cudnnHandle_t h, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w,
    cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t y, int most, int* n,
    cudnnConvolutionFwdAlgoPerf_t* out) {
  return foretell(kForward, {h, x, y, w, conv}, most, n, out);
}
EXPORT cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(
    cudnnHandle_t h, cudnnFilterDescriptor_t w, cudnnTensorDescriptor_t y,
    cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t x, int most, int* n,
    cudnnConvolutionBwdDataAlgoPerf_t* out) {
  return foretell(kData, {h, x, y, w, conv}, most, n, out);
}
EXPORT cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(
    cudnnHandle_t h, cudnnTensorDescriptor_t x, cudnnTensorDescriptor_t y,
    cudnnConvolutionDescriptor_t conv, cudnnFilterDescriptor_t w, int most, int* n,
    cudnnConvolutionBwdFilterAlgoPerf_t* out) {
  return foretell(kFilter, {h, x, y, w, conv}, most, n, out);
}

EXPORT cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(
    cudnnHandle_t h, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w,
    cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t y, cudnnConvolutionFwdAlgo_t a,
    size_t* out) {
  return bytes(kForward, {h, x, y, w, conv}, a, out);
}
EXPORT cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(
    cudnnHandle_t h, cudnnFilterDescriptor_t w, cudnnTensorDescriptor_t y,
    cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t x, cudnnConvolutionBwdDataAlgo_t a,
    size_t* out) {
  return bytes(kData, {h, x, y, w, conv}, a, out);
}
EXPORT cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(
    cudnnHandle_t h, cudnnTensorDescriptor_t x, cudnnTensorDescriptor_t y,
    cudnnConvolutionDescriptor_t conv, cudnnFilterDescriptor_t w, cudnnConvolutionBwdFilterAlgo_t a,
    size_t* out) {
  return bytes(kFilter, {h, x, y, w, conv}, a, out);
}

EXPORT cudnnStatus_t cudnnFindConvolutionForwardAlgorithmEx(
    cudnnHandle_t h, cudnnTensorDescriptor_t x, const void* xp, cudnnFilterDescriptor_t w,
    const void* wp, cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t y, void* yp,
    int most, int* n, cudnnConvolutionFwdAlgoPerf_t* out, void* workspace, size_t size) {
  return time(kForward, {h, x, y, w, conv}, {xp, wp, yp}, Output::kY, most, n, out, workspace,
              size);
}
EXPORT cudnnStatus_t cudnnFindConvolutionBackwardDataAlgorithmEx(
    cudnnHandle_t h, cudnnFilterDescriptor_t w, const void* wp, cudnnTensorDescriptor_t y,
    const void* yp, cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t x, void* xp,
    int most, int* n, cudnnConvolutionBwdDataAlgoPerf_t* out, void* workspace, size_t size) {
  return time(kData, {h, x, y, w, conv}, {xp, wp, yp}, Output::kX, most, n, out, workspace, size);
}
EXPORT cudnnStatus_t cudnnFindConvolutionBackwardFilterAlgorithmEx(
    cudnnHandle_t h, cudnnTensorDescriptor_t x, const void* xp, cudnnTensorDescriptor_t y,
    const void* yp, cudnnConvolutionDescriptor_t conv, cudnnFilterDescriptor_t w, void* wp,
    int most, int* n, cudnnConvolutionBwdFilterAlgoPerf_t* out, void* workspace, size_t size) {
  return time(kFilter, {h, x, y, w, conv}, {xp, wp, yp}, Output::kW, most, n, out, workspace, size);
}

EXPORT cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t h, const void* alpha,
                                             cudnnTensorDescriptor_t x, const void* xp,
                                             cudnnFilterDescriptor_t w, const void* wp,
                                             cudnnConvolutionDescriptor_t conv,
                                             cudnnConvolutionFwdAlgo_t a, void* workspace,
                                             size_t size, const void* beta,
                                             cudnnTensorDescriptor_t y, void* yp) {
  return run(kForward, {h, x, y, w, conv}, {xp, wp, yp}, Output::kY, "forward", a, alpha, beta,
             workspace, size);
}
// y = convolution + bias, rounded once.
EXPORT cudnnStatus_t cudnnConvolutionBiasActivationForward(
    cudnnHandle_t h, const void* alpha, cudnnTensorDescriptor_t x, const void* xp,
    cudnnFilterDescriptor_t w, const void* wp, cudnnConvolutionDescriptor_t conv,
    cudnnConvolutionFwdAlgo_t a, void* workspace, size_t size, const void* alpha_z,
    cudnnTensorDescriptor_t z, const void* zp, cudnnTensorDescriptor_t bias, const void* bp,
    cudnnActivationDescriptor_t activation, cudnnTensorDescriptor_t y, void* yp) {
  const Lock lock(state().mutex);
  const Call c{h, x, y, w, conv};
  double rest = 0;
  if (!c.right() || !ready(z) || !ready(bias) || !ready(activation) || !zp || !holds(*bias, bp) ||
      overlap(*x, xp, *y, yp) || !fake::factor(x->type, alpha_z, &rest) || rest != 0)
    return refuse();
  if (state().no_bias > 0 || !may_add(c, z, bias, activation, a)) {
    if (state().no_bias > 0) --state().no_bias;
    count("no biases");
    return CUDNN_STATUS_NOT_SUPPORTED;
  }
  const cudnnStatus_t s =
      run(kForward, c, {xp, wp, yp, bp}, Output::kY, "forward", a, alpha, alpha_z, workspace, size);
  if (s == CUDNN_STATUS_SUCCESS) count("biases");
  return s;
}
EXPORT cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t h, const void* alpha,
                                                  cudnnFilterDescriptor_t w, const void* wp,
                                                  cudnnTensorDescriptor_t y, const void* yp,
                                                  cudnnConvolutionDescriptor_t conv,
                                                  cudnnConvolutionBwdDataAlgo_t a, void* workspace,
                                                  size_t size, const void* beta,
                                                  cudnnTensorDescriptor_t x, void* xp) {
  return run(kData, {h, x, y, w, conv}, {xp, wp, yp}, Output::kX, "data", a, alpha, beta, workspace,
             size);
}
EXPORT cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t h, const void* alpha,
                                                    cudnnTensorDescriptor_t x, const void* xp,
                                                    cudnnTensorDescriptor_t y, const void* yp,
                                                    cudnnConvolutionDescriptor_t conv,
                                                    cudnnConvolutionBwdFilterAlgo_t a,
                                                    void* workspace, size_t size, const void* beta,
                                                    cudnnFilterDescriptor_t w, void* wp) {
  return run(kFilter, {h, x, y, w, conv}, {xp, wp, yp}, Output::kW, "filter", a, alpha, beta,
             workspace, size);
}
}
