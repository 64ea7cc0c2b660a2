// Two-dimensional convolution, its transpose and the gradient of its weights, for arrays in C
// order. Shapes have been checked. x is N images of `channels` planes, y of `filters` planes; W has
// a (channels / groups) x kernel block for each filter.
#pragma once

#include <catena/plugin.h>

#include <stdint.h>

namespace catena::cpu {

struct ConvShape {
  int64_t images, channels, height, width;  // of x
  int64_t filters, out_height, out_width;   // of y
  int64_t kernel_h, kernel_w;
  int64_t stride_y, stride_x, pad_y, pad_x, dilate_y, dilate_x;
  int64_t groups;
};

// y = W * x + b[filter]; b may be NULL
template <class T>
void conv_forward(ctn_exec exec, const ConvShape& s, const T* x, const T* w, const T* b, T* y);

// x = transpose of the above applied to y, + b[channel]; b may be NULL
template <class T>
void conv_transpose(ctn_exec exec, const ConvShape& s, const T* y, const T* w, const T* b, T* x);

// The same result by another way, for few channels or planes much larger than y's.
template <class T>
void conv_scatter(ctn_exec exec, const ConvShape& s, const T* y, const T* w, const T* b, T* x);

// gw = gradient of W for input x and output gradient gy
template <class T>
void conv_weights(ctn_exec exec, const ConvShape& s, const T* x, const T* gy, T* gw);

}  // namespace catena::cpu
