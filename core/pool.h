// Threads: one pool per context, or the host's own executor behind the same calls. Work is cut by
// its size alone and claimed dynamically, so neither results nor waiting depend on who helps.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <catena/types.h>

#include <cstdint>
#include <memory>

namespace catena {

// Helper threads, started at the first use. Around fork() the child starts with new ones.
class ThreadPool {
 public:
  // threads: how many run at once, the caller of run() among them; 0: the CPUs this process may
  // use.
  explicit ThreadPool(int threads = 0);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  // Joins the helpers. No run() may be under way.
  ~ThreadPool();

  int threads() const noexcept { return threads_; }

  // body(arg, k) exactly once for every k in [0, n); the caller takes part and returns when all are
  // done. A call from within a body, or while another thread's run() is under way, does all its
  // work in the calling thread. body must not throw, fork or end its thread. Never fails: with no
  // helper to be had the caller does everything.
  void run(int64_t n, void (*body)(void* arg, int64_t k), void* arg) noexcept;

 private:
  struct State;

  int threads_;
  std::unique_ptr<State> state_;
};

// What the context runs parallel work on: its own pool, or the host's table.
class Executor {
 public:
  explicit Executor(int threads = 0);  // own pool, as ThreadPool
  // The host's, copied; `threads` below 1 counts as 1. table.run must not be NULL.
  explicit Executor(const ctn_executor& table);
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  ~Executor();

  int threads() const noexcept { return threads_; }
  // Not CTN_OK, with a text: the host's table threw, so that some k may not have been run.
  ctn_status run(int64_t n, void (*body)(void* arg, int64_t k), void* arg) noexcept;

 private:
  std::unique_ptr<ThreadPool> own_;
  ctn_executor table_{};
  int threads_;
};

// fn(arg, begin, end) for the ranges [k * grain, min(n, (k + 1) * grain)) of [0, n); grain < 1
// counts as 1. The partition does not depend on the threads. Returns the status of the lowest
// failing range, whose text is then the calling thread's last error; ranges above one that failed
// may be left out. Does not allocate. One thread or one range: all in the calling thread, in order.
ctn_status parallel_for(Executor& executor, int64_t n, int64_t grain, ctn_range_fn fn,
                        void* arg) noexcept;

}  // namespace catena
