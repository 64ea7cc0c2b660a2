// What a test may ask of the fake device, and what it tells: found in the loaded module by the name
// fake_control. For one test at a time; everything is of the whole process.
#pragma once

#include <catena/types.h>

#include <atomic>
#include <cstdint>

namespace fake {

inline constexpr int kMostDevices = 4;

struct Control {
  std::atomic<int32_t> devices{3};  // how many there are
  // Allocations that still succeed, -1: all. Those after them fail with alloc_status.
  std::atomic<int64_t> alloc_budget{-1};
  std::atomic<ctn_status> alloc_status{CTN_ENOMEM};
  // Pieces of work (kernels, launches) that still succeed, -1: all. The one after them is not done
  // and leaves an error for the next sync; then all succeed again.
  std::atomic<int64_t> work_budget{-1};

  // counted since the module was loaded
  std::atomic<int64_t> copies_in{0}, copies_out{0}, copies_between{0};
  std::atomic<int64_t> kernels{0}, launches{0}, syncs{0};
  // now
  std::atomic<int64_t> blocks{0}, bytes{0};  // of device memory that is out
  std::atomic<int64_t> pending{0};           // work handed over and not done
};

using ControlFn = Control* (*)();

}  // namespace fake
