// Matrix products: the choice of a scheme by shape, operands that are plain matrices, batches.
#include <cpu/blas/gemm.h>

#include <cpu/blas/operands.h>
#include <cpu/isa.h>

#include <catena/sdk/kernel.hpp>

#include <algorithm>

namespace catena::cpu {
namespace {

constexpr int64_t kDotSteps = 1024;     // rows of both sides stay in the first-level cache
constexpr int64_t kDotItems = 40;       // up to this many rows on one side packing does not pay
constexpr int64_t kTaskWork = 1 << 19;  // least multiplications of a task

// Calls fn with the general product that g describes.
template <class T, class Fn>
void with_product(const Dense<T>& dense, const Gemm<T>& g, Fn&& fn) {
  const Strided<T> a(dense, g.a.p, g.a.row, g.a.column);
  const Strided<T> b(dense, g.b.p, g.b.column, g.b.row);
  const Rows<T> c(g.c, g.ldc);
  fn(Product<T>{g.m, g.n, g.k, &a, &b, &c, g.add, nullptr, g.bias});
}

// A's rows times B's columns, both contiguous along k, and few of one of them. Not for k == 0,
// where A and B may be nowhere.
template <class T>
bool wants_dots(const Gemm<T>& g) {
  return g.k != 0 && g.a.column == 1 && g.b.row == 1 && std::min(g.m, g.n) <= kDotItems;
}

template <class T>
Dots<T> as_dots(const Gemm<T>& g) {
  return {g.m, g.n, g.k, g.a.p, g.a.row, g.b.p, g.b.column, g.c, g.ldc, g.add, g.bias};
}

template <class T>
void parallel_dots(ctn_exec exec, const Dense<T>& dense, const Dots<T>& whole) {
  const bool by_columns = whole.n >= whole.m;
  const int64_t count = by_columns ? whole.n : whole.m;
  const int64_t unit = by_columns ? dense.dot_columns : dense.dot_rows;
  const int64_t work = std::max<int64_t>(1, whole.m * whole.n * whole.k);
  const int64_t tasks = std::clamp(work / kTaskWork, int64_t{1}, int64_t{16});
  if (tasks == 1) return dots(dense, whole);
  const int64_t grain = ((count + tasks - 1) / tasks + unit - 1) / unit * unit;
  sdk::parallel_for(exec, count, grain, [&](int64_t begin, int64_t end) {
    Dots<T> part = whole;
    if (by_columns) {
      part.n = end - begin;
      part.b += begin * whole.ldb;
      part.c += begin;
      if (part.bias != nullptr) part.bias += begin;
    } else {
      part.m = end - begin;
      part.a += begin * whole.lda;
      part.c += begin * whole.ldc;
    }
    dots(dense, part);
  });
}

}  // namespace

template <>
const Dense<float>& dense() {
  switch (isa()) {
    case Isa::kAvx512: return avx512::kDenseFloat;
    case Isa::kAvx2: return avx2::kDenseFloat;
    default: return sse2::kDenseFloat;
  }
}
template <>
const Dense<double>& dense() {
  switch (isa()) {
    case Isa::kAvx512: return avx512::kDenseDouble;
    case Isa::kAvx2: return avx2::kDenseDouble;
    default: return sse2::kDenseDouble;
  }
}

template <class T>
void dots(const Dense<T>& dense, const Dots<T>& d) {
  const int64_t tile_rows = dense.dot_rows, tile_columns = dense.dot_columns;
  int64_t p = 0;
  do {  // once even if k == 0: C = bias
    const int64_t k = std::min(kDotSteps, d.k - p);
    const bool add = d.add || p != 0;
    for (int64_t j = 0; j < d.n; j += tile_columns) {
      const T* b[kMaxDotRows];
      for (int64_t s = 0; s < tile_columns; ++s) b[s] = d.b + std::min(j + s, d.n - 1) * d.ldb + p;
      const int64_t columns = std::min(tile_columns, d.n - j);
      for (int64_t i = 0; i < d.m; i += tile_rows) {
        const int64_t rows = std::min(tile_rows, d.m - i);
        const T* a[kMaxDotRows];
        for (int64_t r = 0; r < rows; ++r) a[r] = d.a + (i + r) * d.lda + p;
        T sums[kMaxDotRows * kMaxDotRows + kMaxLanes];
        dense.dot[rows - 1](k, a, b, sums);
        for (int64_t r = 0; r < rows; ++r) {
          T* to = d.c + (i + r) * d.ldc + j;
          for (int64_t s = 0; s < columns; ++s) {
            T sum = sums[r * tile_columns + s];
            if (d.bias != nullptr && p == 0) sum += d.bias[j + s];
            to[s] = add ? to[s] + sum : sum;
          }
        }
      }
    }
    p += kDotSteps;
  } while (p < d.k);
}

template <class T>
void gemm(ctn_exec exec, const Dense<T>& dense, const Gemm<T>& g) {
  if (g.m == 0 || g.n == 0) return;
  if (wants_dots(g)) return parallel_dots(exec, dense, as_dots(g));
  with_product(dense, g, [&](const Product<T>& p) { multiply(exec, dense, p); });
}

template <class T>
void gemm_batch(ctn_exec exec, const Dense<T>& dense, const Gemm<T>& g, int64_t count,
                int64_t step_a, int64_t step_b, int64_t step_c) {
  if (g.m == 0 || g.n == 0 || count == 0) return;
  const auto at = [&](int64_t i) {
    Gemm<T> one = g;
    one.a.p += i * step_a;
    one.b.p += i * step_b;
    one.c += i * step_c;
    return one;
  };
  const int64_t work = std::max<int64_t>(1, g.m * g.n * g.k);
  if (count == 1 || work >= 8 * kTaskWork) {  // enough in one to share out
    for (int64_t i = 0; i < count; ++i) gemm(exec, dense, at(i));
    return;
  }
  const int64_t grain = (kTaskWork + work - 1) / work;
  if (wants_dots(g)) {
    sdk::parallel_for(exec, count, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) dots(dense, as_dots(at(i)));
    });
    return;
  }
  const int64_t bytes = serial_elements(dense, g.m, g.n, g.k) * static_cast<int64_t>(sizeof(T));
  Slots slots(exec, bytes, (count + grain - 1) / grain);
  sdk::parallel_for(exec, count, grain, [&](int64_t begin, int64_t end) {
    const Slots::Hold slot(slots);
    for (int64_t i = begin; i < end; ++i) {
      with_product(dense, at(i),
                   [&](const Product<T>& p) { multiply_serial(dense, p, slot.as<T>()); });
    }
  });
}

template void dots(const Dense<float>&, const Dots<float>&);
template void dots(const Dense<double>&, const Dots<double>&);
template void gemm(ctn_exec, const Dense<float>&, const Gemm<float>&);
template void gemm(ctn_exec, const Dense<double>&, const Gemm<double>&);
template void gemm_batch(ctn_exec, const Dense<float>&, const Gemm<float>&, int64_t, int64_t,
                         int64_t, int64_t);
template void gemm_batch(ctn_exec, const Dense<double>&, const Gemm<double>&, int64_t, int64_t,
                         int64_t, int64_t);

}  // namespace catena::cpu
