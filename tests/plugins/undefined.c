/* It needs a function that nobody has: RTLD_NOW finds that out at once. */
#include "plain.h"

ctn_status function_that_nobody_has(void);

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi) {
  static const ctn_plugin_info info = PLAIN_INFO("undefined");
  (void)host_abi;
  return &info;
}

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self) {
  (void)host, (void)self;
  return function_that_nobody_has();
}
