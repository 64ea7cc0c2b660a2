/* A backend on host memory with the C library's allocator, under the name PLUGIN_NAME. */
#include <stdlib.h>

#include "plain.h"

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi) {
  static const ctn_plugin_info info = PLAIN_INFO(PLUGIN_NAME);
  (void)host_abi;
  return &info;
}

static ctn_status count(void* self, int32_t* n, ctn_str* why) {
  (void)self, (void)why;
  *n = 1;
  return CTN_OK;
}
static ctn_status get(void* self, ctn_context ctx, int32_t device, uint64_t bytes, uint64_t align,
                      void** out) {
  (void)self, (void)ctx, (void)device;
  *out = aligned_alloc(align, (bytes + align - 1) / align * align);
  return *out ? CTN_OK : CTN_ENOMEM;
}
static void put(void* self, ctn_context ctx, int32_t device, void* p, uint64_t bytes,
                uint64_t align) {
  (void)self, (void)ctx, (void)device, (void)bytes, (void)align;
  free(p);
}
static ctn_status copy(void* self, int32_t dst_device, void* dst, int32_t src_device,
                       const void* src, uint64_t bytes) {
  (void)self, (void)dst_device, (void)src_device;
  memcpy(dst, src, bytes);
  return CTN_OK;
}

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self) {
  ctn_backend_def def;
  memset(&def, 0, sizeof def);
  def.size = sizeof def;
  def.flags = CTN_BACKEND_HOST_MEMORY;
  def.name = text(PLUGIN_NAME);
  def.device_type = CTN_DEV_EXTENSION;
  def.priority = 50;
  def.device_count = count;
  def.alloc = get;
  def.free = put;
  def.copy = copy;
  return host->add_backend(self, &def);
}
