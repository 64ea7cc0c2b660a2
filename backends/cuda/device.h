// One GPU as the backend uses it: its primary context, one stream on which everything is queued,
// and what was queued last, so that an error that shows later can name its op. Knows no kernel.
#pragma once

#include <catena/sdk.hpp>

#include <cuda/driver.h>

#include <mutex>
#include <string>
#include <string_view>

namespace catena::cuda {

// The ops queued since the stream was last waited for.
class Recent {
 public:
  void add(std::string_view op);
  void clear();
  // "relu, add (the last 2 of 37 queued)"; empty if there were none
  std::string text() const;

 private:
  static constexpr int kKept = 6, kName = 160;
  mutable std::mutex mutex_;
  int64_t count_ = 0;
  char names_[kKept][kName] = {};
};

// What is queued now, by a thread that captures (capture.h), instead of `of`; NULL: nothing.
Recent* captured_ops(const Recent& of) noexcept;

// The device's queue. A thread that captures has another one meanwhile, which stands for it.
struct Stream {
  CUstream own = nullptr;
  operator CUstream() const noexcept;
};

// Pinned memory through which host memory is copied: the caller's may be reused when copy returns.
struct Staging {
  static constexpr int kSlots = 4;
  static constexpr uint64_t kBytes = 1 << 20;
  std::mutex mutex;  // held for a whole copy
  bool tried = false;
  char* slots[kSlots] = {};  // all NULL: there is no pinned memory to be had
  CUevent free[kSlots] = {};
};

struct Device {
  int index = 0;
  std::string name;   // "cuda:0"
  std::string model;  // "NVIDIA H100 80GB HBM3"
  int major = 0, minor = 0;
  uint64_t memory = 0;
  CUcontext context = nullptr;
  Stream stream;
  Recent recent;
  Staging staging;
  // What a kernel found wrong with its data: kFault words of host memory that kernels write: kind,
  // the value, what bounds it, and what else is allowed or bounds it. 0: nothing.
  enum : int64_t { kNoFault, kBadIndex, kBadId, kBadLabel, kBadLabelToo, kBadPosition };
  static constexpr int kFault = 4;
  int64_t* fault = nullptr;

  // As cuda::check; an error that the stream has stored is said to be of what was queued.
  void check(CUresult result, std::string_view doing);
  // Waits for all that was queued; throws what kernels found wrong with their data.
  void wait();
};

// The device, opened by its first use. Throws CTN_EDEVICE if there is none of that number,
// CTN_EUNSUPPORTED in a process forked from one that used CUDA.
Device& device(int index);
inline constexpr int kMaxDevices = 64;

// Calls body(Device&) for those that are open.
Device* open_device(int index) noexcept;  // NULL: it is not
template <class Body>
void for_open_devices(Body&& body) {
  for (int k = 0; k < kMaxDevices; ++k)
    if (Device* d = open_device(k)) body(*d);
}

// Makes the device current in this thread while it lives, and what was current before after that.
class Current {
 public:
  explicit Current(Device& device);
  ~Current();
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
};

}  // namespace catena::cuda
