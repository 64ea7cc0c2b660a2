// Dense kernels for the instruction set of this file's flags; compiled once per set. Micro-kernels
// follow the outer-product scheme of Goto and van de Geijn (2008) and BLIS: a block of C stays in
// registers while panels of A and B stream by.
#include <cpu/blas/dense.h>
#include <cpu/blas/vec.h>

namespace catena::cpu::CTN_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kTileRows = 14, kDotRows = 5, kDotColumns = 5;
#elif defined(__AVX2__)
constexpr int kTileRows = 6, kDotRows = 3, kDotColumns = 3;
#else
constexpr int kTileRows = 4, kDotRows = 3, kDotColumns = 3;
#endif

template <class T, int M, int N>
void tile(int64_t k, const T* a, const T* b, int64_t ldb, T* c, int64_t ldc, const T* bias,
          int mode, Ahead ahead) {
  using V = Vec<T>;
  typename V::Reg acc[M][N];
  // Rows of C lie far apart: fetched now, they are here when the sums are.
  const int64_t fetched = k >= kFetchSteps ? 0 : N * V::kLanes;
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i) {
    const T* soon = c + i * ldc + fetched;
    __builtin_prefetch(soon, 1);
    if (N == 2) __builtin_prefetch(soon + 2 * V::kLanes - 1, 1);
    const typename V::Reg start = mode & kTileBiasRows ? V::set1(bias[i]) : V::zero();
#pragma GCC unroll 2
    for (int j = 0; j < N; ++j)
      acc[i][j] = mode & kTileBiasColumns ? V::load(bias + j * V::kLanes) : start;
  }
  const auto step = [&]() __attribute__((always_inline)) {
    typename V::Reg row[N];
#pragma GCC unroll 2
    for (int j = 0; j < N; ++j) row[j] = V::load(b + j * V::kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i) {
      const typename V::Reg x = V::set1(a[i]);
#pragma GCC unroll 2
      for (int j = 0; j < N; ++j) acc[i][j] = V::fma(x, row[j], acc[i][j]);
    }
    a += M;
    b += ldb;
  };
  int64_t p = 0;
  for (; p + kAheadSteps <= k; p += kAheadSteps) {
    __builtin_prefetch(reinterpret_cast<const void*>(ahead.at), 0, 2);
    __builtin_prefetch(reinterpret_cast<const void*>(ahead.at + 64), 0, 2);
    ahead.at += static_cast<uintptr_t>(ahead.step);
#pragma GCC unroll 1
    for (int q = 0; q < kAheadSteps; q += 2) {
      step();
      step();
    }
  }
  for (; p < k; ++p) step();
  const bool adds = mode & kTileAdd;
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < N; ++j) {
      T* to = c + i * ldc + j * V::kLanes;
      V::store(to, adds ? V::add(V::load(to), acc[i][j]) : acc[i][j]);
    }
  }
}

template <class T>
void copy(const T* src, int64_t ld, int64_t k, int64_t n, T* dst, int64_t width) {
  using V = Vec<T>;
  const int64_t whole = n / V::kLanes * V::kLanes;
  const int rest = static_cast<int>(n - whole);
  for (int64_t p = 0; p < k; ++p, src += ld, dst += width) {
    for (int64_t j = 0; j < whole; j += V::kLanes) V::store(dst + j, V::load(src + j));
    if (rest == 0) continue;
    const typename V::Reg v = V::load_first(src + whole, rest);
    if (whole + V::kLanes <= width) {
      V::store(dst + whole, v);
    } else {
      V::store_first(dst + whole, v, rest);
    }
  }
}

