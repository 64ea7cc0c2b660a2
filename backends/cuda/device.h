// One GPU as the backend uses it: its primary context, one stream on which everything is queued,
// and what was queued last, so that an error that shows later can name its op. Knows no kernel and
// no context of the runtime's (queued.h).
#pragma once

#include <catena/sdk.hpp>

#include <cuda/driver.h>

#include <mutex>
#include <string>
#include <string_view>

namespace catena::cuda {

// The ops queued that nobody has waited for yet.
class Recent {
 public:
  void add(std::string_view op);
  // How many were ever added, and that so many have been waited for.
  int64_t count() const;
  void forget(int64_t count);
  // "relu, add (the last 2 of 37 queued)"; empty if there were none
  std::string text() const;

 private:
  static constexpr int kKept = 6, kName = 160;
  mutable std::mutex mutex_;
  int64_t count_ = 0, gone_ = 0;
  char names_[kKept][kName] = {};
};

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
  Recent recent;  // of all contexts
  Staging staging;

  // As cuda::check; an error that the stream has stored is said to be of what was queued.
  void check(CUresult result, std::string_view doing);
  // Waits for all that was queued.
  void wait();
};

// The device, opened by its first use. Throws CTN_EDEVICE if there is none of that number,
// CTN_EUNSUPPORTED in a process forked from one that used CUDA.
Device& device(int index);
inline constexpr int kMaxDevices = 64;
// Of an array or a call as the runtime numbers it: backends that stand on this one count on.
inline Device& device_of(ctn_device d) { return device(d.id % CTN_DEV_NEXT); }

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
