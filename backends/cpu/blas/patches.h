// Patches of images as the columns of a matrix, for convolution without a copy of all patches: the
// packing of one panel reads the image itself.
#pragma once

#include <stdint.h>

namespace catena::cpu {

// A grid of positions over images. Position (y, x) of an image reads, for each channel and tap t,
// the element (y * step_y + dy[t], x * step_x + dx[t]), or zero outside. Row p of the matrix is
// channel p / taps and tap p % taps; column j is position j % (grid_h * grid_w) of image j / (...).
struct Patches {
  int64_t height, width;   // of an image
  int64_t grid_h, grid_w;  // positions
  int64_t step_y, step_x;
  int64_t image, channel;  // distances in elements; rows of an image are contiguous
  int64_t taps;
  const int64_t* dy;  // [taps]
  const int64_t* dx;
  const int64_t* offset;                     // dy * width + dx
  int64_t dy_low, dy_high, dx_low, dx_high;  // their extremes
};

// Columns that lie in one row of the grid of one image; at most one vector of them.
struct PatchRun {
  int64_t base;  // element that tap (0, 0) of the first column would read, in the image's channel 0
  int64_t y, x;  // its coordinates
  int32_t column;  // relative to the first column packed
  int32_t length;
  bool inside;  // no tap of any of its columns falls outside
};

// Rows [p, p + k) of the columns in `runs`: dst[q * width + column]. Columns from n up to width are
// zeros.
template <class T>
using PackPatchesFn = void (*)(const Patches& g, const T* images, const PatchRun* runs,
                               int64_t count, int64_t p, int64_t k, int64_t n, T* dst,
                               int64_t width);

// The inverse: adds rows of columns to where they were read from. Rows are (channel, tap) of
// `channels` channels, `ld` apart; columns are positions of rows [row0, row1) of the grid of one
// image, whose channel 0 is at `image`.
template <class T>
using AddPatchesFn = void (*)(const Patches& g, const T* columns, int64_t ld, int64_t row0,
                              int64_t row1, int64_t channels, T* image);

namespace sse2 {
extern const PackPatchesFn<float> kPackPatchesFloat;
extern const AddPatchesFn<float> kAddPatchesFloat;
extern const PackPatchesFn<double> kPackPatchesDouble;
extern const AddPatchesFn<double> kAddPatchesDouble;
}  // namespace sse2
namespace avx2 {
extern const PackPatchesFn<float> kPackPatchesFloat;
extern const AddPatchesFn<float> kAddPatchesFloat;
extern const PackPatchesFn<double> kPackPatchesDouble;
extern const AddPatchesFn<double> kAddPatchesDouble;
}  // namespace avx2
namespace avx512 {
extern const PackPatchesFn<float> kPackPatchesFloat;
extern const AddPatchesFn<float> kAddPatchesFloat;
extern const PackPatchesFn<double> kPackPatchesDouble;
extern const AddPatchesFn<double> kAddPatchesDouble;
}  // namespace avx512

}  // namespace catena::cpu
