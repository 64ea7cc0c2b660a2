// CUDAProfileHook: while it lives, every op that its thread runs is a range of NVTX named after it
// ("relu", "relu backward"), so that NVIDIA's profilers show which kernels are whose.
#pragma once

#include <catena/cpp/context.hpp>

#include <dlfcn.h>

#include <utility>
#include <vector>

namespace catena::inline cpp {

class CUDAProfileHook {
 public:
  // Throws NotFound where there is no library of NVTX.
  explicit CUDAProfileHook(ctn_context ctx = Context::current()) : ctx_(ctx) {
    open();
    ctn_function_hook hook{};
    hook.size = sizeof hook;
    hook.user = this;
    hook.call = [](void* user, int32_t when, int32_t op, const ctn_variable*, int32_t) {
      static_cast<CUDAProfileHook*>(user)->see(when, op);
    };
    check(ctn_function_hook_add(ctx, &hook, &id_));
    ctn_context_retain(ctx);
  }
  ~CUDAProfileHook() {
    // It was added, and is removed nowhere else.
    static_cast<void>(ctn_function_hook_remove(ctx_, id_));
    while (!open_.empty()) close();
    ctn_context_release(ctx_);
  }
  CUDAProfileHook(const CUDAProfileHook&) = delete;
  CUDAProfileHook& operator=(const CUDAProfileHook&) = delete;

 private:
  using Range = std::pair<int32_t, bool>;  // op, whether it is its backward pass

  // The library stays open: the profiler keeps what it is told.
  void open() {
    for (const char* name :
         {"libnvToolsExt.so.1", "libnvtx3interop.so.1", "/usr/local/cuda/lib64/libnvToolsExt.so.1",
          "/usr/local/cuda/lib64/libnvtx3interop.so.1"}) {
      void* const library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
      if (!library) continue;
      push_ = reinterpret_cast<decltype(push_)>(dlsym(library, "nvtxRangePushA"));
      pop_ = reinterpret_cast<decltype(pop_)>(dlsym(library, "nvtxRangePop"));
      if (push_ && pop_) return;
    }
    throw NotFound(CTN_ENOTFOUND,
                   "CUDAProfileHook: there is no libnvToolsExt.so.1 and no libnvtx3interop.so.1");
  }

  void see(int32_t when, int32_t op) {
    const bool backward = when == CTN_HOOK_BACKWARD_PRE || when == CTN_HOOK_BACKWARD_POST;
    const Range range{op, backward};
    if (when == CTN_HOOK_FORWARD_PRE || when == CTN_HOOK_BACKWARD_PRE) {
      ctn_str name{};
      check(ctn_op_name(op, &name));
      open_.push_back(range);
      push_((std::string(name.p, name.n) + (backward ? " backward" : "")).c_str());
      return;
    }
    // Ops that failed in between ended without being seen.
    while (!open_.empty() && open_.back() != range) close();
    if (!open_.empty()) close();
  }
  void close() {
    open_.pop_back();
    pop_();
  }

  ctn_context ctx_;
  uint64_t id_ = 0;
  int (*push_)(const char*) = nullptr;
  int (*pop_)() = nullptr;
  std::vector<Range> open_;
};

}  // namespace catena::inline cpp
