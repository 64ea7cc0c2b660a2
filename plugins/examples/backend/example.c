/* A backend from outside: its own memory, its own copies, and one kernel that adds two arrays. It
 * needs an installed Catena and nothing else; docs/writing-a-backend.md goes through it.
 *
 *   cc -std=c11 -O2 -fPIC -shared example.c -o libcatena_example.so \
 *      $(pkg-config --cflags catena) */
#include <catena/plugin.h>
#include <stdlib.h>
#include <string.h>

#define STR(text) \
  { text, sizeof(text) - 1 }

static const ctn_host* g_host;

static ctn_status fail(ctn_status code, const char* text) {
  const ctn_str s = {text, strlen(text)};
  return g_host->fail(code, NULL, 0, s);
}

/* ---- devices: two of them, in host memory */

static ctn_status CTN_CALL device_count(void* self, int32_t* n, ctn_str* why) {
  (void)self, (void)why; /* with *n = 0, *why would say what is missing */
  *n = 2;
  return CTN_OK;
}

static ctn_status CTN_CALL device_info(void* self, int32_t device, ctn_device_info* out) {
  static const ctn_str name = STR("an example");
  (void)self, (void)device;
  out->name = name;
  return CTN_OK;
}

/* ---- memory: the runtime caches what it gets here, so this is called seldom */

static ctn_status CTN_CALL memory_get(void* self, ctn_context ctx, int32_t device, uint64_t bytes,
                                      uint64_t align, void** out) {
  (void)self, (void)ctx, (void)device;
  *out =
      bytes > SIZE_MAX - align ? NULL : aligned_alloc(align, (bytes + align - 1) / align * align);
  return *out ? CTN_OK : fail(CTN_ENOMEM, "example: there is no more memory");
}

static void CTN_CALL memory_put(void* self, ctn_context ctx, int32_t device, void* p,
                                uint64_t bytes, uint64_t align) {
  (void)self, (void)ctx, (void)device, (void)bytes, (void)align;
  free(p);
}

/* Device numbers, or -1 for the host; here all memory is alike. */
static ctn_status CTN_CALL memory_copy(void* self, int32_t dst_device, void* dst,
                                       int32_t src_device, const void* src, uint64_t bytes) {
  (void)self, (void)dst_device, (void)src_device;
  memmove(dst, src, bytes);
  return CTN_OK;
}

/* ---- the op example.add: what it gives, and its gradient */

static ctn_status CTN_CALL add_infer(void* self, const ctn_call_info* call, ctn_out_spec* out) {
  const ctn_dltensor* x = &call->in[0].t;
  (void)self;
  out->mode = CTN_OUT_NEW;
  out->dtype = x->dtype;
  out->ndim = x->ndim;
  for (int32_t d = 0; d < x->ndim; ++d) out->shape[d] = x->shape[d];
  return CTN_OK;
}

/* The gradient of a sum goes to both. */
static ctn_status CTN_CALL add_backward(void* self, ctn_grad g) {
  ctn_variable gy = NULL;
  ctn_status status = g_host->grad_gy(g, 0, &gy);
  (void)self;
  for (int32_t i = 0; i < 2 && status == CTN_OK; ++i)
    if (g_host->grad_needed(g, i)) status = g_host->grad_set(g, i, gy);
  return status;
}

/* ---- its kernel, for float32: inputs in C order, threads from the runtime */

typedef struct sum {
  const float *x, *y;
  float* z;
} sum;

static ctn_status CTN_CALL add_range(void* arg, int64_t begin, int64_t end) {
  const sum* s = arg;
  for (int64_t i = begin; i < end; ++i) s->z[i] = s->x[i] + s->y[i];
  return CTN_OK;
}

static ctn_status CTN_CALL add_run(void* self, const ctn_run* run) {
  const ctn_call_info* call = run->call;
  sum s = {call->in[0].t.data, call->in[1].t.data, call->out[0].t.data};
  int64_t n = 1;
  (void)self;
  for (int32_t d = 0; d < call->out[0].t.ndim; ++d) n *= call->out[0].t.shape[d];
  return g_host->parallel_for(run->exec, n, 4096, add_range, &s);
}

/* Says no to what it is not made for; the next kernel is asked, and the log says why. */
static ctn_status CTN_CALL add_supports(void* self, const ctn_call_info* call, int32_t* yes,
                                        ctn_str* why) {
  static const ctn_str text = STR("more than 8 dimensions");
  (void)self;
  *yes = call->in[0].t.ndim <= 8;
  *why = text;
  return CTN_OK;
}

/* ---- entry points */

static ctn_status add_backend(const ctn_host* host, ctn_plugin plugin) {
  const ctn_backend_def def = {.size = sizeof(ctn_backend_def),
                               .flags = CTN_BACKEND_HOST_MEMORY,
                               .name = STR("example"),
                               .device_type = CTN_DEV_EXTENSION,
                               .priority = 0, /* "auto" takes all others first */
                               .device_count = device_count,
                               .device_info = device_info,
                               .alloc = memory_get,
                               .free = memory_put,
                               .copy = memory_copy};
  return host->add_backend(plugin, &def);
}

static ctn_status add_op(const ctn_host* host, ctn_plugin plugin) {
  const ctn_input_def in[] = {{.name = STR("x"), .type = STR("f")},
                              {.name = STR("y"), .type = STR("f")}};
  const ctn_output_def out[] = {{.name = STR("z"), .type = STR("=x")}};
  /* the runtime checks these, so that the kernel need not */
  const ctn_str checks[] = {STR("x.dtype == y.dtype"), STR("x.shape == y.shape")};
  const ctn_op_def def = {.size = sizeof(ctn_op_def),
                          .name = STR("example.add"),
                          .doc = STR("The sum of two arrays of one shape."),
                          .n_in = 2,
                          .n_out = 1,
                          .n_checks = 2,
                          .in = in,
                          .out = out,
                          .checks = checks,
                          .infer = add_infer,
                          .backward = add_backward};
  return host->add_op(plugin, &def);
}

static ctn_status add_kernel(const ctn_host* host, ctn_plugin plugin) {
  const ctn_dtype float32 = {CTN_DT_FLOAT, 32, 1};
  const ctn_kernel_def def = {.size = sizeof(ctn_kernel_def),
                              .op = STR("example.add"),
                              .backend = STR("example"),
                              .n_dtypes = 1,
                              .dtypes = &float32,
                              .supports = add_supports,
                              .run = add_run};
  return host->add_kernel(plugin, &def);
}

const ctn_plugin_info* CTN_CALL CTN_PLUGIN_QUERY(example)(uint32_t host_abi) {
  static const ctn_plugin_info info = {.size = sizeof(ctn_plugin_info),
                                       .abi_built = CTN_ABI_VERSION,
                                       .abi_min = CTN_ABI_VERSION,
                                       .version = 0x000100, /* 0.1.0 */
                                       .name = STR("example"),
                                       .kind = STR("mixed"),
                                       .license = STR("MIT")};
  (void)host_abi;
  return &info;
}

ctn_status CTN_CALL CTN_PLUGIN_INIT(example)(const ctn_host* host, ctn_plugin self) {
  ctn_status status;
  g_host = host;
  status = add_backend(host, self);
  if (status == CTN_OK) status = add_op(host, self);
  if (status == CTN_OK) status = add_kernel(host, self);
  return status;
}
