// Mathematics of float32 in vectors. float64, and what is not here, is served by the C library.
#include <cpu/expr/loops.h>
#include <cpu/math/erf.h>
#include <cpu/math/log.h>
#include <cpu/math/round.h>
#include <cpu/math/tanh.h>
#include <cpu/math/trig.h>

namespace catena::cpu::CTN_ISA {

namespace {

// The vector loop takes whole groups; what is left goes through it as a padded group.
constexpr int64_t kGroup = 16;

template <float (*kFn)(float)>
void each(void* dst, const void* a, const void*, const void*, int64_t n) {
  float* d = static_cast<float*>(dst);
  const float* x = static_cast<const float*>(a);
  const int64_t whole = n - n % kGroup;
  CTN_INDEPENDENT
  for (int64_t i = 0; i < whole; ++i) d[i] = kFn(x[i]);
  if (whole == n) return;
  float in[kGroup] = {};
  float out[kGroup];
  for (int64_t i = whole; i < n; ++i) in[i - whole] = x[i];
  for (int64_t i = 0; i < kGroup; ++i) out[i] = kFn(in[i]);
  for (int64_t i = whole; i < n; ++i) d[i] = out[i - whole];
}

void pow_each(void* dst, const void* a, const void* b, const void*, int64_t n) {
  float* d = static_cast<float*>(dst);
  const float* x = static_cast<const float*>(a);
  const float* y = static_cast<const float*>(b);
  const int64_t whole = n - n % kGroup;
  CTN_INDEPENDENT
  for (int64_t i = 0; i < whole; ++i) d[i] = math::pow(x[i], y[i]);
  if (whole == n) return;
  float base[kGroup] = {};
  float power[kGroup] = {};
  float out[kGroup];
  for (int64_t i = whole; i < n; ++i) base[i - whole] = x[i];
  for (int64_t i = whole; i < n; ++i) power[i - whole] = y[i];
  for (int64_t i = 0; i < kGroup; ++i) out[i] = math::pow(base[i], power[i]);
  for (int64_t i = whole; i < n; ++i) d[i] = out[i - whole];
}

// Angles beyond the limit are rare: a stretch that has one is left to the C library there.
template <float (*kFn)(float), float (*kFar)(float)>
void each_angle(void* dst, const void* a, const void*, const void*, int64_t n) {
  float* d = static_cast<float*>(dst);
  const float* x = static_cast<const float*>(a);
  constexpr int64_t kStretch = 256;
  for (int64_t at = 0; at < n; at += kStretch) {
    const int64_t m = n - at < kStretch ? n - at : kStretch;
    uint32_t far = 0;
    for (int64_t i = 0; i < m; ++i) far |= math::abs(x[at + i]) > math::kTrigLimit ? 1u : 0u;
    if (far == 0) {
      each<kFn>(d + at, x + at, nullptr, nullptr, m);
      continue;
    }
    for (int64_t i = at; i < at + m; ++i) {
      const float v = x[i];
      d[i] = math::abs(v) > math::kTrigLimit ? kFar(v) : kFn(v);
    }
  }
}

float far_sin(float x) { return __builtin_sinf(x); }
float far_cos(float x) { return __builtin_cosf(x); }
float far_tan(float x) { return __builtin_tanf(x); }

}  // namespace

StepFn math_step(StepKey key) {
  if (key.type != CTN_FLOAT32 || key.uniform != 0) return nullptr;
  switch (key.op) {
    case CTN_X_EXP: return each<math::exp>;
    case CTN_X_EXPM1: return each<math::expm1>;
    case CTN_X_EXP2: return each<math::exp2>;
    case CTN_X_LOG: return each<math::log>;
    case CTN_X_LOG1P: return each<math::log1p>;
    case CTN_X_LOG2: return each<math::log2>;
    case CTN_X_LOG10: return each<math::log10>;
    case CTN_X_SIN: return each_angle<math::sin, far_sin>;
    case CTN_X_COS: return each_angle<math::cos, far_cos>;
    case CTN_X_TAN: return each_angle<math::tan, far_tan>;
    case CTN_X_SINH: return each<math::sinh>;
    case CTN_X_COSH: return each<math::cosh>;
    case CTN_X_TANH: return each<math::tanh>;
    case CTN_X_SIGMOID: return each<math::sigmoid>;
    case CTN_X_ERF: return each<math::erf>;
    case CTN_X_POW: return pow_each;
    default: return nullptr;
  }
}

}  // namespace catena::cpu::CTN_ISA
