// See conv_rows.h.
#include <intel64/blocks/loops.h>
#include <intel64/conv_rows.h>
#include <intel64/layouts.h>

#include <algorithm>

namespace catena::intel64 {

namespace {

constexpr int64_t kTaps = 9;
constexpr int64_t kMostSpots = 16;  // of an image: beyond, rows are as fast

bool has_spots(const sdk::Tensor& x) {
  return x.shape(0) % kSpot == 0 && x.shape(2) <= kMostSpots && x.shape(3) <= kMostSpots &&
         x.shape(2) * x.shape(3) <= kMostSpots;
}

}  // namespace

bool RowConv::suits(Direction direction, const ConvSides& s, const ConvGeometry& g) {
  if (direction == Direction::kWeights || channel_block() == 0 || !block_loops().row) return false;
  const int64_t block = channel_block(), pair = 2 * block;
  const bool data = direction == Direction::kData;
  const MdDims borders{1, 1};
  return g.is_dense_3x3() && g.low == borders && g.high == borders &&
         (has_spots(s.x) || has_tiles(s.x.shape(3))) && g.channels % (data ? pair : block) == 0 &&
         g.filters % (data ? block : pair) == 0;
}

// A part is some lines for two blocks that are made: all lines where those are parts enough.
RowConv::RowConv(Direction direction, const ConvSides& s, const ConvGeometry& g, int64_t threads)
    : direction_(direction),
      height_(s.x.shape(2)),
      width_(s.x.shape(3)),
      lines_(s.x.shape(0) * height_) {
  constexpr int64_t kPartsOfThread = 8, kLeastLines = 7;
  constexpr double kLeastMacs = 1e6;  // of a part
  const bool data = direction == Direction::kData;
  from_ = (data ? g.filters : g.channels) / channel_block();
  to_ = (data ? g.channels : g.filters) / channel_block();
  if (has_spots(s.x)) {
    list_spots();
    lines_ = s.x.shape(0) / kSpot * positions();
  }
  const int64_t pairs = to_ / 2;
  const auto paid = static_cast<int64_t>(g.macs / kLeastMacs) / pairs;
  const int64_t cuts =
      std::max<int64_t>(1, std::min((threads * kPartsOfThread + pairs - 1) / pairs, paid));
  lines_of_part_ = std::max(kLeastLines, (lines_ + cuts - 1) / cuts);
}

void RowConv::list_spots() {
  const int64_t size = channel_block(), tap = size * size;
  const bool turned = direction_ == Direction::kData;
  for (int64_t at = 0; at < positions(); ++at) {
    std::vector<BlockTap>& taps = spots_.emplace_back();
    for (int64_t k = 0; k < kTaps; ++k) {
      const int64_t row = at / width_ + k / 3 - 1, column = at % width_ + k % 3 - 1;
      if (row < 0 || row >= height_ || column < 0 || column >= width_) continue;
      taps.push_back({static_cast<int32_t>((row * width_ + column) * size),
                      static_cast<int32_t>((turned ? kTaps - 1 - k : k) * tap)});
    }
  }
}

int64_t RowConv::parts() const {
  return to_ / 2 * ((lines_ + lines_of_part_ - 1) / lines_of_part_);
}

uint64_t RowConv::filter_layout() const {
  return direction_ == Direction::kData ? turned_filter_layout() : intel64::filter_layout();
}

void RowConv::add_row(int64_t row, int64_t pair, int64_t block, const Arrays& a, bool first) const {
  const int64_t size = channel_block(), line = width_ * size, plane = height_ * line;
  const int64_t image = row / height_, r = row % height_;
  const int64_t tap = size * size, filter = kTaps * tap;  // of one block from one
  const int64_t above = r > 0 ? 1 : 0, below = r + 1 < height_ ? 1 : 0, skipped = 3 * (1 - above);
  const bool turned = direction_ == Direction::kData;
  const float* x = a.from + (image * from_ + block) * plane + r * line;
  float* y0 = a.to + (image * to_ + 2 * pair) * plane + r * line;
  const float* w0 = a.w + (turned ? block * to_ + 2 * pair : 2 * pair * from_ + block) * filter +
                    (turned ? kTaps - 1 - skipped : skipped) * tap;
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

void RowConv::add_spot(int64_t spot, int64_t pair, int64_t block, const Arrays& a,
                       bool first) const {
  const int64_t size = channel_block(), plane = positions() * size, filter = kTaps * size * size;
  const int64_t image = spot / positions() * kSpot, at = spot % positions();
  const bool turned = direction_ == Direction::kData;
  float* y0 = a.to + (image * to_ + 2 * pair) * plane + at * size;
  const float* w0 = a.w + (turned ? block * to_ + 2 * pair : 2 * pair * from_ + block) * filter;
  const std::vector<BlockTap>& taps = spots_[static_cast<size_t>(at)];
  const BlockSpot sums = {.y0 = y0,
                          .y1 = y0 + plane,
                          .x = a.from + (image * from_ + block) * plane,
                          .w0 = w0,
                          .w1 = w0 + (turned ? 1 : from_) * filter,
                          .x_step = from_ * plane,
                          .y_step = to_ * plane,
                          .taps = taps.data(),
                          .n_taps = static_cast<int64_t>(taps.size()),
                          .first = first};
  block_loops().spot(&sums);
}

void RowConv::finish(int64_t line, int64_t pair, float* to, const float* bias, bool relu) const {
  const int64_t size = channel_block(), plane = positions() * size;
  const bool rows = spots_.empty();
  const int64_t image = rows ? line / height_ : line / positions() * kSpot;
  const int64_t at = rows ? line % height_ * width_ : line % positions();
  for (int64_t k = 0; k < (rows ? 1 : kSpot); ++k) {
    float* made = to + ((image + k) * to_ + 2 * pair) * plane + at * size;
    block_loops().finish(made, bias, relu, rows ? width_ : 1);
    block_loops().finish(made + plane, bias + size, relu, rows ? width_ : 1);
  }
}

// By pieces of lines that stay in the second cache for all blocks of channels.
void RowConv::run(int64_t part, const float* from, const float* w, float* to, const float* b,
                  const Epilogue& e) const {
  constexpr int64_t kCached = 1600;  // positions of two blocks that are made and one that is read
  static constexpr float kNone[2 * kMostChannels] = {};
  const int64_t pairs = to_ / 2, pair = part % pairs, begin = part / pairs * lines_of_part_;
  const int64_t end = std::min(lines_, begin + lines_of_part_);
  const int64_t step = std::max<int64_t>(1, kCached / (spots_.empty() ? width_ : kSpot));
  const float* bias = b ? b + 2 * pair * channel_block() : kNone;
  const Arrays arrays{from, w, to};
  for (int64_t at = begin; at < end; at += step) {
    const int64_t until = std::min(end, at + step);
    for (int64_t block = 0; block < from_; ++block) {
      const bool first = block == 0 && !e.adds();
      for (int64_t k = at; k < until; ++k)
        spots_.empty() ? add_row(k, pair, block, arrays, first)
                       : add_spot(k, pair, block, arrays, first);
    }
    if (!b && !e.relu) continue;
    for (int64_t k = at; k < until; ++k) finish(k, pair, to, bias, e.relu);
  }
}

}  // namespace catena::intel64
