// The smallest op plugin: two entry points around the table made of toy.toml.
#include "toy_table.h"

namespace {

constexpr ctn_plugin_info kInfo = {.size = sizeof(ctn_plugin_info),
                                   .abi_built = CTN_ABI_VERSION,
                                   .abi_min = CTN_ABI_VERSION,
                                   .version = 0x000100,
                                   .name = {"toy", 3},
                                   .kind = {"ops", 3},
                                   .license = {"MIT", 3}};

}  // namespace

const ctn_plugin_info* CTN_CALL CTN_PLUGIN_QUERY(toy)(uint32_t) { return &kInfo; }

ctn_status CTN_CALL CTN_PLUGIN_INIT(toy)(const ctn_host* host, ctn_plugin self) {
  catena::sdk::host = host;
  return catena::toy::register_schemas(self);
}
