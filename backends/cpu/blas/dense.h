// The dense kernels of one instruction set as a table of functions: tiles of a matrix product,
// packing, and products of rows. gemm.cc and conv.cc drive them; nothing here knows shapes of ops.
#pragma once

#include <stdint.h>

namespace catena::cpu {

inline constexpr int kMaxTileRows = 14;
inline constexpr int kMaxDotRows = 5;
inline constexpr int kMaxLanes = 16;

// How a tile starts and ends.
enum TileMode : int {
  kTileStore = 0,
  kTileAdd = 1,          // C += A * B instead of C = A * B
  kTileBiasRows = 2,     // plus bias[i] for row i
  kTileBiasColumns = 4,  // plus bias[j] for column j
};

// What a tile brings into the second-level cache on its way: 128 bytes every kAheadSteps steps.
// A number, not a pointer: 0 is nothing, and a hint may lie beyond the end of an array.
struct Ahead {
  uintptr_t at;
  int64_t step;
};
inline constexpr int kAheadSteps = 8;
// Tiles of fewer steps end before a row of C could arrive: they fetch those of the tile on their
// right instead of their own.
inline constexpr int64_t kFetchSteps = 64;

// C[i * ldc + j] for i < rows of the tile, j < vectors * lanes, from a panel of A (rows of the tile
// side by side for each of the k steps) and rows of B that are ldb apart.
template <class T>
using TileFn = void (*)(int64_t k, const T* a, const T* b, int64_t ldb, T* c, int64_t ldc,
                        const T* bias, int mode, Ahead ahead);

// dst[p * width + j] = source of (j, p) for p < k, j < n; n is above width - lanes. If width is
// whole vectors, what follows n is filled with values of the source or zeros: garbage would be
// multiplied too, and subnormal numbers are slow. `ld` is the distance in the source between steps
// p (copy) or between j (transpose).
template <class T>
using PackFn = void (*)(const T* src, int64_t ld, int64_t k, int64_t n, T* dst, int64_t width);

// out[i * dot_columns + j] = sum over k of a[i][k] * b[j][k]; out has room for one vector more.
template <class T>
using DotFn = void (*)(int64_t k, const T* const* a, const T* const* b, T* out);

template <class T>
struct Dense {
  int tile_rows;                    // most rows of a tile
  int lanes;                        // columns of one vector; a tile has one or two vectors
  int dot_rows;                     // most rows of `dot`
  int dot_columns;                  // its columns, always all of them
  PackFn<T> copy;                   // j contiguous in the source
  PackFn<T> transpose;              // p contiguous in the source
  TileFn<T> tile[kMaxTileRows][2];  // [rows - 1][vectors - 1]
  DotFn<T> dot[kMaxDotRows];        // [rows - 1]
};

namespace sse2 {
extern const Dense<float> kDenseFloat;
extern const Dense<double> kDenseDouble;
}  // namespace sse2
namespace avx2 {
extern const Dense<float> kDenseFloat;
extern const Dense<double> kDenseDouble;
}  // namespace avx2
namespace avx512 {
extern const Dense<float> kDenseFloat;
extern const Dense<double> kDenseDouble;
}  // namespace avx512

// The table of the instruction set in use.
template <class T>
const Dense<T>& dense();

}  // namespace catena::cpu
