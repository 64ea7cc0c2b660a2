// Convolutions with 3 x 3 filters, borders and steps of one by loops of this backend: y from x and
// W, or x from y and W, which is the same with the filters turned around. At widths that fall into
// tiles they are faster than oneDNN's, and cost nothing to cut. However they are cut an element is
// the sum, over blocks of channels, of sums over 9 * 16 products.
#pragma once

#include <intel64/conv_geometry.h>
#include <intel64/epilogue.h>

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
  void add_row(int64_t row, int64_t pair, int64_t block, const float* from, const float* w,
               float* to, bool first) const;

  Direction direction_;
  int64_t height_, width_;
  int64_t from_, to_;            // blocks of channels: of what is read, of what is made
  int64_t rows_, rows_of_part_;  // of all images, one below the other
};

}  // namespace catena::intel64
