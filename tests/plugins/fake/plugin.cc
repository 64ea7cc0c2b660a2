// A device that is none: several of them, with memory that the CPU must not touch, and work that is
// done only when somebody waits for it. Stands in for a GPU in the tests, which tell it by
// control.h what shall fail. Its kernels are the cpu's.
#include <cstring>

#include "borrow.h"
#include "memory.h"
#include "queue.h"

extern "C" CTN_EXPORT fake::Control* fake_control() { return &fake::control(); }

namespace fake {
namespace {

ctn_status device_count(void*, int32_t* n, ctn_str* why) {
  *n = control().devices;
  if (*n == 0) *why = {"a test took them away", 21};
  return CTN_OK;
}

ctn_status device_info(void*, int32_t, ctn_device_info* out) {
  out->name = {"fake device", 11};
  out->mem_total = kSpan;
  out->mem_free = kSpan - static_cast<uint64_t>(control().bytes);
  return CTN_OK;
}

ctn_status alloc(void*, ctn_context, int32_t device, uint64_t bytes, uint64_t align, void** out) {
  std::atomic<int64_t>& budget = control().alloc_budget;
  int64_t left = budget;
  while (left > 0 && !budget.compare_exchange_weak(left, left - 1)) {
  }
  if (left == 0) return fail(control().alloc_status, "fake: alloc failed on request");
  *out = take_memory(device, bytes, align);
  if (!*out) return fail(CTN_ENOMEM, "fake: the device is full");
  ++control().blocks;
  control().bytes += static_cast<int64_t>(bytes);
  return CTN_OK;
}

void free_memory(void*, ctn_context, int32_t device, void* p, uint64_t bytes, uint64_t) {
  finish(device);
  give_memory(device, p, bytes);
  --control().blocks;
  control().bytes -= static_cast<int64_t>(bytes);
}

ctn_status copy_in(int32_t device, void* dst, const void* src, uint64_t bytes) {
  ++control().copies_in;
  const auto* const from = static_cast<const char*>(src);
  hand_over(device, "", [to = behind(dst), own = std::string(from, from + bytes)] {
    std::memcpy(to, own.data(), own.size());
    return CTN_OK;
  });
  return CTN_OK;
}

ctn_status copy(void*, int32_t dst_device, void* dst, int32_t src_device, const void* src,
                uint64_t bytes) {
  if ((dst_device >= 0 && !behind(dst)) || (src_device >= 0 && !behind(src)))
    return fail(CTN_EINTERNAL, "fake: a copy was handed memory that is not the device's");
  if (src_device < 0) return copy_in(dst_device, dst, src, bytes);
  void* const from = behind(src);
  void* const to = dst_device < 0 ? dst : behind(dst);
  const auto body = [from, to, bytes] {
    std::memmove(to, from, bytes);
    return CTN_OK;
  };
  ++(dst_device < 0 ? control().copies_out : control().copies_between);
  if (dst_device < 0 || dst_device == src_device)
    hand_over(src_device, "", body);
  else
    hand_over_between(dst_device, src_device, body);
  return CTN_OK;
}

ctn_status sync(void*, int32_t device) {
  ++control().syncs;
  return finish_and_tell(device);
}

}  // namespace
}  // namespace fake

const ctn_plugin_info* CTN_CALL CTN_PLUGIN_QUERY(fake)(uint32_t) {
  static constexpr ctn_plugin_info kInfo = {
      sizeof(ctn_plugin_info), CTN_ABI_VERSION, CTN_ABI_VERSION, 1, {"fake", 4},
      {"backend", 7},          {"MIT", 3},
  };
  return &kInfo;
}

ctn_status CTN_CALL CTN_PLUGIN_INIT(fake)(const ctn_host* host, ctn_plugin self) {
  fake::g_host = host;
  if (!fake::reserve_memory()) return fake::fail(CTN_ENOMEM, "fake: no address space");
  ctn_backend_def def{};
  def.size = sizeof def;
  def.flags = CTN_BACKEND_ASYNC;
  def.name = {"fake", 4};
  def.device_type = CTN_DEV_EXTENSION;
  def.priority = 1;
  def.device_count = fake::device_count;
  def.device_info = fake::device_info;
  def.alloc = fake::alloc;
  def.free = fake::free_memory;
  def.copy = fake::copy;
  def.sync = fake::sync;
  const ctn_status status = fake::borrow_cpu(host, self, &def);
  return status == CTN_OK ? host->add_backend(self, &def) : status;
}
