// Sizes of convolutions and poolings, as chainer.utils.get_conv_outsize and get_deconv_outsize have
// them, and the attributes that describe windows.
#pragma once

#include "functions.h"

#include <array>

namespace catena::functions {

using Pair = std::array<int64_t, 2>;  // (y, x)

// One number or two, each at least `least` and at most 2^31.
Pair window_pair(const sdk::Attrs& attrs, int key, int64_t least, std::string_view what);

// Positions of a window of `kernel` elements, `dilate` apart, in steps of `stride`.
int64_t conv_outsize(int64_t size, int64_t kernel, int64_t stride, int64_t pad, bool cover_all,
                     int64_t dilate = 1);
// The size whose convolution has `size` positions.
int64_t deconv_outsize(int64_t size, int64_t kernel, int64_t stride, int64_t pad,
                       int64_t dilate = 1);

// Refuses sizes of outputs below 1.
void require_positive(const Pair& outsize);

// Refuses images so large that kernels could not compute with places in them.
void require_plane(const sdk::Tensor& x);
// Refuses windows without elements, and `positions` of windows that reach that far.
void require_reach(const Pair& kernel, const Pair& positions, const Pair& stride, const Pair& pad,
                   const Pair& dilate);

}  // namespace catena::functions
