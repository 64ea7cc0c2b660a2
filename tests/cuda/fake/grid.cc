// See grid.h. One grid at a time.
#include "grid.h"

#include <ucontext.h>

#include <memory>
#include <vector>

namespace fake {
namespace {

constexpr size_t kStack = 64 * 1024;
constexpr unsigned kWarp = 32;

enum class Thread { kRuns, kAtWarp, kAtBlock, kDone };

struct Fibers {
  const Words* words;
  void (*kernel)(void*);
  void* parameters;
  unsigned running = 0;
  ucontext_t caller;
  std::vector<ucontext_t> contexts;
  std::vector<Thread> threads;
  std::unique_ptr<char[]> stacks;
};
Fibers* g_fibers;

void leave(Thread how) {
  Fibers& f = *g_fibers;
  f.threads[f.running] = how;
  swapcontext(&f.contexts[f.running], &f.caller);
}

void body() {
  g_fibers->kernel(g_fibers->parameters);
  for (;;) leave(Thread::kDone);
}

void barrier(int whole_block) { leave(whole_block ? Thread::kAtBlock : Thread::kAtWarp); }

// Lets the threads [begin, end) go on if all of them that are not done wait at `where`.
bool release(Fibers& f, unsigned begin, unsigned end, Thread where) {
  bool any = false;
  for (unsigned t = begin; t < end; ++t) {
    if (f.threads[t] != where && f.threads[t] != Thread::kDone) return false;
    any = any || f.threads[t] == where;
  }
  for (unsigned t = begin; any && t < end; ++t)
    if (f.threads[t] == where) f.threads[t] = Thread::kRuns;
  return any;
}

// Every round takes each thread to its next barrier, or to its end.
bool run_block(Fibers& f, unsigned threads) {
  for (unsigned t = 0; t < threads; ++t) {
    f.threads[t] = Thread::kRuns;
    getcontext(&f.contexts[t]);
    f.contexts[t].uc_stack.ss_sp = f.stacks.get() + t * kStack;
    f.contexts[t].uc_stack.ss_size = kStack;
    f.contexts[t].uc_link = nullptr;
    makecontext(&f.contexts[t], body, 0);
  }
  for (bool goes_on = true; goes_on;) {
    for (unsigned t = 0; t < threads; ++t) {
      if (f.threads[t] != Thread::kRuns) continue;
      f.running = t;
      f.words->thread->x = t;
      swapcontext(&f.caller, &f.contexts[t]);
    }
    goes_on = release(f, 0, threads, Thread::kAtBlock);
    for (unsigned t = 0; t < threads; t += kWarp)
      goes_on |= release(f, t, t + kWarp < threads ? t + kWarp : threads, Thread::kAtWarp);
  }
  for (unsigned t = 0; t < threads; ++t)
    if (f.threads[t] != Thread::kDone) return false;
  return true;
}

}  // namespace

bool run_grid(const Words& words, void (*kernel)(void*), void* parameters, Index3 grid,
              Index3 block) {
  *words.grid_size = grid;
  *words.block_size = block;
  *words.thread = {0, 0, 0};
  *words.barrier = barrier;
  Fibers fibers{&words, kernel, parameters, 0, {}, {}, {}, nullptr};
  if (words.has_barrier) {
    fibers.contexts.resize(block.x);
    fibers.threads.resize(block.x);
    fibers.stacks.reset(new char[block.x * kStack]);
    g_fibers = &fibers;
  }
  for (unsigned y = 0; y < grid.y; ++y) {
    for (unsigned x = 0; x < grid.x; ++x) {
      *words.block = {x, y, 0};
      if (words.has_barrier) {
        if (!run_block(fibers, block.x)) return false;
        continue;
      }
      for (unsigned t = 0; t < block.x; ++t) {
        words.thread->x = t;
        kernel(parameters);
      }
    }
  }
  return true;
}

}  // namespace fake
