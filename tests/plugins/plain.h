/* plain.h: what the test plugins share: texts, an info with the right answers, an op that is fine.
 */
#ifndef CATENA_TESTS_PLAIN_H
#define CATENA_TESTS_PLAIN_H

#include <catena/plugin.h>
#include <string.h>

static inline ctn_str text(const char* s) {
  ctn_str out = {s, strlen(s)};
  return out;
}

#define TEXT(literal) \
  { literal, sizeof(literal) - 1 }
#define PLAIN_INFO(plugin_name)                                                              \
  {                                                                                          \
    sizeof(ctn_plugin_info), CTN_ABI_VERSION, CTN_ABI_VERSION, 0x010203u, TEXT(plugin_name), \
        TEXT("mixed"), TEXT("MIT")                                                           \
  }

static inline ctn_status plain_infer(void* self, const ctn_call_info* call, ctn_out_spec* out) {
  (void)self, (void)call, (void)out;
  return CTN_OK;
}

/* Registers op `name` with one input; everything is on the stack. */
static inline ctn_status add_plain_op(const ctn_host* host, ctn_plugin p, const char* name) {
  ctn_input_def in = {TEXT("x"), TEXT("f"), 0, 0};
  ctn_output_def out = {TEXT("y"), TEXT("=x"), 0, 0};
  ctn_op_def def;
  memset(&def, 0, sizeof def);
  def.size = sizeof def;
  def.flags = CTN_OP_NODIFF;
  def.name = text(name);
  def.n_in = 1;
  def.n_out = 1;
  def.in = &in;
  def.out = &out;
  def.infer = plain_infer;
  return host->add_op(p, &def);
}

#endif
