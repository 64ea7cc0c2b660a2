/* Its init registers an op, a kernel and a backend, and then fails. */
#include "plain.h"

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi) {
  static const ctn_plugin_info info = PLAIN_INFO("half_way");
  (void)host_abi;
  return &info;
}

static ctn_status count(void* self, int32_t* n, ctn_str* why) {
  (void)self, (void)n, (void)why;
  return CTN_OK;
}
static ctn_status get(void* self, ctn_context ctx, int32_t device, uint64_t bytes, uint64_t align,
                      void** out) {
  (void)self, (void)ctx, (void)device, (void)bytes, (void)align, (void)out;
  return CTN_OK;
}
static void put(void* self, ctn_context ctx, int32_t device, void* p, uint64_t bytes,
                uint64_t align) {
  (void)self, (void)ctx, (void)device, (void)p, (void)bytes, (void)align;
}
static ctn_status copy(void* self, int32_t dst_device, void* dst, int32_t src_device,
                       const void* src, uint64_t bytes) {
  (void)self, (void)dst_device, (void)dst, (void)src_device, (void)src, (void)bytes;
  return CTN_OK;
}
static ctn_status run(void* self, const ctn_run* call) {
  (void)self, (void)call;
  return CTN_OK;
}

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self) {
  ctn_backend_def backend;
  ctn_kernel_def kernel;
  ctn_status status = add_plain_op(host, self, "half_way.op");
  if (status != CTN_OK) return status;
  memset(&backend, 0, sizeof backend);
  backend.size = sizeof backend;
  backend.name = text("half_way");
  backend.device_type = CTN_DEV_EXTENSION;
  backend.device_count = count;
  backend.alloc = get;
  backend.free = put;
  backend.copy = copy;
  status = host->add_backend(self, &backend);
  if (status != CTN_OK) return status;
  memset(&kernel, 0, sizeof kernel);
  kernel.size = sizeof kernel;
  kernel.op = text("half_way.op");
  kernel.backend = text("half_way");
  kernel.run = run;
  status = host->add_kernel(self, &kernel);
  if (status != CTN_OK) return status;
  return host->fail(CTN_EDEVICE, NULL, 0, text("the driver is asleep"));
}
