/* It exports one of the two symbols. */
#include "plain.h"

CTN_EXPORT const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi) {
  static const ctn_plugin_info info = PLAIN_INFO("no_init");
  (void)host_abi;
  return &info;
}
