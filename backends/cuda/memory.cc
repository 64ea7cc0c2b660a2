// See memory.h. Host memory is copied in pieces through pinned slots, so that the bus and the
// memcpy overlap, whatever kind of memory the caller's is.
#include <cuda/capture.h>
#include <cuda/memory.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace catena::cuda {
namespace {

CUdeviceptr address(const void* p) { return reinterpret_cast<CUdeviceptr>(p); }

// With staging.mutex held. False: there are no slots.
bool prepare(Device& d) {
  Staging& s = d.staging;
  if (s.tried) return s.slots[0] != nullptr;
  s.tried = true;
  for (int k = 0; k < Staging::kSlots; ++k) {
    void* p = nullptr;
    if (driver().cuEventCreate(&s.free[k], CU_EVENT_DISABLE_TIMING) != CUDA_SUCCESS ||
        driver().cuMemHostAlloc(&p, Staging::kBytes, 0) != CUDA_SUCCESS) {
      s.slots[0] = nullptr;  // the few that there are stay, unused
      return false;
    }
    s.slots[k] = static_cast<char*>(p);
  }
  return true;
}

// Numbers of a launch that do not fit its parameters: the runtime copies nothing else meanwhile.
void capture_in(Device& d, void* dst, const void* src, uint64_t bytes) {
  const void* kept = captured_constant(d, src, bytes);
  d.check(driver().cuMemcpyHtoDAsync(address(dst), kept, bytes, d.stream), "copy from the host");
}

void copy_in(Device& d, void* dst, const void* src, uint64_t bytes) {
  if (is_capturing(d)) return capture_in(d, dst, src, bytes);
  const std::lock_guard lock(d.staging.mutex);
  Staging& s = d.staging;
  const Driver& cu = driver();
  if (!prepare(d)) {
    d.check(cu.cuMemcpyHtoDAsync(address(dst), src, bytes, d.stream), "copy from the host");
    return d.wait();
  }
  for (uint64_t at = 0, k = 0; at < bytes; at += Staging::kBytes, ++k) {
    const uint64_t slot = k % Staging::kSlots, n = std::min(bytes - at, Staging::kBytes);
    d.check(cu.cuEventSynchronize(s.free[slot]), "copy from the host");
    std::memcpy(s.slots[slot], static_cast<const char*>(src) + at, n);
    d.check(cu.cuMemcpyHtoDAsync(address(dst) + at, s.slots[slot], n, d.stream),
            "copy from the host");
    d.check(cu.cuEventRecord(s.free[slot], d.stream), "copy from the host");
  }
}

void copy_out(Device& d, void* dst, const void* src, uint64_t bytes) {
  const std::lock_guard lock(d.staging.mutex);
  Staging& s = d.staging;
  const Driver& cu = driver();
  if (!prepare(d)) {
    d.check(cu.cuMemcpyDtoHAsync(dst, address(src), bytes, d.stream), "copy to the host");
    return d.wait();
  }
  const uint64_t pieces = (bytes + Staging::kBytes - 1) / Staging::kBytes;
  const auto size = [&](uint64_t k) {
    return std::min(bytes - k * Staging::kBytes, Staging::kBytes);
  };
  for (uint64_t k = 0; k < pieces + Staging::kSlots; ++k) {
    const uint64_t slot = k % Staging::kSlots;
    if (k >= Staging::kSlots && k - Staging::kSlots < pieces) {
      const uint64_t done = k - Staging::kSlots;
      d.check(cu.cuEventSynchronize(s.free[slot]), "copy to the host");
      std::memcpy(static_cast<char*>(dst) + done * Staging::kBytes, s.slots[slot], size(done));
    }
    if (k >= pieces) continue;
    d.check(
        cu.cuMemcpyDtoHAsync(s.slots[slot], address(src) + k * Staging::kBytes, size(k), d.stream),
        "copy to the host");
    d.check(cu.cuEventRecord(s.free[slot], d.stream), "copy to the host");
  }
}

// What the device, which is current, has queued so far. The driver keeps an event that is destroyed
// until it has been reached.
class Queued {
 public:
  Queued(Device& d, std::string_view doing) {
    d.check(driver().cuEventCreate(&event_, CU_EVENT_DISABLE_TIMING), doing);
    const CUresult recorded = driver().cuEventRecord(event_, d.stream);
    if (recorded != CUDA_SUCCESS) driver().cuEventDestroy(event_);
    d.check(recorded, doing);
  }
  ~Queued() { driver().cuEventDestroy(event_); }
  Queued(const Queued&) = delete;
  Queued& operator=(const Queued&) = delete;
  operator CUevent() const { return event_; }

 private:
  CUevent event_ = nullptr;
};

// Behind what the source's stream has queued, and before whatever it queues next.
void copy_across(Device& to, void* dst, Device& from, const void* src, uint64_t bytes) {
  constexpr std::string_view kTo = "copy to another device", kFrom = "copy from another device";
  const Driver& cu = driver();
  const Current source(from);
  const Queued ready(from, kTo);
  const auto copied = [&] {
    const Current target(to);
    to.check(cu.cuStreamWaitEvent(to.stream, ready, 0), kFrom);
    to.check(cu.cuMemcpyPeerAsync(address(dst), to.context, address(src), from.context, bytes,
                                  to.stream),
             kFrom);
    return Queued(to, kFrom);
  };
  const Queued done = copied();
  from.check(cu.cuStreamWaitEvent(from.stream, done, 0), kTo);
}

}  // namespace

void* allocate(Device& d, uint64_t bytes) {
  const Current current(d);
  CUdeviceptr p = 0;
  d.check(driver().cuMemAlloc(&p, bytes), "alloc of " + std::to_string(bytes) + " bytes");
  return reinterpret_cast<void*>(p);
}

// What is queued may still use it. Both calls report what went wrong before, which is not lost: the
// stream keeps it for whoever waits next.
void deallocate(Device& d, void* p) noexcept {
  const Driver& cu = driver();
  CUcontext popped = nullptr;
  if (cu.cuCtxPushCurrent(d.context) != CUDA_SUCCESS) return;
  cu.cuStreamSynchronize(d.stream.own);
  cu.cuMemFree(address(p));
  cu.cuCtxPopCurrent(&popped);
}

void copy(int dst_device, void* dst, int src_device, const void* src, uint64_t bytes) {
  if (bytes == 0) return;
  if (dst_device < 0 && src_device < 0) {
    std::memmove(dst, src, bytes);
  } else if (dst_device >= 0 && src_device >= 0 && dst_device != src_device) {
    copy_across(device(dst_device), dst, device(src_device), src, bytes);
  } else {
    Device& d = device(std::max(dst_device, src_device));
    const Current current(d);
    if (src_device < 0) {
      copy_in(d, dst, src, bytes);
    } else if (dst_device < 0) {
      copy_out(d, dst, src, bytes);
    } else {
      d.check(driver().cuMemcpyDtoDAsync(address(dst), address(src), bytes, d.stream), "copy");
    }
  }
}

}  // namespace catena::cuda
