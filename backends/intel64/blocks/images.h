// Walking over images in blocks of channels: which block of which image lies where, and the windows
// of pooling. Knows no op.
#pragma once

#include <catena/sdk/kernel.hpp>

#include <intel64/blocks/loops.h>
#include <intel64/layouts.h>
#include <intel64/onednn.h>

#include <algorithm>
#include <cstdint>

namespace catena::intel64 {

// Whether an array is (or would be) in whole blocks of channels.
inline bool has_blocks(const sdk::Tensor& t) {
  const int64_t block = channel_block();
  return block != 0 && t.ndim() == 4 && t.shape(1) % block == 0 && t.size() != 0;
}
// An array that is in blocks now: what plain arrays need is the parent's work.
inline bool in_blocks(const sdk::Tensor& t) { return t.layout() != kPlain && has_blocks(t); }

// (N, C, H, W) as planes of positions, one for each image and block.
struct Planes {
  int64_t images, blocks, height, width;
  explicit Planes(const sdk::Tensor& t)
      : images(t.shape(0)),
        blocks(t.shape(1) / channel_block()),
        height(t.shape(2)),
        width(t.shape(3)) {}
  int64_t count() const { return images * blocks; }
  int64_t positions() const { return height * width; }
  int64_t floats() const { return positions() * channel_block(); }  // of a plane
};

// Arrays of one position are in C order and in blocks at once.
inline uint64_t out_layout(const sdk::Tensor& t) {
  return t.shape(2) * t.shape(3) == 1 ? kPlain : image_layout(t.shape(1));
}

}  // namespace catena::intel64
