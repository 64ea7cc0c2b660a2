// Plans of kernels, cached by what they depend on: device, kernel, configuration, the inputs'
// dtypes, shapes and layouts, the attributes. Knows no kernel's business.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/registry.h"

namespace catena {

class Context;

// What one kernel decided for one kind of call. Immutable; used by many threads.
class Plan {
 public:
  // Asks the kernel of the op; what its state takes counts as the context's. call.in and call.out
  // describe tensors without data.
  Plan(const Kernel& kernel, std::string_view op, const ctn_call_info& call);
  ~Plan();
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  uint64_t in_layout(size_t i) const { return layouts_[i]; }
  uint64_t out_layout(size_t k) const { return layouts_[n_in_ + k]; }
  uint32_t onto() const { return plan_.onto; }
  uint64_t scratch_bytes() const { return plan_.scratch_bytes; }
  void* state() const { return plan_.state; }

 private:
  void drop() noexcept;

  const Kernel& kernel_;
  Context* ctx_ = nullptr;
  size_t n_in_;
  std::vector<uint64_t> layouts_;
  ctn_plan plan_{};
};

// The plans of one context, the least recently used ones leaving first. Thread-safe.
class PlanCache {
 public:
  // device: its number in the context. flags: the thread's configuration.
  std::shared_ptr<const Plan> get(const Kernel& kernel, std::string_view op,
                                  const ctn_call_info& call, int32_t device, uint64_t flags);
  // Those in use stay until their users are done.
  void clear();

 private:
  static constexpr size_t kMost = 2048;
  using Key = std::vector<uint64_t>;
  struct Hash {
    size_t operator()(const Key& key) const;
  };
  struct Entry {
    std::shared_ptr<const Plan> plan;
    std::list<const Key*>::iterator used;
  };

  std::mutex mutex_;
  std::unordered_map<Key, Entry, Hash> entries_;
  std::list<const Key*> by_use_;  // the latest first
};

}  // namespace catena
