/* Backends that stand on others: `stacked` has nothing of its own but two kernels of softmax, both
 * of which may decline; `twice` stands on it and counts its memory and devices; `vacant` comes
 * first for auto and has no device. */
#include "plain.h"

static const ctn_host* g_host;
CTN_EXPORT int64_t stacked_blocks = 0; /* of `twice`, out */
CTN_EXPORT int64_t stacked_runs[3] = {0};

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi) {
  static const ctn_plugin_info info = PLAIN_INFO("stacked");
  (void)host_abi;
  return &info;
}

/* ---- kernels of softmax that write what number they are */

static ctn_status mark(void* self, const ctn_run* run) {
  const ctn_dltensor* y = &run->call->out[0].t;
  const int64_t k = (int64_t)(intptr_t)self;
  int64_t n = 1;
  for (int32_t d = 0; d < y->ndim; ++d) n *= y->shape[d];
  for (int64_t i = 0; i < n; ++i) ((float*)y->data)[i] = (float)(100 + k);
  ++stacked_runs[k];
  return CTN_OK;
}
static ctn_status never(void* self, const ctn_call_info* call, int32_t* yes, ctn_str* why) {
  (void)self, (void)call;
  *yes = 0;
  *why = text("the moon is full");
  return CTN_OK;
}
static ctn_status rows(void* self, const ctn_call_info* call, int32_t* yes, ctn_str* why) {
  (void)self;
  *yes = call->in[0].t.shape[0] == 1;
  *why = text("more than one row");
  return CTN_OK;
}

static ctn_status add_kernels(ctn_plugin p) {
  const ctn_dtype float32 = {CTN_DT_FLOAT, 32, 1};
  ctn_status status;
  ctn_kernel_def def;
  memset(&def, 0, sizeof def);
  def.size = sizeof def;
  def.op = text("softmax");
  def.dtypes = &float32;
  def.n_dtypes = 1;
  def.run = mark;
  def.backend = text("stacked");
  def.priority = 20;
  def.supports = never;
  status = g_host->add_kernel(p, &def);
  def.priority = 10;
  def.supports = rows;
  def.self = (void*)1;
  if (status == CTN_OK) status = g_host->add_kernel(p, &def);
  def.backend = text("twice");
  def.priority = -1000; /* before all of its parents' nevertheless */
  def.self = (void*)2;
  if (status == CTN_OK) status = g_host->add_kernel(p, &def);
  return status;
}

/* ---- what `twice` and `vacant` have of their own */

static ctn_status three(void* self, int32_t* n, ctn_str* why) {
  (void)self, (void)why;
  *n = 3;
  return CTN_OK;
}
static ctn_status none(void* self, int32_t* n, ctn_str* why) {
  (void)self;
  *n = 0;
  *why = text("the driver is on holiday");
  return CTN_OK;
}
static ctn_status get(void* self, ctn_context ctx, int32_t device, uint64_t bytes, uint64_t align,
                      void** out) {
  (void)self, (void)device;
  *out = g_host->host_alloc(ctx, bytes, align);
  if (!*out) return CTN_ENOMEM;
  ++stacked_blocks;
  return CTN_OK;
}
static void put(void* self, ctn_context ctx, int32_t device, void* p, uint64_t bytes,
                uint64_t align) {
  (void)self, (void)device;
  --stacked_blocks;
  g_host->host_free(ctx, p, bytes, align);
}
static ctn_status copy(void* self, int32_t dst_device, void* dst, int32_t src_device,
                       const void* src, uint64_t bytes) {
  (void)self, (void)dst_device, (void)src_device;
  memmove(dst, src, bytes);
  return CTN_OK;
}

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self) {
  ctn_status status;
  ctn_backend_def def;
  g_host = host;
  memset(&def, 0, sizeof def);
  def.size = sizeof def;
  def.name = text("stacked");
  def.parent = text("cpu");
  status = host->add_backend(self, &def);

  def.name = text("twice");
  def.parent = text("stacked");
  def.device_type = CTN_DEV_EXTENSION;
  def.flags = CTN_BACKEND_HOST_MEMORY;
  def.device_count = three;
  def.alloc = get;
  def.free = put;
  def.copy = copy;
  if (status == CTN_OK) status = host->add_backend(self, &def);

  def.name = text("vacant");
  def.priority = 1000;
  def.device_count = none;
  if (status == CTN_OK) status = host->add_backend(self, &def);
  return status == CTN_OK ? add_kernels(self) : status;
}
