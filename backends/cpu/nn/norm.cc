// Rows of batch normalization for the instruction set of this file's flags; compiled once per set.
#include <cpu/expr/loops.h>
#include <cpu/nn/lanes.h>
#include <cpu/nn/norm.h>

namespace catena::cpu::CTN_ISA {
namespace {

// Blocks of a row are centred on their own mean, so that no digits are lost where the mean is large
// beside the deviation.
template <class T>
void moments(Moments* all, const T* x, int64_t n) {
  using L = Lanes<T>;
  using V = typename L::V;
  for (int64_t at = 0; at < n; at += kSumBlock) {
    const T* p = x + at;
    const int64_t m = n - at < kSumBlock ? n - at : kSumBlock;
    const double count = static_cast<double>(m);
    const T centre = static_cast<T>(sum(p, m) / count);
    V a{}, b{}, a2{}, b2{};
    int64_t i = 0;
    for (; i + 2 * L::kCount <= m; i += 2 * L::kCount) {
      const V d = L::load(p + i) - centre, e = L::load(p + i + L::kCount) - centre;
      a += d;
      b += e;
      a2 += d * d;
      b2 += e * e;
    }
    T rest = 0, rest2 = 0;
    for (; i < m; ++i) {
      const T d = p[i] - centre;
      rest += d;
      rest2 += d * d;
    }
    // what rounding the centre left over
    const double left = static_cast<double>(L::fold(a + b) + rest) / count;
    const double squares = static_cast<double>(L::fold(a2 + b2) + rest2);
    merge(*all, {count, static_cast<double>(centre) + left, squares - left * left * count});
  }
}

template <class T>
void apply(T* y, const T* x, T mean, T scale, T shift, int64_t n) {
  CTN_INDEPENDENT
  for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - mean) * scale + shift;
}

template <class T>
void dots(double* sums, const T* gy, const T* x, T mean, int64_t n) {
  using L = Lanes<T>;
  using V = typename L::V;
  for (int64_t at = 0; at < n; at += kSumBlock) {
    const T *g = gy + at, *p = x + at;
    const int64_t m = n - at < kSumBlock ? n - at : kSumBlock;
    V a{}, b{}, ax{}, bx{};
    int64_t i = 0;
    for (; i + 2 * L::kCount <= m; i += 2 * L::kCount) {
      const V u = L::load(g + i), v = L::load(g + i + L::kCount);
      a += u;
      b += v;
      ax += u * (L::load(p + i) - mean);
      bx += v * (L::load(p + i + L::kCount) - mean);
    }
    T rest = 0, rest_x = 0;
    for (; i < m; ++i) {
      rest += g[i];
      rest_x += g[i] * (p[i] - mean);
    }
    sums[0] += static_cast<double>(L::fold(a + b) + rest);
    sums[1] += static_cast<double>(L::fold(ax + bx) + rest_x);
  }
}

template <class T>
void slope(T* gx, const T* gy, const T* x, NormSlope<T> k, int64_t n) {
  CTN_INDEPENDENT
  for (int64_t i = 0; i < n; ++i)
    gx[i] = k.scale * ((gy[i] - k.offset) - (x[i] - k.mean) * k.slope);
}

// ---- columns

template <class T>
void add(T* __restrict sums, const T* __restrict x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) sums[i] += x[i];
}

template <class T>
void distances(T* __restrict sums, T* __restrict squares, const T* __restrict x,
               const T* __restrict mean, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const T d = x[i] - mean[i];
    sums[i] += d;
    squares[i] += d * d;
  }
}

template <class T>
void column_apply(T* y, const T* x, const T* mean, const T* scale, const T* shift, int64_t n) {
  CTN_INDEPENDENT
  for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - mean[i]) * scale[i] + shift[i];
}

template <class T>
void column_dots(T* __restrict sums, T* __restrict dots, const T* __restrict gy,
                 const T* __restrict x, const T* __restrict mean, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    sums[i] += gy[i];
    dots[i] += gy[i] * (x[i] - mean[i]);
  }
}

template <class T>
void column_slope(T* gx, const T* gy, const T* x, const T* mean, const T* scale, const T* offset,
                  const T* slope, int64_t n) {
  CTN_INDEPENDENT
  for (int64_t i = 0; i < n; ++i)
    gx[i] = scale[i] * ((gy[i] - offset[i]) - (x[i] - mean[i]) * slope[i]);
}

template <class T>
constexpr NormLoops<T> make() {
  return {moments<T>,   apply<T>,        dots<T>,        slope<T>,       add<T>,
          distances<T>, column_apply<T>, column_dots<T>, column_slope<T>};
}

}  // namespace

constinit const NormLoops<float> kNormFloat = make<float>();
constinit const NormLoops<double> kNormDouble = make<double>();

}  // namespace catena::cpu::CTN_ISA
