// Lines of softmax for the instruction set of this file's flags; compiled once per set. A NaN that
// the search for the largest element passes over comes back through the exponentials.
#include <cpu/expr/loops.h>
#include <cpu/math/exp.h>
#include <cpu/nn/lanes.h>
#include <cpu/nn/softmax.h>

namespace catena::cpu::CTN_ISA {
namespace {

inline float exp_of(float x) { return math::exp(x); }
inline double exp_of(double x) { return __builtin_exp(x); }
inline float log_of(float x) { return __builtin_logf(x); }
inline double log_of(double x) { return __builtin_log(x); }

template <class T>
T largest(const T* x, int64_t n) {
  using L = Lanes<T>;
  T best = -static_cast<T>(__builtin_inf());
  int64_t i = 0;
  if (n >= 2 * L::kCount) {
    typename L::V a = L::load(x), b = L::load(x + L::kCount);
    for (i = 2 * L::kCount; i + 2 * L::kCount <= n; i += 2 * L::kCount) {
      const typename L::V p = L::load(x + i), q = L::load(x + i + L::kCount);
      a = p > a ? p : a;
      b = q > b ? q : b;
    }
    T lanes[2 * L::kCount];
    __builtin_memcpy(lanes, &a, sizeof a);
    __builtin_memcpy(lanes + L::kCount, &b, sizeof b);
    for (const T v : lanes) best = v > best ? v : best;
  }
  for (; i < n; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

// The vector loop takes whole groups; what is left goes through it as a padded group.
constexpr int64_t kGroup = 16;

template <class T>
void shifted_exp(T* y, const T* x, T shift, int64_t n) {
  const int64_t whole = n - n % kGroup;
  CTN_INDEPENDENT
  for (int64_t i = 0; i < whole; ++i) y[i] = exp_of(x[i] - shift);
  if (whole == n) return;
  T in[kGroup] = {};
  T out[kGroup];
  for (int64_t i = whole; i < n; ++i) in[i - whole] = x[i] - shift;
  for (int64_t i = 0; i < kGroup; ++i) out[i] = exp_of(in[i]);
  for (int64_t i = whole; i < n; ++i) y[i] = out[i - whole];
}

constexpr int64_t kBlock = 1024;  // elements that stay in the first cache

template <class T>
void totals(const T* x, int64_t n, T* peak, T* total) {
  const T best = largest(x, n);
  double all = 0;
  T block[kBlock];
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t m = n - at < kBlock ? n - at : kBlock;
    shifted_exp(block, x + at, best, m);
    all += sum(block, m);
  }
  *peak = best;
  *total = static_cast<T>(all);
}

template <class T>
void softmax(T* y, const T* x, int64_t n) {
  const T best = largest(x, n);
  double all = 0;
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t m = n - at < kBlock ? n - at : kBlock;
    shifted_exp(y + at, x + at, best, m);
    all += sum(y + at, m);
  }
  const T scale = static_cast<T>(1.0 / all);
  CTN_INDEPENDENT
  for (int64_t i = 0; i < n; ++i) y[i] *= scale;
}

template <class T>
void log_softmax(T* y, const T* x, int64_t n) {
  T peak, total;
  totals(x, n, &peak, &total);
  const T log_total = log_of(total);
  CTN_INDEPENDENT
  for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - peak) - log_total;
}

template <class T>
void softmax_grad(T* gx, const T* y, const T* gy, int64_t n) {
  const T part = static_cast<T>(dot(y, gy, n));
  CTN_INDEPENDENT
  for (int64_t i = 0; i < n; ++i) gx[i] = y[i] * (gy[i] - part);
}

template <class T>
void log_softmax_grad(T* gx, const T* y, const T* gy, int64_t n) {
  const T part = static_cast<T>(sum(gy, n));
  shifted_exp(gx, y, T(0), n);
  CTN_INDEPENDENT
  for (int64_t i = 0; i < n; ++i) gx[i] = gy[i] - gx[i] * part;
}

template <class T>
void scaled_exp(T* y, const T* x, T peak, T scale, int64_t n) {
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t m = n - at < kBlock ? n - at : kBlock;
    T* p = y + at;
    shifted_exp(p, x + at, peak, m);
    CTN_INDEPENDENT
    for (int64_t i = 0; i < m; ++i) p[i] *= scale;
  }
}

// ---- columns

template <class T>
void column_peaks(const T* x, int64_t n, int64_t step, int64_t m, T* __restrict peak) {
  for (int64_t j = 0; j < m; ++j) peak[j] = -static_cast<T>(__builtin_inf());
  for (int64_t k = 0; k < n; ++k, x += step)
    for (int64_t j = 0; j < m; ++j) peak[j] = x[j] > peak[j] ? x[j] : peak[j];
}

