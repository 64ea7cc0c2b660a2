// From a source to a module on a device: kept code, or NVRTC. Knows no kernel.
#pragma once

#include <cuda/device.h>

#include <utility>

namespace catena::cuda {

// What the code of a source for compute capability major.minor is cached under (cache.h).
std::string code_key(int major, int minor, const std::string& source);

// A module of a source; unloaded with this, unless it is kept. Throws sdk::Error.
class Module {
 public:
  Module(Device& d, const std::string& source);
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  CUfunction find(const char* name) const;
  CUmodule keep() noexcept { return std::exchange(module_, nullptr); }

 private:
  Device& device_;
  CUmodule module_ = nullptr;
};

}  // namespace catena::cuda
