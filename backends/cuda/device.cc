// See device.h.
#include <cuda/device.h>

#include <algorithm>
#include <atomic>
#include <cstring>

namespace catena::cuda {
namespace {

struct Table {
  std::mutex mutex;  // held while a device is opened
  std::atomic<Device*> open[kMaxDevices] = {};
};

Table& table() {
  static Table* const t = new Table;
  return *t;
}

int attribute(CUdevice cu, CUdevice_attribute which, const std::string& name) {
  int value = 0;
  check(driver().cuDeviceGetAttribute(&value, which, cu), name + ": asking for an attribute");
  return value;
}

// What lasts as long as the process; a device that failed to open is tried again by the next use.
void open(Device& d) {
  const Driver& cu = driver();
  CUdevice handle = 0;
  check(cu.cuDeviceGet(&handle, d.index), d.name);
  char model[256] = {};
  check(cu.cuDeviceGetName(model, sizeof model - 1, handle), d.name + ": asking for its name");
  d.model = model;
  size_t bytes = 0;
  check(cu.cuDeviceTotalMem(&bytes, handle), d.name + ": asking for its memory");
  d.memory = bytes;
  d.major = attribute(handle, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, d.name);
  d.minor = attribute(handle, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, d.name);
  check(cu.cuDevicePrimaryCtxRetain(&d.context, handle), d.name + ": opening it");
  const Current current(d);
  check(cu.cuStreamCreate(&d.stream.own, CU_STREAM_NON_BLOCKING), d.name + ": making a stream");
}

}  // namespace

void Recent::add(std::string_view op) {
  const std::lock_guard lock(mutex_);
  char* to = names_[count_++ % kKept];
  const size_t n = std::min<size_t>(op.size(), kName - 1);
  std::memcpy(to, op.data(), n);
  to[n] = 0;
}

int64_t Recent::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

void Recent::forget(int64_t count) {
  const std::lock_guard lock(mutex_);
  gone_ = std::max(gone_, count);
}

std::string Recent::text() const {
  const std::lock_guard lock(mutex_);
  const int64_t queued = count_ - gone_, kept = std::min<int64_t>(queued, kKept);
  std::string out;
  for (int64_t k = count_ - kept; k < count_; ++k) {
    if (!out.empty()) out += ", ";
    out += names_[k % kKept];
  }
  if (queued <= 1) return out;
  return out + " (the last " + std::to_string(kept) + " of " + std::to_string(queued) + " queued)";
}

void Device::check(CUresult result, std::string_view doing) {
  if (result == CUDA_SUCCESS) [[likely]]
    return;
  const std::string ops = recent.text();
  if (result == CUDA_ERROR_OUT_OF_MEMORY || ops.empty())
    cuda::check(result, name + ": " + std::string(doing));
  sdk::fail(CTN_EDEVICE, name, ": ", doing, ": ", error_text(result),
            " in work queued before: ", ops);
}

void Device::wait() {
  const int64_t queued = recent.count();
  check(driver().cuStreamSynchronize(stream.own), "waiting");
  recent.forget(queued);
}

Device& device(int index) {
  Table& t = table();
  if (in_forked_child())
    sdk::fail(CTN_EUNSUPPORTED,
              "cuda: this process was forked from one that used CUDA, which "
              "does not work in it");
  const Driver& cu = driver();
  if (index < 0 || index >= cu.devices || index >= kMaxDevices)
    sdk::fail(CTN_EDEVICE, "cuda: there is no device ", index, ", but ", cu.devices,
              cu.why.empty() ? "" : " (" + cu.why + ")");
  auto& slot = t.open[index];
  if (Device* d = slot.load(std::memory_order_acquire)) [[likely]]
    return *d;
  const std::lock_guard lock(t.mutex);
  if (Device* d = slot.load(std::memory_order_acquire)) return *d;
  auto made = std::make_unique<Device>();
  made->index = index;
  made->name = "cuda:" + std::to_string(index);
  open(*made);
  slot.store(made.get(), std::memory_order_release);
  return *made.release();
}

Device* open_device(int index) noexcept {
  return table().open[index].load(std::memory_order_acquire);
}

Current::Current(Device& d) { d.check(driver().cuCtxPushCurrent(d.context), "making it current"); }

Current::~Current() {
  CUcontext popped = nullptr;
  driver().cuCtxPopCurrent(&popped);  // fails only where the push would have
}

}  // namespace catena::cuda
