// Local response normalization for one instruction set. An image is its channels one after the
// other; a window takes elements of equal place in neighbouring channels. lrn.cc walks over images,
// these over any part of one.
#pragma once

#include <stdint.h>

namespace catena::cpu {

struct LrnWindow {
  int64_t size, step, reach;  // elements of an image and of a channel; channels to either side
};

template <class T>
struct LrnFactors {
  T k, alpha, beta;
};

// Elements [begin, end) of images at x, y, ...
template <class T>
struct LrnLoops {
  // scale = k + alpha * sum(x^2), y = x * scale^-beta
  void (*normalize)(T* y, T* scale, const T* x, const LrnWindow& w, const LrnFactors<T>& f,
                    int64_t begin, int64_t end);
  // gx = gy * scale^-beta, part = gx * x / scale
  void (*begin_slope)(T* gx, T* part, const T* x, const T* scale, const T* gy, T beta,
                      int64_t begin, int64_t end);
  // gx -= factor * x * sum(part)
  void (*finish_slope)(T* gx, const T* part, const T* x, const LrnWindow& w, T factor,
                       int64_t begin, int64_t end);
  void (*sum)(T* y, const T* x, const LrnWindow& w, int64_t begin, int64_t end);
};

namespace sse2 {
extern const LrnLoops<float> kLrnFloat;
extern const LrnLoops<double> kLrnDouble;
}  // namespace sse2
namespace avx2 {
extern const LrnLoops<float> kLrnFloat;
extern const LrnLoops<double> kLrnDouble;
}  // namespace avx2
namespace avx512 {
extern const LrnLoops<float> kLrnFloat;
extern const LrnLoops<double> kLrnDouble;
}  // namespace avx512

}  // namespace catena::cpu
