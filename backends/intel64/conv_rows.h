// Convolutions with 3 x 3 filters, borders and steps of one by loops of this backend: y from x and
// W, or x from y and W, which is the same with the filters turned around. They make a row of
// positions at a time, where rows fall into tiles, or one position of several images, where images
// are small: then no zeros of the border are multiplied. They are faster than oneDNN's there and
// cost nothing to cut: however that is done an element is the sum, over blocks of channels, of sums
// over the filter's elements and the channels of a block.
#pragma once

#include <intel64/blocks/loops.h>
#include <intel64/conv_geometry.h>
#include <intel64/epilogue.h>

#include <vector>

namespace catena::intel64 {

class RowConv {
 public:
  static bool suits(Direction direction, const ConvSides& s, const ConvGeometry& g);
  RowConv(Direction direction, const ConvSides& s, const ConvGeometry& g, int64_t threads);

  int64_t parts() const;
  uint64_t filter_layout() const;
  // from: x or y, to: the other; w: whole arrays. b: what is added for each channel, or null.
  void run(int64_t part, const float* from, const float* w, float* to, const float* b,
           const Epilogue& e) const;

 private:
  struct Arrays {
    const float *from, *w;
    float* to;
  };
  void list_spots();
  void add_row(int64_t row, int64_t pair, int64_t block, const Arrays& a, bool first) const;
  void add_spot(int64_t spot, int64_t pair, int64_t block, const Arrays& a, bool first) const;
  void finish(int64_t line, int64_t pair, float* to, const float* bias, bool relu) const;
  int64_t positions() const { return height_ * width_; }

  Direction direction_;
  int64_t height_, width_;
  int64_t from_, to_;              // blocks of channels: of what is read, of what is made
  int64_t lines_, lines_of_part_;  // rows, one image below the other; or spots, by images
  std::vector<std::vector<BlockTap>> spots_;  // what meets at each position; empty: there are rows
};

}  // namespace catena::intel64
