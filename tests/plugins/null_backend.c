/* A backend of the least it takes: host memory from malloc and memcpy. It compiles nothing and has
 * no kernel, so expressions run on the runtime's plain executor and every primitive must say that
 * it has no kernel here. Keeps the backend contract honest. */
#include <catena/plugin.h>
#include <stdlib.h>
#include <string.h>

static const ctn_host* g_host;

static ctn_str text(const char* s) {
  ctn_str r;
  r.p = s;
  r.n = strlen(s);
  return r;
}

static ctn_status CTN_CALL device_count(void* self, int32_t* n, ctn_str* why) {
  (void)self;
  (void)why;
  *n = 2;
  return CTN_OK;
}

static ctn_status CTN_CALL memory_alloc(void* self, ctn_context ctx, int32_t device, uint64_t bytes,
                                        uint64_t align, void** out) {
  (void)self;
  (void)ctx;
  (void)device;
  *out = aligned_alloc(align, (bytes + align - 1) / align * align);
  if (!*out) return g_host->fail(CTN_ENOMEM, NULL, 0, text("null backend: aligned_alloc failed"));
  return CTN_OK;
}

static void CTN_CALL memory_free(void* self, ctn_context ctx, int32_t device, void* p,
                                 uint64_t bytes, uint64_t align) {
  (void)self;
  (void)ctx;
  (void)device;
  (void)bytes;
  (void)align;
  free(p);
}

static ctn_status CTN_CALL copy(void* self, int32_t dst_device, void* dst, int32_t src_device,
                                const void* src, uint64_t bytes) {
  (void)self;
  (void)dst_device;
  (void)src_device;
  memcpy(dst, src, bytes);
  return CTN_OK;
}

const ctn_plugin_info* CTN_CALL CTN_PLUGIN_QUERY(null)(uint32_t host_abi) {
  static const ctn_plugin_info info = {
      .size = sizeof(ctn_plugin_info),
      .abi_built = CTN_ABI_VERSION,
      .abi_min = CTN_ABI_VERSION,
      .version = 1,
      .name = {"null", 4},
      .kind = {"backend", 7},
      .license = {"MIT", 3},
  };
  (void)host_abi;
  return &info;
}

ctn_status CTN_CALL CTN_PLUGIN_INIT(null)(const ctn_host* host, ctn_plugin self) {
  ctn_backend_def def;
  memset(&def, 0, sizeof def);
  def.size = sizeof def;
  def.flags = CTN_BACKEND_HOST_MEMORY | CTN_BACKEND_FORK_SAFE;
  def.name = text("null");
  def.device_type = CTN_DEV_EXTENSION;
  def.priority = 1;
  def.device_count = device_count;
  def.alloc = memory_alloc;
  def.free = memory_free;
  def.copy = copy;
  g_host = host;
  return host->add_backend(self, &def);
}