template <class T>
void column_totals(const T* x, int64_t n, int64_t step, int64_t m, T* peak, T* total) {
  double all[kMostColumns] = {};
  column_peaks(x, n, step, m, peak);
  for (int64_t k = 0; k < n; ++k, x += step) {
    T e[kMostColumns];
    CTN_INDEPENDENT
    for (int64_t j = 0; j < m; ++j) e[j] = exp_of(x[j] - peak[j]);
    for (int64_t j = 0; j < m; ++j) all[j] += static_cast<double>(e[j]);
  }
  for (int64_t j = 0; j < m; ++j) total[j] = static_cast<T>(all[j]);
}

template <class T>
void column_scaled_exp(T* y, const T* x, const T* peak, const T* scale, int64_t n, int64_t step,
                       int64_t m) {
  for (int64_t k = 0; k < n; ++k, x += step, y += step) {
    CTN_INDEPENDENT
    for (int64_t j = 0; j < m; ++j) y[j] = exp_of(x[j] - peak[j]) * scale[j];
  }
}

template <class T>
void column_softmax(T* y, const T* x, int64_t n, int64_t step, int64_t m) {
  T peak[kMostColumns];
  double all[kMostColumns] = {};
  column_peaks(x, n, step, m, peak);
  for (int64_t k = 0; k < n; ++k) {
    const T* from = x + k * step;
    T* to = y + k * step;
    CTN_INDEPENDENT
    for (int64_t j = 0; j < m; ++j) to[j] = exp_of(from[j] - peak[j]);
    for (int64_t j = 0; j < m; ++j) all[j] += static_cast<double>(to[j]);
  }
  T scale[kMostColumns];
  for (int64_t j = 0; j < m; ++j) scale[j] = static_cast<T>(1.0 / all[j]);
  for (int64_t k = 0; k < n; ++k, y += step) {
    CTN_INDEPENDENT
    for (int64_t j = 0; j < m; ++j) y[j] *= scale[j];
  }
}

template <class T>
void column_log_softmax(T* y, const T* x, int64_t n, int64_t step, int64_t m) {
  T peak[kMostColumns], total[kMostColumns];
  column_totals(x, n, step, m, peak, total);
  for (int64_t j = 0; j < m; ++j) total[j] = log_of(total[j]);
  for (int64_t k = 0; k < n; ++k, x += step, y += step) {
    CTN_INDEPENDENT
    for (int64_t j = 0; j < m; ++j) y[j] = (x[j] - peak[j]) - total[j];
  }
}

template <class T>
void column_softmax_grad(T* gx, const T* y, const T* gy, int64_t n, int64_t step, int64_t m) {
  double all[kMostColumns] = {};
  for (int64_t k = 0; k < n; ++k)
    for (int64_t j = 0; j < m; ++j)
      all[j] += static_cast<double>(y[k * step + j] * gy[k * step + j]);
  T part[kMostColumns];
  for (int64_t j = 0; j < m; ++j) part[j] = static_cast<T>(all[j]);
  for (int64_t k = 0; k < n; ++k, gx += step, y += step, gy += step) {
    CTN_INDEPENDENT
    for (int64_t j = 0; j < m; ++j) gx[j] = y[j] * (gy[j] - part[j]);
  }
}

template <class T>
void column_log_softmax_grad(T* gx, const T* y, const T* gy, int64_t n, int64_t step, int64_t m) {
  double all[kMostColumns] = {};
  for (int64_t k = 0; k < n; ++k)
    for (int64_t j = 0; j < m; ++j) all[j] += static_cast<double>(gy[k * step + j]);
  T part[kMostColumns];
  for (int64_t j = 0; j < m; ++j) part[j] = static_cast<T>(all[j]);
  for (int64_t k = 0; k < n; ++k, gx += step, y += step, gy += step) {
    CTN_INDEPENDENT
    for (int64_t j = 0; j < m; ++j) gx[j] = gy[j] - exp_of(y[j]) * part[j];
  }
}

template <class T>
constexpr SoftmaxLoops<T> make() {
  return {totals<T>,
          softmax<T>,
          log_softmax<T>,
          softmax_grad<T>,
          log_softmax_grad<T>,
          scaled_exp<T>,
          column_totals<T>,
          column_softmax<T>,
          column_log_softmax<T>,
          column_softmax_grad<T>,
          column_log_softmax_grad<T>,
          column_scaled_exp<T>};
}

}  // namespace

constinit const SoftmaxLoops<float> kSoftmaxFloat = make<float>();
constinit const SoftmaxLoops<double> kSoftmaxDouble = make<double>();

}  // namespace catena::cpu::CTN_ISA
