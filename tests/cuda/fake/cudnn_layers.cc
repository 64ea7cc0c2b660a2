// Batch normalization, average pooling and softmax of the false cuDNN.
#include "cudnn.h"

#include <algorithm>
#include <cmath>
#include <vector>

using fake::alive, fake::factor, fake::holds, fake::Lock, fake::place, fake::queue, fake::read;
using fake::ready, fake::refuse, fake::state, fake::sums_of, fake::write;

namespace {

using Tensor = cudnnTensorStruct;

bool same(const Tensor& a, const Tensor& b) {
  return a.type == b.type && std::equal(a.size, a.size + 4, b.size);
}
bool working(cudnnHandle_t h) { return alive(h) && h->stream; }
bool plain_factors(const Tensor& t, const void* alpha, const void* beta) {
  double one = 0, zero = 1;
  return factor(t.type, alpha, &one) && factor(t.type, beta, &zero) && one == 1 && zero == 0;
}

// body(channel, places) for each channel; of an activation apart, each place is a channel.
template <class Body>
void channels(const Tensor& x, bool apart, Body&& body) {
  const int rows = apart ? x.size[2] * x.size[3] : 1;
  for (int c = 0; c < x.size[1]; ++c)
    for (int row = 0; row < rows; ++row) {
      std::vector<int64_t> at;
      for (int n = 0; n < x.size[0]; ++n)
        for (int p = 0; p < x.size[2] * x.size[3]; ++p)
          if (!apart || p == row) at.push_back(place(x, n, c, p / x.size[3], p % x.size[3]));
      body(int64_t{c} * rows + row, at);
    }
}

// The descriptor of what belongs to channels fits that of x.
bool fits(cudnnBatchNormMode_t mode, const Tensor& x, const Tensor& p) {
  const bool apart = mode == CUDNN_BATCHNORM_PER_ACTIVATION;
  if (x.size[0] > (apart ? 131070 : 880801) || (!apart && x.size[1] > 65535)) return false;
  return mode <= CUDNN_BATCHNORM_SPATIAL_PERSISTENT && p.type == sums_of(x.type) &&
         p.size[0] == 1 && p.size[1] == x.size[1] && p.size[2] == (apart ? x.size[2] : 1) &&
         p.size[3] == (apart ? x.size[3] : 1);
}
bool all_held(const Tensor& t, std::initializer_list<const void*> all) {
  return std::all_of(all.begin(), all.end(), [&](const void* p) { return holds(t, p); });
}

}  // namespace

