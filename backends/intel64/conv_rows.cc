// See conv_rows.h.
#include <intel64/blocks/loops.h>
#include <intel64/conv_rows.h>
#include <intel64/layouts.h>

#include <algorithm>

namespace catena::intel64 {

bool RowConv::suits(Direction direction, const ConvSides& s, const ConvGeometry& g) {
  if (direction == Direction::kWeights || channel_block() == 0 || !block_loops().row) return false;
  const int64_t block = channel_block(), pair = 2 * block;
  const bool data = direction == Direction::kData;
  const MdDims borders{1, 1};
  return g.is_dense_3x3() && g.low == borders && g.high == borders && has_tiles(s.x.shape(3)) &&
         g.channels % (data ? pair : block) == 0 && g.filters % (data ? block : pair) == 0;
}

// A part is some rows for two blocks that are made: all rows where those are parts enough.
RowConv::RowConv(Direction direction, const ConvSides& s, const ConvGeometry& g, int64_t threads)
    : direction_(direction),
      height_(s.x.shape(2)),
      width_(s.x.shape(3)),
      rows_(s.x.shape(0) * height_) {
  constexpr int64_t kPartsOfThread = 8, kLeastRows = 7;
  constexpr double kLeastMacs = 1e6;  // of a part
  const bool data = direction == Direction::kData;
  from_ = (data ? g.filters : g.channels) / channel_block();
  to_ = (data ? g.channels : g.filters) / channel_block();
  const int64_t pairs = to_ / 2;
  const auto paid = static_cast<int64_t>(g.macs / kLeastMacs) / pairs;
  const int64_t cuts =
      std::max<int64_t>(1, std::min((threads * kPartsOfThread + pairs - 1) / pairs, paid));
  rows_of_part_ = std::max(kLeastRows, (rows_ + cuts - 1) / cuts);
}

int64_t RowConv::parts() const { return to_ / 2 * ((rows_ + rows_of_part_ - 1) / rows_of_part_); }

uint64_t RowConv::filter_layout() const {
  return direction_ == Direction::kData ? turned_filter_layout() : intel64::filter_layout();
}

void RowConv::add_row(int64_t row, int64_t pair, int64_t block, const float* from, const float* w,
                      float* to, bool first) const {
  const int64_t size = channel_block(), line = width_ * size, plane = height_ * line;
  const int64_t image = row / height_, r = row % height_;
  const int64_t taps = 9, tap = size * size, filter = taps * tap;  // of one block from one
  const int64_t above = r > 0 ? 1 : 0, below = r + 1 < height_ ? 1 : 0, skipped = 3 * (1 - above);
  const bool turned = direction_ == Direction::kData;
  const float* x = from + (image * from_ + block) * plane + r * line;
  float* y0 = to + (image * to_ + 2 * pair) * plane + r * line;
  const float* w0 = w + (turned ? block * to_ + 2 * pair : 2 * pair * from_ + block) * filter +
                    (turned ? taps - 1 - skipped : skipped) * tap;
  const BlockRow sums = {.y0 = y0,
                         .y1 = y0 + plane,
                         .x = x - above * line,
                         .ahead = r + 2 < height_ ? x + 2 * line : x,
                         .w0 = w0,
                         .w1 = w0 + (turned ? 1 : from_) * filter,
                         .width = width_,
                         .rows = above + 1 + below,
                         .tap = turned ? -tap : tap,
                         .first = first};
  block_loops().row(&sums);
}

// By pieces of rows that stay in the second cache for all blocks of channels.
void RowConv::run(int64_t part, const float* from, const float* w, float* to, const float* b,
                  const Epilogue& e) const {
  constexpr int64_t kCached = 1600;  // positions of two blocks that are made and one that is read
  static constexpr float kNone[2 * kMostChannels] = {};
  const int64_t pairs = to_ / 2, pair = part % pairs, begin = part / pairs * rows_of_part_;
  const int64_t end = std::min(rows_, begin + rows_of_part_);
  const int64_t step = std::max<int64_t>(1, kCached / width_);
  const int64_t size = channel_block(), line = width_ * size;
  const float* bias = b ? b + 2 * pair * size : kNone;
  for (int64_t at = begin; at < end; at += step) {
    const int64_t until = std::min(end, at + step);
    for (int64_t block = 0; block < from_; ++block)
      for (int64_t row = at; row < until; ++row)
        add_row(row, pair, block, from, w, to, block == 0 && !e.adds());
    if (!b && !e.relu) continue;
    for (int64_t row = at; row < until; ++row) {
      float* made = to + ((row / height_ * to_ + 2 * pair) * height_ + row % height_) * line;
      block_loops().finish(made, bias, e.relu, width_);
      block_loops().finish(made + height_ * line, bias + size, e.relu, width_);
    }
  }
}

}  // namespace catena::intel64
