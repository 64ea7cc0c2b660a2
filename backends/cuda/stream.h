// Streams and events of the backend table. All of the backend's own work is on one stream a device;
// others are a host's, to be ordered against it.
#pragma once

#include <cuda/device.h>

namespace catena::cuda {

// adopt: a CUstream of the host's; NULL: the device's own.
ctn_stream open_stream(Device& d, void* adopt);
void close_stream(ctn_stream s) noexcept;
void* native_stream(ctn_stream s) noexcept;
// A mark in the stream. A device has kEvents of them: one that is taken again comes behind what it
// marked before, and whoever waits for the former waits for the later mark.
uint64_t record_event(ctn_stream s);
void wait_event(ctn_stream s, uint64_t event);

}  // namespace catena::cuda
