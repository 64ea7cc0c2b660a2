/* An op from outside, in one row: the text says what it computes, and with it come every backend,
 * gradients of any order and every language's interface. It needs an installed Catena alone.
 *
 *   cc -std=c11 -O2 -fPIC -shared cube.c $(pkg-config --cflags catena) -o libcatena_cube.so */
#include <catena/plugin.h>

#define STR(text) \
  { text, sizeof(text) - 1 }

const ctn_plugin_info* CTN_CALL CTN_PLUGIN_QUERY(cube)(uint32_t host_abi) {
  static const ctn_plugin_info info = {.size = sizeof(ctn_plugin_info),
                                       .abi_built = CTN_ABI_VERSION,
                                       .abi_min = CTN_ABI_VERSION,
                                       .version = 0x000100, /* 0.1.0 */
                                       .name = STR("cube"),
                                       .kind = STR("ops"),
                                       .license = STR("MIT")};
  (void)host_abi;
  return &info;
}

ctn_status CTN_CALL CTN_PLUGIN_INIT(cube)(const ctn_host* host, ctn_plugin self) {
  const ctn_input_def in[] = {{.name = STR("x"), .type = STR("f")}};
  const ctn_output_def out[] = {{.name = STR("y"), .type = STR("=x")}};
  const ctn_op_def def = {.size = sizeof(ctn_op_def),
                          .name = STR("example.cube"),
                          .doc = STR("x * x * x."),
                          .n_in = 1,
                          .n_out = 1,
                          .in = in,
                          .out = out,
                          .map = STR("y = x * x * x")};
  return host->add_op(self, &def);
}
