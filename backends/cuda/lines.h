// Reductions along one axis for kernels written by hand: how lines are shared among the threads of
// a block, by their shape alone, so that results have the same bits on every device.
#pragma once

#include <cuda/native.h>

namespace catena::cuda {

// As in lines_text.cc: `count` lines of n elements that lie `inner` apart; inner lines lie side by
// side. A block has `lanes` (a power of two) threads for each of kThreads / lanes lines.
struct Lines {
  int64_t count, n, inner;
  int32_t lanes, across;

  // The lines of an array along an axis.
  static Lines of(std::span<const int64_t> shape, int axis);
  // One line, and a block for it.
  static Lines whole(int64_t n) { return {1, n, 1, kThreads, 0}; }
  // Threads to be queued.
  int64_t threads() const;
};

// Lanes for lines of n elements, of which `beside` lie closer together than the elements.
int32_t lanes_for(int64_t n, int64_t beside);

extern const char* const kLinesText;

}  // namespace catena::cuda
