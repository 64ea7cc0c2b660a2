// Local response normalization for the instruction set of this file's flags; compiled once per set.
#include <cpu/expr/loops.h>
#include <cpu/math/log.h>
#include <cpu/nn/lrn.h>

namespace catena::cpu::CTN_ISA {
namespace {

constexpr int64_t kTile = 512;  // elements whose sums stay in the first cache

// to[i] = the sum over the window of element begin + i, of squares or of the elements themselves;
// the lowest channel first.
template <bool kSquares, class T>
void window_sums(T* __restrict to, const T* x, const LrnWindow& w, int64_t begin, int64_t end) {
  for (int64_t i = 0; i < end - begin; ++i) to[i] = 0;
  for (int64_t k = -w.reach; k <= w.reach; ++k) {
    const int64_t shift = k * w.step;
    const int64_t first = begin + shift < 0 ? -shift : begin;
    const int64_t last = end + shift > w.size ? w.size - shift : end;
    if (first >= last) continue;
    T* sums = to + (first - begin);
    const T* from = x + first + shift;
    CTN_INDEPENDENT
    for (int64_t i = 0; i < last - first; ++i) sums[i] += kSquares ? from[i] * from[i] : from[i];
  }
}

// s^-beta: the common power by roots, the others of float32 as exp and log give them, to within a
// few units of the last place while the logarithm is small. Without a power everything is 1,
// infinite scales included.
struct Nothing {
  template <class T>
  T operator()(T) const {
    return 1;
  }
};
struct Roots {
  template <class T>
  T operator()(T s) const {
    const T r = 1 / root(s);
    return r * root(r);
  }
  static float root(float x) { return __builtin_sqrtf(x); }
  static double root(double x) { return __builtin_sqrt(x); }
};
template <class T>
struct Power {
  T beta;
  float operator()(float s) const { return math::exp(-beta * math::log(s)); }
  double operator()(double s) const { return __builtin_pow(s, -beta); }
};
template <class T, class Fn>
void with_power(T beta, Fn fn) {
  if (beta == 0) {
    fn(Nothing());
  } else if (beta == static_cast<T>(0.75)) {
    fn(Roots());
  } else {
    fn(Power<T>{beta});
  }
}

// fn(begin, end) for the tiles of [begin, end).
template <class Fn>
void for_tiles(int64_t begin, int64_t end, Fn fn) {
  for (int64_t at = begin; at < end; at += kTile) fn(at, end - at < kTile ? end : at + kTile);
}

template <class T>
void normalize(T* y, T* scale, const T* x, const LrnWindow& w, const LrnFactors<T>& f,
               int64_t begin, int64_t end) {
  const T k = f.k, alpha = f.alpha;
  with_power(f.beta, [&](auto power) {
    for_tiles(begin, end, [&](int64_t first, int64_t last) {
      T sums[kTile];
      window_sums<true>(sums, x, w, first, last);
      T *to = y + first, *kept = scale + first;
      const T* from = x + first;
      CTN_INDEPENDENT
      for (int64_t i = 0; i < last - first; ++i) {
        const T s = k + alpha * sums[i];
        kept[i] = s;
        to[i] = from[i] * power(s);
      }
    });
  });
}

template <class T>
void begin_slope(T* gx, T* part, const T* x, const T* scale, const T* gy, T beta, int64_t begin,
                 int64_t end) {
  with_power(beta, [&](auto power) {
    CTN_INDEPENDENT
    for (int64_t i = begin; i < end; ++i) {
      const T slope = gy[i] * power(scale[i]);
      gx[i] = slope;
      part[i] = slope * x[i] / scale[i];
    }
  });
}

template <class T>
void finish_slope(T* gx, const T* part, const T* x, const LrnWindow& w, T factor, int64_t begin,
                  int64_t end) {
  for_tiles(begin, end, [&](int64_t first, int64_t last) {
    T sums[kTile];
    window_sums<false>(sums, part, w, first, last);
    T* to = gx + first;
    const T* from = x + first;
    CTN_INDEPENDENT
    for (int64_t i = 0; i < last - first; ++i) to[i] -= factor * from[i] * sums[i];
  });
}

template <class T>
void sum(T* y, const T* x, const LrnWindow& w, int64_t begin, int64_t end) {
  for_tiles(begin, end,
            [&](int64_t first, int64_t last) { window_sums<false>(y + first, x, w, first, last); });
}

template <class T>
constexpr LrnLoops<T> make() {
  return {normalize<T>, begin_slope<T>, finish_slope<T>, sum<T>};
}

}  // namespace

constinit const LrnLoops<float> kLrnFloat = make<float>();
constinit const LrnLoops<double> kLrnDouble = make<double>();

}  // namespace catena::cpu::CTN_ISA