extern "C" {

EXPORT cudnnStatus_t cudnnScaleTensor(cudnnHandle_t h, cudnnTensorDescriptor_t t, void* p,
                                      const void* alpha) {
  const Lock lock(state().mutex);
  if (!working(h) || !ready(t) || !holds(*t, p) || !alpha) return refuse();
  const double factor_of = read(sums_of(t->type), alpha, 0);
  return queue(h, [t = *t, p, factor_of] {
    const int64_t all = int64_t{t.size[0]} * t.size[1] * t.size[2] * t.size[3];
    for (int64_t k = 0; k < all; ++k) write(t.type, p, k, factor_of * read(t.type, p, k));
  });
}

EXPORT cudnnStatus_t cudnnBatchNormalizationForwardTraining(
    cudnnHandle_t h, cudnnBatchNormMode_t mode, const void* alpha, const void* beta,
    cudnnTensorDescriptor_t x, const void* xp, cudnnTensorDescriptor_t y, void* yp,
    cudnnTensorDescriptor_t p, const void* scale, const void* bias, double share, void* mean,
    void* var, double eps, void* saved_mean, void* saved_inverse) {
  const Lock lock(state().mutex);
  if (!working(h) || !ready(x) || !ready(y) || !ready(p) || !same(*x, *y) || !fits(mode, *x, *p) ||
      !plain_factors(*x, alpha, beta) || !all_held(*x, {xp, yp}) ||
      !all_held(*p, {scale, bias, mean, var}) || saved_mean || saved_inverse || eps < 0)
    return refuse();
  state().counts["norm"] = mode;
  return queue(h, [x = *x, y = *y, p = *p, mode, xp, yp, scale, bias, mean, var, share, eps] {
    channels(x, mode == CUDNN_BATCHNORM_PER_ACTIVATION, [&](int64_t c, const auto& at) {
      const auto m = static_cast<double>(at.size());
      double sum = 0, squares = 0;
      for (const int64_t k : at) sum += read(x.type, xp, k);
      for (const int64_t k : at) squares += std::pow(read(x.type, xp, k) - sum / m, 2);
      const double s = read(p.type, scale, c) / std::sqrt(squares / m + eps);
      for (const int64_t k : at)
        write(y.type, yp, k, (read(x.type, xp, k) - sum / m) * s + read(p.type, bias, c));
      write(p.type, mean, c, share * sum / m + (1 - share) * read(p.type, mean, c));
      write(p.type, var, c, share * squares / (m - 1) + (1 - share) * read(p.type, var, c));
    });
  });
}

EXPORT cudnnStatus_t cudnnBatchNormalizationForwardInference(
    cudnnHandle_t h, cudnnBatchNormMode_t mode, const void* alpha, const void* beta,
    cudnnTensorDescriptor_t x, const void* xp, cudnnTensorDescriptor_t y, void* yp,
    cudnnTensorDescriptor_t p, const void* scale, const void* bias, const void* mean,
    const void* var, double eps) {
  const Lock lock(state().mutex);
  if (!working(h) || !ready(x) || !ready(y) || !ready(p) || !same(*x, *y) || !fits(mode, *x, *p) ||
      !plain_factors(*x, alpha, beta) || !all_held(*x, {xp, yp}) ||
      !all_held(*p, {scale, bias, mean, var}) || eps < 0)
    return refuse();
  return queue(h, [x = *x, y = *y, p = *p, mode, xp, yp, scale, bias, mean, var, eps] {
    channels(x, mode == CUDNN_BATCHNORM_PER_ACTIVATION, [&](int64_t c, const auto& at) {
      const double s = read(p.type, scale, c) / std::sqrt(read(p.type, var, c) + eps);
      for (const int64_t k : at)
        write(y.type, yp, k,
              (read(x.type, xp, k) - read(p.type, mean, c)) * s + read(p.type, bias, c));
    });
  });
}

EXPORT cudnnStatus_t cudnnBatchNormalizationBackward(
    cudnnHandle_t h, cudnnBatchNormMode_t mode, const void* alpha, const void* beta,
    const void* alpha_params, const void* beta_params, cudnnTensorDescriptor_t x, const void* xp,
    cudnnTensorDescriptor_t dy, const void* dyp, cudnnTensorDescriptor_t dx, void* dxp,
    cudnnTensorDescriptor_t p, const void* scale, void* dscale, void* dbias, double eps,
    const void* mean, const void* inverse) {
  const Lock lock(state().mutex);
  if (!working(h) || !ready(x) || !ready(dy) || !ready(dx) || !ready(p) || !same(*x, *dy) ||
      !same(*x, *dx) || !fits(mode, *x, *p) || !plain_factors(*x, alpha, beta) ||
      !plain_factors(*x, alpha_params, beta_params) || !all_held(*x, {xp, dyp, dxp}) ||
      !all_held(*p, {scale, dscale, dbias, mean, inverse}) || eps < 0)
    return refuse();
  return queue(h, [x = *x, dy = *dy, dx = *dx, p = *p, mode, xp, dyp, dxp, scale, dscale, dbias,
                   mean, inverse] {
    channels(x, mode == CUDNN_BATCHNORM_PER_ACTIVATION, [&](int64_t c, const auto& at) {
      const auto m = static_cast<double>(at.size());
      const double s = read(p.type, inverse, c), centre = read(p.type, mean, c);
      double sum = 0, dot = 0;
      for (const int64_t k : at) {
        sum += read(dy.type, dyp, k);
        dot += read(dy.type, dyp, k) * (read(x.type, xp, k) - centre) * s;
      }
      for (const int64_t k : at) {
        const double hat = (read(x.type, xp, k) - centre) * s;
        write(dx.type, dxp, k,
              read(p.type, scale, c) * s * (read(dy.type, dyp, k) - sum / m - hat * dot / m));
      }
      write(p.type, dscale, c, dot);
      write(p.type, dbias, c, sum);
    });
  });
}

// ---- average pooling

EXPORT cudnnStatus_t cudnnCreatePoolingDescriptor(cudnnPoolingDescriptor_t* d) {
  return fake::make(d);
}
EXPORT cudnnStatus_t cudnnDestroyPoolingDescriptor(cudnnPoolingDescriptor_t d) {
  return fake::destroy(d);
}
EXPORT cudnnStatus_t cudnnSetPooling2dDescriptor(cudnnPoolingDescriptor_t d,
                                                 cudnnPoolingMode_t mode, cudnnNanPropagation_t,
                                                 int h, int w, int py, int px, int sy, int sx) {
  const Lock lock(state().mutex);
  if (!alive(d) || mode != CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING || h < 1 || w < 1 ||
      py < 0 || px < 0 || py >= h || px >= w || sy < 1 || sx < 1)
    return refuse();
  *d = {true, mode, {h, w}, {py, px}, {sy, sx}};
  return CUDNN_STATUS_SUCCESS;
}

}  // extern "C"

