/* Its init returns a status that does not exist. */
#include "plain.h"

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi) {
  static const ctn_plugin_info info = PLAIN_INFO("unknown_code");
  (void)host_abi;
  return &info;
}

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self) {
  const ctn_status status = add_plain_op(host, self, "unknown_code.op");
  return status == CTN_OK ? 99 : status;
}
