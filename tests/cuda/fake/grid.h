// Runs a kernel that a host compiler has made: all blocks one after the other, the threads of a
// block one after the other too, or, where they meet at barriers, as fibers that take turns.
#pragma once

namespace fake {

struct Index3 {
  unsigned x, y, z;
};

// What a module exports beside its kernels (see words.h and nvrtc.cc).
struct Words {
  Index3 *thread, *block, *block_size, *grid_size;
  void (**barrier)();
  bool has_barrier;
};

void run_grid(const Words& words, void (*kernel)(void*), void* parameters, Index3 grid,
              Index3 block);

}  // namespace fake
