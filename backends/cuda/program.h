// A form made runnable: its kernels on each device that has launched it. Used by many threads.
#pragma once

#include <cuda/device.h>
#include <cuda/form.h>
#include <cuda/source.h>

#include <atomic>
#include <mutex>

namespace catena::cuda {

class Program {
 public:
  explicit Program(const ctn_form& form);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Makes the kernels for a device now, so that launching needs no compiler and no memory for code.
  void prepare(Device& d) { kernels(d, Reach::kNear); }
  // Queues the launch on its device, which is current.
  void launch(Device& d, const ctn_launch& l);

 private:
  struct Kernels {
    CUmodule module = nullptr;
    CUfunction flat = nullptr, walk = nullptr, reduce = nullptr, finish = nullptr;
  };
  const Kernels& kernels(Device& d, Reach reach);
  void elementwise(Device& d, const ctn_launch& l);
  void reduction(Device& d, const ctn_launch& l);

  OwnForm form_;
  const int unroll_;
  std::mutex mutex_;
  std::atomic<Kernels*> kernels_[2][kMaxDevices] = {};
};

}  // namespace catena::cuda
