// tanh and the logistic function of float32, from exp of a negative argument: nothing overflows.
#pragma once

#include <cpu/math/exp.h>

namespace catena::cpu::CTN_ISA::math {

// x + x^3 p(x^2) below 0.625, p to 2^-27; 1 - 2 / (exp(2x) + 1) above, 1 from 9.02 on.
inline float tanh(float x) {
  const float m = abs(x);
  const float u = x * x;
  const float p =
      poly(u, -0x1.555534p-2f, 0x1.110768p-3f, -0x1.b84448p-5f, 0x1.5256d4p-6f, -0x1.76ac0ep-8f);
  const float small = madd(m * u, p, m);
  const float v = m > 10.0f ? 10.0f : m;
  const float large = 1.0f - 2.0f / (exp(2.0f * v) + 1.0f);
  return with_sign(m < 0.625f ? small : large, x);
}

inline float sigmoid(float x) {
  const float e = exp(-abs(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

}  // namespace catena::cpu::CTN_ISA::math
