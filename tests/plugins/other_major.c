/* Built for another major. */
#include "plain.h"

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi) {
  static ctn_plugin_info info = PLAIN_INFO("other_major");
  (void)host_abi;
  info.abi_built = info.abi_min = 9u << 16;
  return &info;
}

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self) {
  return add_plain_op(host, self, "other_major.op");
}
