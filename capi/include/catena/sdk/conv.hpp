// conv.hpp: the arrays of a convolution, for kernels of convolution_2d, deconvolution_2d and their
// gradients. All of them relate one x, (N, C, H, W), one W, (O, C / groups, kH, kW), and one y,
// (N, O, out_H, out_W): a call computes one of the three from the other two.
#ifndef CATENA_SDK_CONV_HPP
#define CATENA_SDK_CONV_HPP

#include <catena/sdk/call.hpp>

namespace catena {
namespace sdk CTN_SDK_HIDDEN {

// What is computed: y from x and W; x from y and W, as deconvolution does; W from x and y.
enum class ConvDirection { kForward, kData, kWeights };

// What an op computes, and at which positions its attributes are.
struct ConvRole {
  ConvDirection direction;
  int stride, pad, dilate, groups;
};

// The arrays of one call: the inputs 0 and 1, which are two of x, W and y in this order (x from y
// and W: y and W), and the output 0. A bias is no part of it.
struct ConvSides {
  Tensor x, w, y;
  ConvSides(const Call& c, ConvDirection d)
      : x(d == ConvDirection::kData ? c.out(0) : c.in(0)),
        w(d == ConvDirection::kWeights ? c.out(0) : c.in(1)),
        y(d == ConvDirection::kForward ? c.out(0)
          : d == ConvDirection::kData  ? c.in(0)
                                       : c.in(1)) {}
};

}  // namespace CTN_SDK_HIDDEN
}  // namespace catena

#endif