// kLanes rows of the source become `count` columns of dst.
template <class T>
void transpose_lanes(const T* const* rows, int64_t k, int count, T* dst, int64_t width) {
  using V = Vec<T>;
  constexpr int kStep = kColumns<T>;
  for (int64_t p = 0;; p += kStep) {
    if (p + kStep > k) {
      if (p >= k) break;
      p = k - kStep;  // the last block overlaps the one before
    }
    typename V::Reg v[kStep];
    columns<T>(rows, p, v);
#pragma GCC unroll 8
    for (int c = 0; c < kStep; ++c) {
      T* to = dst + (p + c) * width;
      if (count == V::kLanes) {
        V::store(to, v[c]);
      } else {
        V::store_first(to, v[c], count);
      }
    }
  }
}

template <class T>
void transpose(const T* src, int64_t ld, int64_t k, int64_t n, T* dst, int64_t width) {
  using V = Vec<T>;
  for (int64_t j = 0; j < n; j += V::kLanes) {
    const int left = static_cast<int>(n - j < V::kLanes ? n - j : V::kLanes);
    const int count = j + V::kLanes <= width ? V::kLanes : left;
    const T* rows[V::kLanes];
    for (int r = 0; r < V::kLanes; ++r) rows[r] = src + (j + (r < left ? r : 0)) * ld;
    if (k >= kColumns<T>) {
      transpose_lanes<T>(rows, k, count, dst + j, width);
      continue;
    }
    for (int64_t p = 0; p < k; ++p)
      for (int r = 0; r < count; ++r) dst[p * width + j + r] = rows[r][p];
  }
}

template <class T, int M>
void dot(int64_t k, const T* const* a, const T* const* b, T* out) {
  using V = Vec<T>;
  constexpr int kCount = M * kDotColumns;
  constexpr int kPadded = (kCount + V::kQuad - 1) / V::kQuad * V::kQuad;
  typename V::Reg acc[kPadded];
#pragma GCC unroll 28
  for (int i = 0; i < kPadded; ++i) acc[i] = V::zero();
  const auto step = [&](auto&& read) __attribute__((always_inline)) {
    typename V::Reg column[kDotColumns];
#pragma GCC unroll 5
    for (int j = 0; j < kDotColumns; ++j) column[j] = read(b[j]);
#pragma GCC unroll 5
    for (int i = 0; i < M; ++i) {
      const typename V::Reg x = read(a[i]);
#pragma GCC unroll 5
      for (int j = 0; j < kDotColumns; ++j)
        acc[i * kDotColumns + j] = V::fma(x, column[j], acc[i * kDotColumns + j]);
    }
  };
  int64_t p = 0;
  for (; p + V::kLanes <= k; p += V::kLanes) step([p](const T* row) { return V::load(row + p); });
  const int rest = static_cast<int>(k - p);
  if (rest != 0) step([p, rest](const T* row) { return V::load_first(row + p, rest); });
#pragma GCC unroll 14
  for (int i = 0; i < kPadded; i += V::kQuad) {
    turn<T>(acc + i);
    typename V::Reg sum = V::add(acc[i], acc[i + 1]);
    if constexpr (V::kQuad == 4) sum = V::add(sum, V::add(acc[i + 2], acc[i + 3]));
    const auto quad = V::fold(sum);
    __builtin_memcpy(out + i, &quad, sizeof quad);
  }
}

// tile[rows - 1][vectors - 1] and dot[rows - 1] for all rows that this set has.
template <class T, int M = 1>
constexpr void fill(Dense<T>& d) {
  if constexpr (M <= kTileRows) {
    d.tile[M - 1][0] = tile<T, M, 1>;
    d.tile[M - 1][1] = tile<T, M, 2>;
    if constexpr (M <= kDotRows) d.dot[M - 1] = dot<T, M>;
    fill<T, M + 1>(d);
  }
}

template <class T>
constexpr Dense<T> make() {
  Dense<T> d{kTileRows, Vec<T>::kLanes, kDotRows, kDotColumns, copy<T>, transpose<T>, {}, {}};
  fill(d);
  return d;
}

}  // namespace

constinit const Dense<float> kDenseFloat = make<float>();
constinit const Dense<double> kDenseDouble = make<double>();

}  // namespace catena::cpu::CTN_ISA
