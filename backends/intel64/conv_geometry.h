// The shapes of a convolution as all of its directions see them: y from x and W, x from y and W, W
// from x and y (Direction, in onednn.h).
#pragma once

#include <catena/sdk/call.hpp>

#include <intel64/onednn.h>

#include <cstdint>

namespace catena::intel64 {

// Where an op keeps its attributes, and which of x, W and y is its output.
struct ConvRole {
  Direction direction;
  int stride, pad, dilate, groups;
};

// The convolution of x with W to y that a call computes one of.
struct ConvSides {
  sdk::Tensor x, w, y;
  ConvSides(const sdk::Call& c, Direction d)
      : x(d == Direction::kData ? c.out(0) : c.in(0)),
        w(d == Direction::kWeights ? c.out(0) : c.in(1)),
        y(d == Direction::kForward ? c.out(0)
          : d == Direction::kData  ? c.in(0)
                                   : c.in(1)) {}
};

struct ConvGeometry {
  int64_t groups, channels, filters;  // channels and filters of one group
  int64_t taps;                       // elements of a filter for one channel
  double macs;
  MdDims window;  // height and width of a filter
  MdDims stride, dilate, low, high;

  ConvGeometry(const sdk::Call& c, const ConvRole& role, const ConvSides& s);
  bool depthwise() const { return groups > 1 && channels == 1 && filters == 1; }
  // 3 x 3 filters of one group, one by one over neighbours.
  bool is_dense_3x3() const;
};

}  // namespace catena::intel64
