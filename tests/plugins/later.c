/* An asynchronous backend on host memory: a copy to a device is only noted, and done when somebody
 * waits; one of exactly 13 bytes then fails, which sync reports, once. For one thread at a time. */
#include <stdlib.h>

#include "plain.h"

typedef struct work {
  void* dst;
  void* bytes; /* what was at the source */
  uint64_t n;
  int32_t device;
} work;

static const ctn_host* g_host;
static work g_queue[16];
static int g_waiting;
static int g_failed[2];

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi) {
  static const ctn_plugin_info info = PLAIN_INFO("later");
  (void)host_abi;
  return &info;
}

static ctn_status count(void* self, int32_t* n, ctn_str* why) {
  (void)self, (void)why;
  *n = 2;
  return CTN_OK;
}
static ctn_status get(void* self, ctn_context ctx, int32_t device, uint64_t bytes, uint64_t align,
                      void** out) {
  (void)self, (void)device;
  *out = g_host->host_alloc(ctx, bytes, align);
  return *out ? CTN_OK : CTN_ENOMEM;
}
/* Does what waits for the device; g_failed remembers what went wrong. */
static void finish(int32_t device) {
  int rest = 0;
  for (int i = 0; i < g_waiting; ++i) {
    const work w = g_queue[i];
    if (w.device != device) {
      g_queue[rest++] = w;
      continue;
    }
    if (w.n == 13)
      g_failed[device] = 1;
    else
      memcpy(w.dst, w.bytes, w.n);
    free(w.bytes);
  }
  g_waiting = rest;
}

static void put(void* self, ctn_context ctx, int32_t device, void* p, uint64_t bytes,
                uint64_t align) {
  (void)self;
  finish(device);
  g_host->host_free(ctx, p, bytes, align);
}

static ctn_status sync(void* self, int32_t device) {
  (void)self;
  finish(device);
  if (!g_failed[device]) return CTN_OK;
  g_failed[device] = 0;
  return g_host->fail(CTN_EDEVICE, NULL, 0, text("later: a copy of 13 bytes failed"));
}

static ctn_status copy(void* self, int32_t dst_device, void* dst, int32_t src_device,
                       const void* src, uint64_t bytes) {
  work w = {dst, NULL, bytes, dst_device};
  (void)self;
  if (dst_device < 0) { /* to the host: behind what was noted for the device */
    finish(src_device);
    if (!g_failed[src_device]) memcpy(dst, src, bytes);
    return CTN_OK;
  }
  w.bytes = g_waiting < 16 ? malloc(bytes) : NULL;
  if (!w.bytes) return CTN_ENOMEM;
  memcpy(w.bytes, src, bytes);
  g_queue[g_waiting++] = w;
  return CTN_OK;
}

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self) {
  ctn_backend_def def;
  memset(&def, 0, sizeof def);
  def.size = sizeof def;
  def.flags = CTN_BACKEND_HOST_MEMORY | CTN_BACKEND_ASYNC;
  def.name = text("later");
  def.device_type = CTN_DEV_EXTENSION;
  def.priority = 1;
  def.device_count = count;
  def.alloc = get;
  def.free = put;
  def.copy = copy;
  def.sync = sync;
  g_host = host;
  return host->add_backend(self, &def);
}
