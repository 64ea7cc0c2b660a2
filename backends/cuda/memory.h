// Memory of the devices and copies to, from and between them. All of it is in the order of the
// devices' streams; the caching is the runtime's.
#pragma once

#include <cuda/device.h>

namespace catena::cuda {

inline constexpr uint64_t kAlign = 256;  // what the driver gives

void* allocate(Device& d, uint64_t bytes);
void deallocate(Device& d, void* p) noexcept;

// Device numbers, or -1 for host memory. The host's side is done with when this returns: what is
// read from it may be changed, what is written to it may be read.
void copy(int dst_device, void* dst, int src_device, const void* src, uint64_t bytes);

}  // namespace catena::cuda
