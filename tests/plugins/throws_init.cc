// Registers an op, then throws an int from ctn_plugin_init.
#include "plain.h"

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t) {
  static const ctn_plugin_info info = PLAIN_INFO("throws_init");
  return &info;
}

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self) {
  const ctn_status status = add_plain_op(host, self, "throws_init.op");
  if (status != CTN_OK) return status;
  throw 1;
}
