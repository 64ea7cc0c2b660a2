// The backend table: every entry turns numbers and pointers of the runtime into our own and lets no
// exception out. Nothing of CUDA is opened before the first of them needs it.
#include <cuda/backend.h>
#include <cuda/capture.h>
#include <cuda/channels_last.h>
#include <cuda/dnn_status.h>
#include <cuda/memory.h>
#include <cuda/nvrtc.h>
#include <cuda/program.h>
#include <cuda/queued.h>
#include <cuda/stream.h>

namespace catena::cuda {
namespace {

using sdk::guarded;

ctn_status CTN_CALL device_count(void*, int32_t* n, ctn_str* why) {
  return guarded([&] {
    const Driver& cu = driver();
    *n = 0;
    if (in_forked_child())
      *why = sdk::str("this process was forked from one that used CUDA");
    else if (!cu.usable)
      *why = sdk::str(cu.why);
    else if (!nvrtc_why().empty())
      *why = sdk::str(nvrtc_why());
    else
      *n = cu.devices;
  });
}

// "NVIDIA H100 80GB HBM3, cuDNN 9.19.0"
ctn_str title(const Device& d) {
  struct Titles {
    std::mutex mutex;
    std::string text[kMaxDevices];
  };
  static Titles* const titles = new Titles;
  const std::lock_guard lock(titles->mutex);
  std::string& text = titles->text[d.index];
  if (text.empty()) text = d.model + ", " + dnn_status();
  return sdk::str(text);
}

ctn_status CTN_CALL device_info(void*, int32_t index, ctn_device_info* out) {
  return guarded([&] {
    Device& d = device(index);
    const Current current(d);
    size_t free = 0, total = 0;
    d.check(driver().cuMemGetInfo(&free, &total), "asking for its memory");
    out->flags = CTN_BACKEND_ASYNC;
    out->name = title(d);
    out->mem_total = total;
    out->mem_free = free;
  });
}

ctn_status CTN_CALL alloc(void*, ctn_context, int32_t index, uint64_t bytes, uint64_t align,
                          void** out) {
  return guarded([&] {
    if (align > kAlign) sdk::fail(CTN_EINVAL, "cuda: alignment of ", align, " bytes");
    *out = allocate(device(index), bytes);
  });
}

void CTN_CALL release_memory(void*, ctn_context, int32_t index, void* p, uint64_t, uint64_t) {
  if (in_forked_child()) return;  // it is the parent's
  guarded([&] { deallocate(device(index), p); });
}

ctn_status CTN_CALL copy_bytes(void*, int32_t dst_device, void* dst, int32_t src_device,
                               const void* src, uint64_t bytes) {
  return guarded([&] { copy(dst_device, dst, src_device, src, bytes); });
}

ctn_status CTN_CALL sync(void*, int32_t index) {
  return guarded([&] {
    Device& d = device(index);
    const Current current(d);
    wait_for(d, nullptr);
  });
}

ctn_status CTN_CALL sync_context(void*, ctn_context ctx, int32_t index) {
  return guarded([&] {
    Device& d = device(index);
    const Current current(d);
    wait_for(d, ctx);
  });
}

ctn_status CTN_CALL compile(void*, const ctn_form* form, void** program) {
  return guarded([&] {
    auto made = std::make_unique<Program>(*form);
    for_open_devices([&](Device& d) { made->prepare(d); });
    *program = made.release();
  });
}

ctn_status CTN_CALL launch(void*, void* program, const ctn_launch* launches, int32_t n) {
  return guarded([&] {
    for (int32_t k = 0; k < n; ++k) {
      const ctn_launch& l = launches[k];
      Device& d = device(sdk::host->exec_device(l.exec).id);
      const Current current(d);
      static_cast<Program*>(program)->launch(d, l);
      note(d, sdk::host->exec_context(l.exec), sdk::view(sdk::host->exec_label(l.exec)));
    }
  });
}

void CTN_CALL release(void*, void* program) {
  const std::unique_ptr<Program> gone(static_cast<Program*>(program));
}

ctn_status CTN_CALL stream_open(void*, int32_t index, void* adopt, ctn_stream* out) {
  return guarded([&] { *out = open_stream(device(index), adopt); });
}
void CTN_CALL stream_close(void*, ctn_stream s) { close_stream(s); }
void* CTN_CALL stream_native(void*, ctn_stream s) { return native_stream(s); }
ctn_status CTN_CALL event_record(void*, ctn_stream s, uint64_t* event) {
  return guarded([&] { *event = record_event(s); });
}
ctn_status CTN_CALL event_wait(void*, ctn_stream s, uint64_t event) {
  return guarded([&] { wait_event(s, event); });
}

ctn_status CTN_CALL capture_begin(void*, int32_t index) {
  return guarded([&] { begin_capture(device(index)); });
}
ctn_status CTN_CALL capture_end(void*, int32_t index, void** capture) {
  return guarded([&] {
    Captured* work = nullptr;
    end_capture(device(index), capture ? &work : nullptr);
    if (capture) *capture = work;
  });
}
ctn_status CTN_CALL capture_replay(void*, int32_t index, void* capture) {
  return guarded([&] { replay_capture(device(index), *static_cast<Captured*>(capture)); });
}
void CTN_CALL capture_free(void*, int32_t index, void* capture) {
  if (in_forked_child()) return;  // it is the parent's
  guarded([&] { free_capture(device(index), static_cast<Captured*>(capture)); });
}

}  // namespace

ctn_status register_backend(const ctn_host* host, ctn_plugin plugin) {
  ctn_backend_def def{};
  def.size = sizeof def;
  def.flags = CTN_BACKEND_ASYNC;
  def.name = sdk::str("cuda");
  def.device_type = CTN_DEV_CUDA;
  def.priority = 300;
  def.device_count = device_count;
  def.device_info = device_info;
  def.alloc = alloc;
  def.free = release_memory;
  def.copy = copy_bytes;
  def.sync = sync;
  def.sync_context = sync_context;
  def.compile = compile;
  def.launch = launch;
  def.release = release;
  def.stream_open = stream_open;
  def.stream_close = stream_close;
  def.stream_native = stream_native;
  def.event_record = event_record;
  def.event_wait = event_wait;
  def.capture_begin = capture_begin;
  def.capture_end = capture_end;
  def.capture_replay = capture_replay;
  def.capture_free = capture_free;
  def.layout_bytes = layout_bytes;
  def.reorder = reorder;
  return host->add_backend(plugin, &def);
}

}  // namespace catena::cuda
