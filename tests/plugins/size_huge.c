/* Its info says size 4294967280. */
#include "plain.h"

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi) {
  static ctn_plugin_info info = PLAIN_INFO("size_huge");
  (void)host_abi;
  info.size = 0xfffffff0u;
  return &info;
}

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self) {
  return add_plain_op(host, self, "size_huge.op");
}
