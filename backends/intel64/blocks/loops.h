// Loops over positions of images whose channels lie in blocks, for one instruction set: at each
// position the channels of one block, which are one vector. They walk n positions; what belongs to
// channels (means, scales) is one block of values. Sources of steps are in positions.
#pragma once

#include <stdint.h>

namespace catena::intel64 {

inline constexpr int kMostChannels = 16;  // of a block

// Count, mean and sum of squared distances from it, for each channel of a block.
struct BlockMoments {
  double count = 0, mean[kMostChannels] = {}, squares[kMostChannels] = {};
};

// y = (x - mean) * scale + shift
struct BlockAffine {
  float mean[kMostChannels], scale[kMostChannels], shift[kMostChannels];
};
// gx = (gy - offset - (x - mean) * slope) * scale
struct BlockSlope {
  float mean[kMostChannels], scale[kMostChannels], offset[kMostChannels], slope[kMostChannels];
};
// Sums of gy and of gy * (x - mean).
struct BlockDots {
  double sum[kMostChannels] = {}, dot[kMostChannels] = {};
};

// Windows over the channels of a position: `reach` to either side, at most to the next block.
struct BlockWindow {
  int64_t blocks, plane;  // of an image; floats from a block to the next
  int64_t reach;
  float k, factor;
};

// A row of sums over 3 x 3 elements of filters, for two blocks that are made of one. Beside a row
// there are zeros.
struct BlockRow {
  float *y0, *y1;
  const float* x;        // the first row that is within the image, of up to three
  const float* ahead;    // a row that a later call reads
  const float *w0, *w1;  // [row][column][channel][channel made] for that row and the next ones
  int64_t width;         // has_tiles()
  int64_t rows;          // within the image
  int64_t tap;           // floats from a filter's element to the next
  bool first;            // y = the sums; else they are added
};

// The sums at one position of kSpot images, for two blocks that are made of one.
inline constexpr int kSpot = 8;
struct BlockTap {
  int32_t x, w;  // floats from BlockSpot's
};
struct BlockSpot {
  float *y0, *y1;
  const float *x, *w0, *w1;
  int64_t x_step, y_step;  // floats from image to image
  const BlockTap* taps;    // elements of filters, [channel][channel made]
  int64_t n_taps;
  bool first;  // y = the sums; else they are added
};

struct BlockLoops {
  int64_t block;  // channels of one
  void (*moments)(BlockMoments* all, const float* x, int64_t n);
  void (*affine)(float* y, const float* x, const BlockAffine* k, int64_t n);
  void (*dots)(BlockDots* all, const float* gy, const float* x, const float* mean, int64_t n);
  void (*slope)(float* gx, const float* gy, const float* x, const BlockSlope* k, int64_t n);

  // best[i], index[i] = x[i * step], position where x is larger or the first NaN
  void (*max)(float* best, int32_t* index, const float* x, int64_t n, int64_t step,
              int32_t position);
  // y[i] += x[i * step]
  void (*sum)(float* y, const float* x, int64_t n, int64_t step);
  // y[i * step] += x[i]
  void (*spread)(float* y, const float* x, int64_t n, int64_t step);
  // y[i * step] += x[i] where index[i] is position
  void (*spread_at)(float* y, const float* x, const int32_t* index, int64_t n, int64_t step,
                    int32_t position);
  // y[i] *= by
  void (*scale)(float* y, float by, int64_t n);
  // w0, w1 [block of x][block of y] += x[at_x[i]] * y[at_y[i]] for i < n, for two blocks of y, or
  // one where w1 is w0 (=, if `first`); places in floats.
  void (*products)(float* w0, float* w1, bool first, const float* x, const float* y0,
                   const float* y1, const int32_t* at_x, const int32_t* at_y, int64_t n);
  // Null where the registers do not hold a tile.
  void (*row)(const BlockRow* r);
  void (*spot)(const BlockSpot* s);
  // y[i] += b for each channel; what is negative becomes 0, if `relu`
  void (*finish)(float* y, const float* b, bool relu, int64_t n);
  // For all blocks of n positions: scale = k + factor * (window sum of x^2), y = x * scale^-0.75
  void (*normalize)(float* y, float* scale, const float* x, const BlockWindow* w, int64_t n);
  // gx = gy * scale^-0.75 - factor * x * (window sum of gy * x * scale^-1.75)
  void (*normalize_slope)(float* gx, const float* x, const float* scale, const float* gy,
                          const BlockWindow* w, int64_t n);
  // Whether all of index is in [0, end).
  bool (*within)(const int32_t* index, int64_t n, int32_t end);
};

namespace avx2 {
extern const BlockLoops kBlockLoops;
}
namespace avx512 {
extern const BlockLoops kBlockLoops;
}

// Whether rows of so many positions fall into tiles of 14, 8 or 7.
inline bool has_tiles(int64_t width) { return width % 14 == 0 || width % 8 == 0 || width == 7; }

// Those for channel_block().
const BlockLoops& block_loops();

}  // namespace catena::intel64
