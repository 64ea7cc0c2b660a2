/* It registers one op twice and passes the answer on. */
#include "plain.h"

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi) {
  static const ctn_plugin_info info = PLAIN_INFO("twice");
  (void)host_abi;
  return &info;
}

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self) {
  const ctn_status status = add_plain_op(host, self, "twice.op");
  return status == CTN_OK ? add_plain_op(host, self, "twice.op") : status;
}
