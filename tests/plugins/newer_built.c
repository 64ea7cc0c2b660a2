/* Built on a later minor, content with this one: it must load. */
#include "plain.h"

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi) {
  static ctn_plugin_info info = PLAIN_INFO("newer_built");
  info.abi_built = host_abi + 7;
  return &info;
}

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self) {
  return add_plain_op(host, self, "newer_built.op");
}
