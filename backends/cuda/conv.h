// Convolutions as products of matrices, for all shapes and dtypes: windows of the image are copied
// into columns, in scratch memory of bounded size, and cuBLAS multiplies. Knows no op.
#pragma once

#include <cuda/native.h>

namespace catena::cuda {

// The convolution of x (channels of height * width) with W to y; dtypes of all three are the same.
struct ConvShape {
  int64_t images, channels, height, width;
  int64_t filters, out_h, out_w;  // of y
  int64_t kh, kw, sy, sx, py, px, dy, dx, groups;

  int64_t rows() const { return channels / groups * kh * kw; }  // of a group's columns
  int64_t filters_of_group() const { return filters / groups; }
  int64_t positions() const { return out_h * out_w; }
  // Whether an image is its own columns.
  bool is_plain() const {
    return kh == 1 && kw == 1 && sy == 1 && sx == 1 && py == 0 && px == 0 && out_h == height &&
           out_w == width;
  }
};

// y from x and W, x from y and W, W from x and y. bias: one for each channel of what is made, or
// NULL. No array is empty.
void conv_forward(const sdk::Run& run, const ConvShape& s, ctn_dtype dtype, const void* x,
                  const void* w, const void* bias, void* y);
void conv_transposed(const sdk::Run& run, const ConvShape& s, ctn_dtype dtype, const void* y,
                     const void* w, const void* bias, void* x);
void conv_weights(const sdk::Run& run, const ConvShape& s, ctn_dtype dtype, const void* x,
                  const void* y, void* w);

}  // namespace catena::cuda
