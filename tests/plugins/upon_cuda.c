/* A backend on top of cuda with nothing of its own: its arrays have device ids from CTN_DEV_NEXT
 * on, and kernels that it inherits meet them. */
#include "plain.h"

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi) {
  static const ctn_plugin_info info = PLAIN_INFO("upon_cuda");
  (void)host_abi;
  return &info;
}

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self) {
  ctn_backend_def def;
  memset(&def, 0, sizeof def);
  def.size = sizeof def;
  def.name = text("upon_cuda");
  def.parent = text("cuda");
  return host->add_backend(self, &def);
}
