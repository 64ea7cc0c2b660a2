/* A stranger's plugin, built with plain cc from the installed header: one elementwise op, one row.
 * It may know nothing but <catena/plugin.h>. */
#include <catena/plugin.h>

#define STR(text) \
  { text, sizeof(text) - 1 }

static const ctn_plugin_info kInfo = {.size = sizeof(ctn_plugin_info),
                                      .abi_built = CTN_ABI_VERSION,
                                      .abi_min = CTN_ABI_VERSION,
                                      .version = 1,
                                      .name = STR("stranger"),
                                      .kind = STR("ops"),
                                      .license = STR("MIT")};

const ctn_plugin_info* CTN_CALL CTN_PLUGIN_QUERY(stranger)(uint32_t host_abi) {
  (void)host_abi;
  return &kInfo;
}

ctn_status CTN_CALL CTN_PLUGIN_INIT(stranger)(const ctn_host* host, ctn_plugin self) {
  const ctn_input_def in[] = {{.name = STR("x"), .type = STR("f")}};
  const ctn_output_def out[] = {{.name = STR("y"), .type = STR("=x")}};
  const ctn_op_def def = {.size = sizeof(ctn_op_def),
                          .name = STR("stranger.cube"),
                          .doc = STR("x * x * x."),
                          .n_in = 1,
                          .n_out = 1,
                          .in = in,
                          .out = out,
                          .map = STR("y = x * x * x")};
  return host->add_op(self, &def);
}
