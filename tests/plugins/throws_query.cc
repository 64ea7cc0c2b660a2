// Throws an int from ctn_plugin_query.
#include <catena/plugin.h>

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t) { throw 1; }

ctn_status CTN_CALL ctn_plugin_init(const ctn_host*, ctn_plugin) { return CTN_OK; }
