// Work captured as a CUDA graph: a thread's own stream while it captures, and what is done again
// later on the device's. Knows no op and no memory of the runtime's.
#pragma once

#include <catena/plugin.h>

#include <cuda/device.h>

namespace catena::cuda {

struct Captured;

void begin_capture(Device& d);
// out NULL: throws away what was captured.
void end_capture(Device& d, Captured** out);
void replay_capture(Device& d, Captured& work);
void free_capture(Device& d, Captured* work) noexcept;

// An op of the context's that this thread captures; false: it does not capture on the device.
bool note_captured(Device& d, ctn_context ctx, std::string_view op);

// Whether this thread captures on the device.
bool is_capturing(const Device& d) noexcept;
// Pinned memory with a copy of the bytes, for as long as what is captured lives.
const void* captured_constant(Device& d, const void* bytes, uint64_t n);

}  // namespace catena::cuda
