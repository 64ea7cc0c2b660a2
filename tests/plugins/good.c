/* A plugin that does everything right: one op, found by its own init, and what the loader refuses
 * from inside an init. A second registration through a kept handle is tried by the op's callback.
 */
#include "plain.h"

static const ctn_host* kept_host;
static ctn_plugin kept_handle;

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi) {
  static const ctn_plugin_info info = PLAIN_INFO("good");
  (void)host_abi;
  return &info;
}

static ctn_status late(void* self, const ctn_call_info* call, const ctn_variable* in,
                       ctn_variable* out) {
  (void)self, (void)call, (void)in, (void)out;
  return add_plain_op(kept_host, kept_handle, "good.late");
}

static ctn_status check_inside(const ctn_host* host) {
  int32_t id = -1;
  ctn_status status = host->api->op_find(text("good.op"), &id);
  if (status != CTN_OK) return status;
  if (host->api->plugin_load(text("/nowhere/libx.so")) != CTN_EINVAL ||
      strstr(host->api->error_message(), "initialisation") == NULL) {
    return host->fail(CTN_EINTERNAL, NULL, 0, text("a plugin was loaded from inside an init"));
  }
  ctn_str report;
  return host->api->plugin_report(&report);
}

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self) {
  kept_host = host;
  kept_handle = self;
  ctn_status status = add_plain_op(host, self, "good.op");
  if (status != CTN_OK) return status;
  ctn_output_def out = {TEXT("y"), TEXT(""), 0, 0};
  ctn_op_def def;
  memset(&def, 0, sizeof def);
  def.size = sizeof def;
  def.name = text("good.tries_late");
  def.n_out = 1;
  def.out = &out;
  def.compose = late;
  status = host->add_op(self, &def);
  return status != CTN_OK ? status : check_inside(host);
}
