// What each context has queued on a device: what its kernels found wrong with their data is an
// error of that context's next wait, and of no other's.
#pragma once

#include <catena/sdk.hpp>

#include <cuda/device.h>

namespace catena::cuda {

// What a kernel found wrong with its data: kFault words of host memory that kernels write: kind,
// the value, what bounds it, and what else is allowed or bounds it. Only work of the device's
// stream writes them, so that nothing is lost between two threads of a context.
enum : int64_t { kNoFault, kBadIndex, kBadId, kBadLabel, kBadLabelToo, kBadPosition };
inline constexpr int kFault = 4;

struct Queued {
  Recent recent;             // since the context last waited
  int64_t* fault = nullptr;  // for kernels
  int64_t* taken = nullptr;  // what the kernel that clears `fault` found in it
  std::mutex take_mutex;     // held from the queuing of that kernel until `taken` has been read
};

// Made by the first call. It is never freed, as nobody says when a context ends: the next one at
// that address, which has waited for its work before it ended, goes on with it.
Queued& queued_by(Device& d, ctn_context ctx);

// Notes an op that was queued for the context: by a thread that captures, in the capture.
void note(Device& d, ctn_context ctx, std::string_view op);

// Waits for all that was queued on the device; throws what the context's kernels found.
void wait_for(Device& d, ctn_context ctx);

}  // namespace catena::cuda
