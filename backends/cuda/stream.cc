// See stream.h.
#include <cuda/stream.h>

struct ctn_stream_s {
  catena::cuda::Device* device;
  CUstream adopted;  // NULL: the device's, which is another one while a thread captures

  CUstream native() const { return adopted ? adopted : device->stream; }
};

namespace catena::cuda {
namespace {

constexpr uint64_t kEvents = 256;

// One device's marks, taken in turn.
struct Ring {
  std::mutex mutex;
  uint64_t next = 0;
  CUevent events[kEvents] = {};
};

Ring& ring_of(const Device& d) {
  static Ring* const rings = new Ring[kMaxDevices];
  return rings[d.index];
}

}  // namespace

ctn_stream open_stream(Device& d, void* adopt) {
  return new ctn_stream_s{&d, static_cast<CUstream>(adopt)};
}

void close_stream(ctn_stream s) noexcept { delete s; }

void* native_stream(ctn_stream s) noexcept { return s->native(); }

uint64_t record_event(ctn_stream s) {
  Device& d = *s->device;
  const Current current(d);
  Ring& ring = ring_of(d);
  const std::lock_guard lock(ring.mutex);
  const uint64_t k = ring.next++ % kEvents;
  CUevent& event = ring.events[k];
  if (event)
    d.check(driver().cuStreamWaitEvent(s->native(), event, 0), "taking an event again");
  else
    d.check(driver().cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "making an event");
  d.check(driver().cuEventRecord(event, s->native()), "recording an event");
  return static_cast<uint64_t>(d.index) * kEvents + k + 1;
}

void wait_event(ctn_stream s, uint64_t event) {
  const uint64_t k = event - 1;
  Device& d = *s->device;
  if (event == 0 || k / kEvents >= kMaxDevices)
    sdk::fail(CTN_EINVAL, d.name, ": there is no event ", event);
  Device& from = device(static_cast<int>(k / kEvents));
  Ring& ring = ring_of(from);
  const std::lock_guard lock(ring.mutex);
  const CUevent found = ring.events[k % kEvents];
  if (!found) sdk::fail(CTN_EINVAL, d.name, ": there is no event ", event);
  const Current current(d);
  d.check(driver().cuStreamWaitEvent(s->native(), found, 0), "waiting for an event");
}

}  // namespace catena::cuda