namespace {

bool windows_fit(const cudnnPoolingStruct& d, const Tensor& x, const Tensor& y) {
  if (x.type != y.type || x.size[0] != y.size[0] || x.size[1] != y.size[1]) return false;
  for (int k = 0; k < 2; ++k)
    if (y.size[k + 2] != (x.size[k + 2] + 2 * d.pad[k] - d.window[k]) / d.stride[k] + 1)
      return false;
  return true;
}
// add(where in x, where in y) for every element of every window that is not border.
template <class Add>
void windows(const cudnnPoolingStruct& d, const Tensor& x, const Tensor& y, Add&& add) {
  for (int n = 0; n < y.size[0]; ++n)
    for (int c = 0; c < y.size[1]; ++c)
      for (int oy = 0; oy < y.size[2]; ++oy)
        for (int ox = 0; ox < y.size[3]; ++ox)
          for (int ky = 0; ky < d.window[0]; ++ky)
            for (int kx = 0; kx < d.window[1]; ++kx) {
              const int iy = oy * d.stride[0] - d.pad[0] + ky;
              const int ix = ox * d.stride[1] - d.pad[1] + kx;
              if (iy >= 0 && ix >= 0 && iy < x.size[2] && ix < x.size[3])
                add(place(x, n, c, iy, ix), place(y, n, c, oy, ox));
            }
}
void store(const Tensor& t, void* p, const std::vector<double>& sums, double share) {
  for (size_t k = 0; k < sums.size(); ++k)
    write(t.type, p, static_cast<int64_t>(k), sums[k] * share);
}
std::vector<double> zeros(const Tensor& t) {
  return std::vector<double>(
      static_cast<size_t>(int64_t{t.size[0]} * t.size[1] * t.size[2] * t.size[3]));
}

}  // namespace

extern "C" {

EXPORT cudnnStatus_t cudnnPoolingForward(cudnnHandle_t h, cudnnPoolingDescriptor_t d,
                                         const void* alpha, cudnnTensorDescriptor_t x,
                                         const void* xp, const void* beta,
                                         cudnnTensorDescriptor_t y, void* yp) {
  const Lock lock(state().mutex);
  if (!working(h) || !ready(d) || !ready(x) || !ready(y) || !windows_fit(*d, *x, *y) ||
      !holds(*x, xp) || !holds(*y, yp) || !plain_factors(*x, alpha, beta))
    return refuse();
  return queue(h, [d = *d, x = *x, y = *y, xp, yp] {
    std::vector<double> sums = zeros(y);
    windows(d, x, y, [&](int64_t from, int64_t to) {
      sums[static_cast<size_t>(to)] += read(x.type, xp, from);
    });
    store(y, yp, sums, 1.0 / (d.window[0] * d.window[1]));
  });
}
EXPORT cudnnStatus_t cudnnPoolingBackward(cudnnHandle_t h, cudnnPoolingDescriptor_t d,
                                          const void* alpha, cudnnTensorDescriptor_t y,
                                          const void* yp, cudnnTensorDescriptor_t dy,
                                          const void* dyp, cudnnTensorDescriptor_t x,
                                          const void* xp, const void* beta,
                                          cudnnTensorDescriptor_t dx, void* dxp) {
  const Lock lock(state().mutex);
  if (!working(h) || !ready(d) || !ready(x) || !ready(y) || !ready(dx) || !ready(dy) ||
      !same(*x, *dx) || !same(*y, *dy) || !windows_fit(*d, *x, *y) || !holds(*x, xp) ||
      !holds(*y, yp) || !holds(*dx, dxp) || !holds(*dy, dyp) || !plain_factors(*x, alpha, beta))
    return refuse();
  return queue(h, [d = *d, dx = *dx, dy = *dy, dxp, dyp] {
    std::vector<double> sums = zeros(dx);
    windows(d, dx, dy, [&](int64_t to, int64_t from) {
      sums[static_cast<size_t>(to)] += read(dy.type, dyp, from);
    });
    store(dx, dxp, sums, 1.0 / (d.window[0] * d.window[1]));
  });
}

// ---- softmax

}  // extern "C"

