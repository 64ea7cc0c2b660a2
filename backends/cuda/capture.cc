// See capture.h. The capture's stream is in relaxed mode: memory may be taken and kernels compiled
// meanwhile, by this thread and all others.
#include <cuda/capture.h>
#include <cuda/queued.h>

#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

namespace catena::cuda {

struct Captured {
  CUgraphExec graph = nullptr;
  std::vector<void*> constants;
  std::string ops;
  ctn_context ctx = nullptr;  // whose they are
};

namespace {

struct Capture {
  Device& device;
  CUstream stream = nullptr;
  Recent recent;
  std::unique_ptr<Captured> work = std::make_unique<Captured>();
};
constinit thread_local Capture* t_capture = nullptr;

void free_constants(Captured& work) noexcept {
  for (void* p : work.constants) driver().cuMemFreeHost(p);
  work.constants.clear();
}

// A device's streams that capture nothing now. They are kept: handles of libraries know a stream by
// its address, which the next one might have too.
struct Spare {
  std::mutex mutex;
  size_t made = 0;
  std::vector<CUstream> streams;  // has room for all that were made
};
Spare& spare_of(const Device& d) {
  static Spare* const all = new Spare[kMaxDevices];
  return all[d.index];
}

CUstream take_stream(Device& d) {
  Spare& spare = spare_of(d);
  const std::lock_guard lock(spare.mutex);
  CUstream s = nullptr;
  if (spare.streams.empty()) {
    spare.streams.reserve(spare.made + 1);
    d.check(driver().cuStreamCreate(&s, CU_STREAM_NON_BLOCKING), "making a stream");
    ++spare.made;
    return s;
  }
  s = spare.streams.back();
  spare.streams.pop_back();
  return s;
}

void give_stream(const Device& d, CUstream s) noexcept {
  Spare& spare = spare_of(d);
  const std::lock_guard lock(spare.mutex);
  spare.streams.push_back(s);
}

// The stream captures no longer, whether what it captured was spoilt or not.
CUresult end_stream(Capture& c, CUgraph* graph) {
  const CUresult r = driver().cuStreamEndCapture(c.stream, graph);
  if (r == CUDA_SUCCESS || r == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED)
    give_stream(c.device, c.stream);
  else
    driver().cuStreamDestroy(c.stream);
  return r;
}

}  // namespace

Stream::operator CUstream() const noexcept {
  return t_capture && &t_capture->device.stream == this ? t_capture->stream : own;
}

bool is_capturing(const Device& d) noexcept { return t_capture && &t_capture->device == &d; }

bool note_captured(Device& d, ctn_context ctx, std::string_view op) {
  if (!is_capturing(d)) return false;
  t_capture->recent.add(op);
  t_capture->work->ctx = ctx;
  return true;
}

const void* captured_constant(Device& d, const void* bytes, uint64_t n) {
  void* p = nullptr;
  d.check(driver().cuMemHostAlloc(&p, n, CU_MEMHOSTALLOC_PORTABLE), "keeping a captured number");
  t_capture->work->constants.push_back(p);
  return std::memcpy(p, bytes, n);
}

void begin_capture(Device& d) {
  if (t_capture) sdk::fail(CTN_EINVAL, d.name, ": this thread captures already");
  const Driver& cu = driver();
  const Current current(d);
  auto c = std::unique_ptr<Capture>(new Capture{d, nullptr, {}});
  c->stream = take_stream(d);
  const CUresult r = cu.cuStreamBeginCapture(c->stream, CU_STREAM_CAPTURE_MODE_RELAXED);
  if (r != CUDA_SUCCESS) cu.cuStreamDestroy(c->stream);
  d.check(r, "beginning a capture");
  t_capture = c.release();
}

void end_capture(Device& d, Captured** out) {
  if (!is_capturing(d)) sdk::fail(CTN_EINVAL, d.name, ": this thread captures nothing");
  const std::unique_ptr<Capture> c(std::exchange(t_capture, nullptr));
  const Driver& cu = driver();
  const Current current(d);
  CUgraph graph = nullptr;
  CUresult r = end_stream(*c, &graph);
  if (r == CUDA_SUCCESS && out) r = cu.cuGraphInstantiate(&c->work->graph, graph, 0);
  if (graph) cu.cuGraphDestroy(graph);
  if (r != CUDA_SUCCESS || !out) free_constants(*c->work);
  if (!out) return;  // that it was spoilt matters to nobody
  if (r != CUDA_SUCCESS)
    sdk::fail(r == CUDA_ERROR_OUT_OF_MEMORY ? CTN_ENOMEM : CTN_EDEVICE, d.name,
              ": ending a capture: ", error_text(r), "; captured were: ", c->recent.text());
  c->work->ops = c->recent.text();
  *out = c->work.release();
}

void replay_capture(Device& d, Captured& work) {
  const Current current(d);
  d.check(driver().cuGraphLaunch(work.graph, d.stream), "replay");
  note(d, work.ctx, "replay of " + work.ops);
}

void free_capture(Device& d, Captured* work) noexcept {
  const std::unique_ptr<Captured> gone(work);
  const Driver& cu = driver();
  CUcontext popped = nullptr;
  if (cu.cuCtxPushCurrent(d.context) != CUDA_SUCCESS) return;
  cu.cuStreamSynchronize(d.stream.own);
  cu.cuGraphExecDestroy(work->graph);
  free_constants(*work);
  cu.cuCtxPopCurrent(&popped);
}

}  // namespace catena::cuda
