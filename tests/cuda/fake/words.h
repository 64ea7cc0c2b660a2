// The few words of CUDA that generated kernels use, for a host compiler: included in front of a
// kernel's source by the false NVRTC. The false driver sets the indexes and provides the barrier.
#pragma once

#define __global__
#define __device__
#define __shared__ static

struct Index3 {
  unsigned x, y, z;
};
extern "C" {
extern Index3 threadIdx, blockIdx, blockDim, gridDim;
extern void (*emulated_barrier)(int whole_block);

double fmod(double, double);
float fmodf(float, float);
double pow(double, double);
float powf(float, float);
double atan2(double, double);
float atan2f(float, float);
double copysign(double, double);
#define BOTH(name)     \
  double name(double); \
  float name##f(float);
BOTH(fabs)
BOTH(sqrt)
BOTH(exp)
BOTH(expm1)
BOTH(exp2)
BOTH(log)
BOTH(log1p)
BOTH(log2)
BOTH(log10)
BOTH(sin)
BOTH(cos)
BOTH(tan)
BOTH(asin)
BOTH(acos)
BOTH(atan)
BOTH(sinh)
BOTH(cosh)
BOTH(tanh)
BOTH(erf)
BOTH(erfc)
BOTH(lgamma)
BOTH(floor)
BOTH(ceil)
BOTH(trunc)
BOTH(rint)
#undef BOTH
}

inline void __syncthreads() { emulated_barrier(1); }

// All lanes of the warp take part: the mask is full.
template <class T>
inline T __shfl_xor_sync(unsigned, T v, int distance) {
  static T given[1024];
  given[threadIdx.x] = v;
  emulated_barrier(0);
  v = given[threadIdx.x ^ static_cast<unsigned>(distance)];
  emulated_barrier(0);
  return v;
}

inline float __uint_as_float(unsigned bits) {
  float v;
  __builtin_memcpy(&v, &bits, sizeof v);
  return v;
}
inline unsigned __float_as_uint(float v) {
  unsigned bits;
  __builtin_memcpy(&bits, &v, sizeof v);
  return bits;
}
inline double __longlong_as_double(long long bits) {
  double v;
  __builtin_memcpy(&v, &bits, sizeof v);
  return v;
}
