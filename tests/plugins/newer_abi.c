/* It needs a later minor of this runtime's ABI. */
#include "plain.h"

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi) {
  static ctn_plugin_info info = PLAIN_INFO("newer_abi");
  info.abi_built = host_abi + 7;
  info.abi_min = host_abi + 1;
  return &info;
}

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self) {
  return add_plain_op(host, self, "newer_abi.op");
}
