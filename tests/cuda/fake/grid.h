// Runs a kernel that a host compiler has made: all blocks one after the other, the threads of a
// block one after the other too, or, where they meet at barriers (of the block, or of a warp that
// exchanges values), as fibers that take turns.
#pragma once

namespace fake {

struct Index3 {
  unsigned x, y, z;
};

// What a module exports beside its kernels (see words.h and nvrtc.cc).
struct Words {
  Index3 *thread, *block, *block_size, *grid_size;
  void (**barrier)(int whole_block);
  bool has_barrier;
};

// False: threads waited for others that never came.
bool run_grid(const Words& words, void (*kernel)(void*), void* parameters, Index3 grid,
              Index3 block);

}  // namespace fake
