// Calls that wait. Where no graph is recorded, the last call of a thread is put off if its kernel
// could do the next one too (ctn_kernel_def::absorb): convolution, normalization, addition and relu
// become one run. Its output is an array without data; whoever needs the data runs the call, and
// so does whoever is about to write something that it reads. What can be seen of it from outside:
// when work is done and failures are told, and what a kernel that does several calls makes of them
// (its rounding, whether a relu keeps NaN).
// Callbacks that a run meets (logs, allocators) may make calls, but not look at what is being
// computed. Knows no op.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <mutex>
#include <vector>

#include "core/array.h"
#include "core/value.h"
#include "core/waiting_list.h"

namespace catena {

class Call;
class Outputs;
struct Variable;

// A call that was put off, behind the storage of its output. It is run once, by whoever comes
// first; locks are taken from later calls to earlier ones.
class Waiting {
 public:
  Waiting(const Call& c, const Kernel* kernel, int32_t position);
  ~Waiting();
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  void retain() { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (drop_one(refs_)) delete this;
  }

  bool is_done() const { return done_.load(std::memory_order_acquire); }
  // Gives the storage its data.
  void settle(Storage& s);
  // Computes the data and keeps it for the storage.
  void run();

 private:
  friend class WaitingList;
  friend bool follow(Call& c, std::span<Variable*> out);
  using Chain = std::vector<Ref<Waiting>>;  // the last call first
  using Locks = std::vector<std::unique_lock<std::mutex>>;
  struct Joined;

  void run_locked();
  bool reads(const Storage& s) const;  // while it is listed
  // Has let go of its inputs: nothing can be run together with it.
  bool is_over() const { return ran_ || lost_; }
  // This one and those before it, back to the one with a kernel, all locked (this one by the
  // caller). Empty if one of them is over, or is not `wanted`.
  template <class Wanted>
  Chain lock_chain(Locks& locks, Wanted wanted);
  Ref<Array> run_chain(const Chain& chain);
  void leave() noexcept;
  void forget_inputs() noexcept;

  std::atomic<int32_t> refs_{1};
  Context& ctx_;
  const Op& op_;
  Device& device_;
  const Kernel* const kernel_;  // of the first call of a chain
  const uint64_t flags_;        // the thread's configuration at the call
  const int32_t position_;      // which input is the output of the call before; -1: none
  std::vector<Ref<Array>> in_;  // NULL where absent
  Values attrs_;

  std::mutex mutex_;
  bool ran_ = false;         // or need not be run any more
  std::exception_ptr lost_;  // why it can never be run again
  Ref<Array> result_;        // until the storage takes it
  std::atomic<bool> done_{false};

  // of the context's list
  std::atomic<uint64_t> thread_;  // who called; 0: nobody who would run it
  Waiting *newer_ = nullptr, *older_ = nullptr;
  bool listed_ = false;
};

inline bool is_waiting(const Storage& s) { return s.waiting && !s.waiting->is_done(); }
inline void settle(Storage& s) {
  if (is_waiting(s)) [[unlikely]]
    s.waiting->settle(s);
}

// Puts off a primitive with one output that such a kernel would run; false if it has to be run now.
bool wait(Call& c, const Kernel& kernel, const Outputs& outs, std::span<Variable*> out);
// Puts off a call behind the one whose output it reads; false if it is none that follows.
bool follow(Call& c, std::span<Variable*> out);

}  // namespace catena
