// Mathematics served by the C library, one element at a time: whatever has no vector form in math/.
// Built once, for the baseline instruction set, so that the results are those of the library.
#include <catena/plugin.h>
#include <math.h>

#include <cpu/expr/step.h>

namespace catena::cpu {

namespace {

template <class T, T (*kFn)(T)>
void each(void* dst, const void* a, const void*, const void*, int64_t n) {
  T* d = static_cast<T*>(dst);
  const T* x = static_cast<const T*>(a);
  for (int64_t i = 0; i < n; ++i) d[i] = kFn(x[i]);
}

template <class T, T (*kFn)(T, T)>
void each_pair(void* dst, const void* a, const void* b, const void*, int64_t n) {
  T* d = static_cast<T*>(dst);
  const T* x = static_cast<const T*>(a);
  const T* y = static_cast<const T*>(b);
  for (int64_t i = 0; i < n; ++i) d[i] = kFn(x[i], y[i]);
}

// Quotient and remainder as Python's divmod. fmod is exact; x / y itself may round up to the next
// integer.
double floor_div(double x, double y) {
  if (y == 0) return x / y;
  const double r = fmod(x, y);
  double q = (x - r) / y;
  if (r != 0 && (r < 0) != (y < 0)) q -= 1;
  if (q == 0) return copysign(0.0, x / y);
  const double down = floor(q);
  return q - down > 0.5 ? down + 1 : down;
}
float floor_div(float x, float y) {
  return static_cast<float>(floor_div(static_cast<double>(x), static_cast<double>(y)));
}
template <class T>
T floor_mod(T x, T y) {
  const T r = fmod(x, y);
  if (r == 0) return copysign(T(0), y);
  return (r < 0) != (y < 0) ? r + y : r;
}

template <class T>
T sigmoid(T x) {
  const T e = exp(-fabs(x));
  return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

// lgamma stores a sign in a global variable; the reentrant form does not.
float log_gamma(float x) {
  int sign = 0;
  return lgammaf_r(x, &sign);
}
double log_gamma(double x) {
  int sign = 0;
  return lgamma_r(x, &sign);
}

// Digamma: reflection below 1/2, recurrence up to 10, then the asymptotic series with the Bernoulli
// numbers (Abramowitz and Stegun 6.3.5, 6.3.7, 6.3.18).
double digamma(double x) {
  if (x == 0) return -copysign(HUGE_VAL, x);
  if (x < 0 && x == floor(x)) return NAN;
  if (x < 0.5) {
    const double turn = M_PI * (x - rint(x));  // the tangent has period pi
    return digamma(1 - x) - M_PI / tan(turn);
  }
  double shift = 0;
  for (; x < 10; x += 1) shift += 1 / x;
  const double z = 1 / (x * x);
  const double series =
      z * (1.0 / 12 -
           z * (1.0 / 120 -
                z * (1.0 / 252 -
                     z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z * (1.0 / 12)))))));
  return isinf(x) ? x : log(x) - 0.5 / x - series - shift;
}
float digamma(float x) { return static_cast<float>(digamma(static_cast<double>(x))); }

template <class T>
StepFn find(uint16_t op) {
  switch (op) {
    case CTN_X_TMOD: return each_pair<T, fmod>;
    case CTN_X_FDIV: return each_pair<T, floor_div>;
    case CTN_X_FMOD: return each_pair<T, floor_mod<T>>;
    case CTN_X_POW: return each_pair<T, pow>;
    case CTN_X_ATAN2: return each_pair<T, atan2>;
    case CTN_X_EXP: return each<T, exp>;
    case CTN_X_EXPM1: return each<T, expm1>;
    case CTN_X_EXP2: return each<T, exp2>;
    case CTN_X_LOG: return each<T, log>;
    case CTN_X_LOG1P: return each<T, log1p>;
    case CTN_X_LOG2: return each<T, log2>;
    case CTN_X_LOG10: return each<T, log10>;
    case CTN_X_SIN: return each<T, sin>;
    case CTN_X_COS: return each<T, cos>;
    case CTN_X_TAN: return each<T, tan>;
    case CTN_X_ASIN: return each<T, asin>;
    case CTN_X_ACOS: return each<T, acos>;
    case CTN_X_ATAN: return each<T, atan>;
    case CTN_X_SINH: return each<T, sinh>;
    case CTN_X_COSH: return each<T, cosh>;
    case CTN_X_TANH: return each<T, tanh>;
    case CTN_X_ERF: return each<T, erf>;
    case CTN_X_ERFC: return each<T, erfc>;
    case CTN_X_LGAMMA: return each<T, log_gamma>;
    case CTN_X_DIGAMMA: return each<T, digamma>;
    case CTN_X_SIGMOID: return each<T, sigmoid<T>>;
    default: return nullptr;
  }
}

}  // namespace

StepFn libm_step(StepKey key) {
  if (key.uniform != 0) return nullptr;
  if (key.type == CTN_FLOAT32) return find<float>(key.op);
  if (key.type == CTN_FLOAT64) return find<double>(key.op);
  return nullptr;
}

}  // namespace catena::cpu
