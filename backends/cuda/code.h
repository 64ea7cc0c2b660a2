// From a source to a module on a device: kept code, or NVRTC. Knows no kernel.
#pragma once

#include <cuda/device.h>

namespace catena::cuda {

// Throws sdk::Error. The module stays until it is unloaded.
// What the code of a source for compute capability major.minor is cached under (cache.h).
std::string code_key(int major, int minor, const std::string& source);
CUmodule load_module(Device& d, const std::string& source);
CUfunction find_function(Device& d, CUmodule module, const char* name);

}  // namespace catena::cuda
