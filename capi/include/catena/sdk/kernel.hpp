// Kernels from plain functions: kernel<fn>, supports<fn>, plan<fn, State>, what they are handed,
// and parallel loops over the runtime's threads.
#ifndef CATENA_SDK_KERNEL_HPP
#define CATENA_SDK_KERNEL_HPP

#include <catena/sdk/call.hpp>

#include <memory>
#include <type_traits>

namespace catena {
namespace sdk CTN_SDK_HIDDEN {

// One run of a kernel: the call with its outputs, the plan's state, scratch memory.
class Run : public Call {
 public:
  Run(const ctn_run& run, void* self) : Call(*run.call), run_(&run), self_(self) {}
  ctn_exec exec() const { return run_->exec; }
  int threads() const { return host->num_threads(exec()); }
  template <class T>
  const T& state() const {
    return *static_cast<const T*>(run_->state);
  }
  // The plan's scratch_bytes, 64-byte aligned.
  template <class T = void>
  T* planned_scratch() const {
    return static_cast<T*>(run_->scratch);
  }
  // n elements, 64-byte aligned, undefined content, freed when the kernel returns. Not for use in
  // the body of parallel_for.
  template <class T>
  T* scratch(int64_t n) const {
    void* p = nullptr;
    check(host->scratch(exec(), static_cast<uint64_t>(n) * sizeof(T), &p));
    return static_cast<T*>(p);
  }
  // What was made of input k under that key, or NULL; and room for it (plugin.h, keep_derived).
  template <class T>
  const T* find_derived(int k, uint64_t key) const {
    const void* p = nullptr;
    check(host->find_derived(exec(), k, key, &p));
    return static_cast<const T*>(p);
  }
  template <class T>
  T* keep_derived(int k, uint64_t key, int64_t n) const {
    void* p = nullptr;
    check(host->keep_derived(exec(), k, key, static_cast<uint64_t>(n) * sizeof(T), &p));
    return static_cast<T*>(p);
  }
  template <class T>
  T* self() const {
    return static_cast<T*>(self_);
  }

 private:
  const ctn_run* run_;
  void* self_;
};

// body(begin, end) for the ranges [k*grain, min(n, (k+1)*grain)), on any threads and in any order.
// The ranges depend on n and grain alone: write results so that they do not depend on more.
template <class Body>
void parallel_for(ctn_exec exec, int64_t n, int64_t grain, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  const ctn_range_fn call = [](void* arg, int64_t begin, int64_t end) -> ctn_status {
    return guarded([&] { (*static_cast<Plain*>(arg))(begin, end); });
  };
  check(host->parallel_for(exec, n, grain, call,
                           const_cast<std::remove_const_t<Plain>*>(std::addressof(body))));
}
template <class Body>
void parallel_for(const Run& run, int64_t n, int64_t grain, Body&& body) {
  parallel_for(run.exec(), n, grain, body);
}

// void fn(const Run&)
template <auto fn>
ctn_status CTN_CALL kernel(void* self, const ctn_run* run) {
  return guarded([&] { fn(Run(*run, self)); });
}

// const char* fn(const Call&): NULL for yes, otherwise why not (a text that stays).
template <auto fn>
ctn_status CTN_CALL supports(void*, const ctn_call_info* call, int32_t* yes, ctn_str* why) {
  return guarded([&] {
    const char* reason = fn(Call(*call));
    *yes = reason == nullptr;
    if (reason) *why = str(reason);
  });
}

// bool fn(const Call&, const ctn_follower& next)
template <auto fn>
ctn_status CTN_CALL absorb(void*, const ctn_call_info* call, const ctn_follower* next,
                           int32_t* yes) {
  return guarded([&] { *yes = fn(Call(*call), *next); });
}

// void fn(const Call&, ctn_plan&, State&): the state is made and freed here; drop<State> goes with
// it. What it holds besides itself, fn adds to plan.state_bytes. State may be void:
// void fn(const Call&, ctn_plan&).
template <auto fn, class State = void>
ctn_status CTN_CALL plan(void*, const ctn_call_info* call, ctn_plan* p) {
  return guarded([&] {
    if constexpr (std::is_void_v<State>) {
      fn(Call(*call), *p);
    } else {
      auto state = std::make_unique<State>();
      p->state_bytes = sizeof(State);
      fn(Call(*call), *p, *state);
      p->state = state.release();
    }
  });
}
template <class State>
void CTN_CALL drop(void*, void* state) {
  delete static_cast<State*>(state);
}

}  // namespace CTN_SDK_HIDDEN
}  // namespace catena

#endif