namespace {

// body(where the channels of a position are) for all positions.
template <class Body>
void lines(const Tensor& t, Body&& body) {
  for (int n = 0; n < t.size[0]; ++n)
    for (int p = 0; p < t.size[2] * t.size[3]; ++p) {
      std::vector<int64_t> at;
      for (int c = 0; c < t.size[1]; ++c)
        at.push_back(place(t, n, c, p / t.size[3], p % t.size[3]));
      body(at);
    }
}
bool known(cudnnSoftmaxAlgorithm_t a, cudnnSoftmaxMode_t mode) {
  return (a == CUDNN_SOFTMAX_ACCURATE || a == CUDNN_SOFTMAX_LOG) &&
         mode == CUDNN_SOFTMAX_MODE_CHANNEL;
}

}  // namespace

extern "C" {

EXPORT cudnnStatus_t cudnnSoftmaxForward(cudnnHandle_t h, cudnnSoftmaxAlgorithm_t a,
                                         cudnnSoftmaxMode_t mode, const void* alpha,
                                         cudnnTensorDescriptor_t x, const void* xp,
                                         const void* beta, cudnnTensorDescriptor_t y, void* yp) {
  const Lock lock(state().mutex);
  if (!working(h) || !known(a, mode) || !ready(x) || !ready(y) || !same(*x, *y) || !holds(*x, xp) ||
      !holds(*y, yp) || !plain_factors(*x, alpha, beta))
    return refuse();
  return queue(h, [a, x = *x, y = *y, xp, yp] {
    lines(x, [&](const std::vector<int64_t>& at) {
      double most = -INFINITY, sum = 0;
      for (const int64_t k : at) most = std::max(most, read(x.type, xp, k));
      for (const int64_t k : at) sum += std::exp(read(x.type, xp, k) - most);
      for (const int64_t k : at) {
        const double v = read(x.type, xp, k) - most;
        write(y.type, yp, k, a == CUDNN_SOFTMAX_LOG ? v - std::log(sum) : std::exp(v) / sum);
      }
    });
  });
}
EXPORT cudnnStatus_t cudnnSoftmaxBackward(cudnnHandle_t h, cudnnSoftmaxAlgorithm_t a,
                                          cudnnSoftmaxMode_t mode, const void* alpha,
                                          cudnnTensorDescriptor_t y, const void* yp,
                                          cudnnTensorDescriptor_t dy, const void* dyp,
                                          const void* beta, cudnnTensorDescriptor_t dx, void* dxp) {
  const Lock lock(state().mutex);
  if (!working(h) || !known(a, mode) || !ready(y) || !ready(dy) || !ready(dx) || !same(*y, *dy) ||
      !same(*y, *dx) || !all_held(*y, {yp, dyp, dxp}) || !plain_factors(*y, alpha, beta))
    return refuse();
  return queue(h, [a, y = *y, yp, dyp, dxp] {
    lines(y, [&](const std::vector<int64_t>& at) {
      double sum = 0;
      for (const int64_t k : at) {
        const double g = read(y.type, dyp, k);
        sum += a == CUDNN_SOFTMAX_LOG ? g : g * read(y.type, yp, k);
      }
      for (const int64_t k : at) {
        const double g = read(y.type, dyp, k), v = read(y.type, yp, k);
        write(y.type, dxp, k, a == CUDNN_SOFTMAX_LOG ? g - std::exp(v) * sum : v * (g - sum));
      }
    });
  });
}
}
