/* Its info says size 0. */
#include "plain.h"

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi) {
  static ctn_plugin_info info = PLAIN_INFO("size_zero");
  (void)host_abi;
  info.size = 0;
  return &info;
}

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self) {
  return add_plain_op(host, self, "size_zero.op");
}
