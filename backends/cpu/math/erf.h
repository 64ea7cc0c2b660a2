// The error function of float32, computed in double.
#pragma once

#include <cpu/math/exp.h>

namespace catena::cpu::CTN_ISA::math {

// Below 1: x p(x^2), relative error 2^-34. Above: 1 - exp(-x^2 + g(x)), where g = log erfcx is
// fitted on [1, 4] to 2^-27, so that the result is right to 2^-30; from 4 on it rounds to 1.
inline float erf(float x) {
  const double m = static_cast<double>(abs(x));
  const double u = m * m;
  const double small =
      m * poly(u, 0x1.20dd7504007ecp+0, -0x1.8127465fb9fc4p-2, 0x1.ce2f0798c43cep-4,
               -0x1.b829a7a78c4dap-6, 0x1.5628ee005470ap-8, -0x1.bcbe9b37aaa69p-11,
               0x1.d8269598da081p-14, -0x1.43840cb1f79c2p-17);
  const double v = m > 4.0 ? 4.0 : m;
  const double g = poly(madd(v, 2.0 / 3.0, -5.0 / 3.0), -0x1.8e8b722c16ec3p+0,
                        -0x1.0edbda6ab74a4p-1, 0x1.0289c086e59a8p-3, -0x1.2c354465b0cd0p-5,
                        0x1.672ccfd505baap-7, -0x1.a2a772f0def8ep-9, 0x1.ce2c528d43b3ep-11,
                        -0x1.d2d260fb22816p-13, 0x1.5b3323622ffdfp-15, -0x1.1ea1c48a5482fp-19);
  const double large = 1.0 - value(exp_parts(g - v * v));
  return with_sign(static_cast<float>(m < 1.0 ? small : large), x);
}

}  // namespace catena::cpu::CTN_ISA::math
