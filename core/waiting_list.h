// The calls of a context that wait: see waiting.h.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <atomic>
#include <mutex>

#include "core/ref.h"

namespace catena {

class Waiting;
struct Storage;

// Thread-safe.
class WaitingList {
 public:
  bool any() const { return count_.load(std::memory_order_relaxed) != 0; }
  // Those the calling thread made. What fails is told to those who look at the results.
  void run_of_thread() noexcept;
  // Those that read a storage, or all. Throws the first failure when the others have been run.
  void run_all(const Storage* read = nullptr);

  void add(Waiting& w);
  void remove(Waiting& w) noexcept;
  // Whether it is the last one the calling thread made.
  bool is_last(const Waiting& w);

 private:
  template <class Fits>
  Ref<Waiting> find(Fits fits);

  std::mutex mutex_;
  Waiting* newest_ = nullptr;
  std::atomic<int32_t> count_{0};
};

}  // namespace catena
