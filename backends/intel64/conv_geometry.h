// The shapes of a convolution as all of its directions see them.
#pragma once

#include <catena/sdk/conv.hpp>

#include <intel64/onednn.h>

#include <cstdint>

namespace catena::intel64 {

using sdk::ConvRole;
using sdk::ConvSides;

struct ConvGeometry {
  int64_t groups, channels, filters;  // channels and filters of one group
  int64_t taps;                       // elements of a filter for one channel
  double macs;
  MdDims window;  // height and width of a filter
  MdDims stride, dilate, low, high;
  bool fits = true;  // y has as many positions as follow from the others

  ConvGeometry(const sdk::Call& c, const ConvRole& role, const ConvSides& s);
  bool depthwise() const { return groups > 1 && channels == 1 && filters == 1; }
  // 3 x 3 filters of one group, one by one over neighbours.
  bool is_dense_3x3() const;
};

}  // namespace catena::intel64
