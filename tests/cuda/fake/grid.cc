// See grid.h. One grid at a time.
#include "grid.h"

#include <ucontext.h>

#include <memory>
#include <vector>

namespace fake {
namespace {

constexpr size_t kStack = 64 * 1024;

struct Fibers {
  const Words* words;
  void (*kernel)(void*);
  void* parameters;
  unsigned running = 0;
  ucontext_t caller;
  std::vector<ucontext_t> contexts;
  std::vector<bool> done;
  std::unique_ptr<char[]> stacks;
};
Fibers* g_fibers;

void body() {
  g_fibers->kernel(g_fibers->parameters);
  g_fibers->done[g_fibers->running] = true;
  for (;;) swapcontext(&g_fibers->contexts[g_fibers->running], &g_fibers->caller);
}

void barrier() { swapcontext(&g_fibers->contexts[g_fibers->running], &g_fibers->caller); }

// Every round takes each thread to its next barrier, or to its end.
void run_block(Fibers& f, unsigned threads) {
  for (unsigned t = 0; t < threads; ++t) {
    f.done[t] = false;
    getcontext(&f.contexts[t]);
    f.contexts[t].uc_stack.ss_sp = f.stacks.get() + t * kStack;
    f.contexts[t].uc_stack.ss_size = kStack;
    f.contexts[t].uc_link = nullptr;
    makecontext(&f.contexts[t], body, 0);
  }
  for (bool waits = true; waits;) {
    waits = false;
    for (unsigned t = 0; t < threads; ++t) {
      if (f.done[t]) continue;
      f.running = t;
      f.words->thread->x = t;
      swapcontext(&f.caller, &f.contexts[t]);
      waits = waits || !f.done[t];
    }
  }
}

}  // namespace

void run_grid(const Words& words, void (*kernel)(void*), void* parameters, Index3 grid,
              Index3 block) {
  *words.grid_size = grid;
  *words.block_size = block;
  *words.thread = {0, 0, 0};
  *words.barrier = barrier;
  Fibers fibers{&words, kernel, parameters, 0, {}, {}, {}, nullptr};
  if (words.has_barrier) {
    fibers.contexts.resize(block.x);
    fibers.done.resize(block.x);
    fibers.stacks.reset(new char[block.x * kStack]);
    g_fibers = &fibers;
  }
  for (unsigned y = 0; y < grid.y; ++y) {
    for (unsigned x = 0; x < grid.x; ++x) {
      *words.block = {x, y, 0};
      if (words.has_barrier) {
        run_block(fibers, block.x);
        continue;
      }
      for (unsigned t = 0; t < block.x; ++t) {
        words.thread->x = t;
        kernel(parameters);
      }
    }
  }
}

}  // namespace fake
