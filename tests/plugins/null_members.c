/* Every add_ function gets NULL, empty and half-filled definitions; each must answer CTN_EINVAL and
 * add nothing. An answer of another kind fails the init. */
#include "plain.h"

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t host_abi) {
  static const ctn_plugin_info info = PLAIN_INFO("null_members");
  (void)host_abi;
  return &info;
}

static int wrong; /* answers that were not CTN_EINVAL */

static void expect_refusal(ctn_status status) { wrong += status != CTN_EINVAL; }

/* NULL; a struct of zeros; one of the right size, otherwise empty. */
#define TRY_EMPTY(Def, add)       \
  do {                            \
    Def def;                      \
    memset(&def, 0, sizeof def);  \
    expect_refusal(add(p, NULL)); \
    expect_refusal(add(p, &def)); \
    def.size = sizeof def;        \
    expect_refusal(add(p, &def)); \
    def.name = text("some_name"); \
    expect_refusal(add(p, &def)); \
    def.name.p = NULL;            \
    expect_refusal(add(p, &def)); \
  } while (0)

static void try_arrays(const ctn_host* host, ctn_plugin p) {
  ctn_op_def def;
  memset(&def, 0, sizeof def);
  def.size = sizeof def;
  def.flags = CTN_OP_NODIFF;
  def.name = text("null_members.op");
  def.infer = plain_infer;
  def.n_in = 3;
  expect_refusal(host->add_op(p, &def));
  def.n_in = 0;
  def.n_out = 3;
  expect_refusal(host->add_op(p, &def));
  ctn_output_def out = {TEXT("y"), TEXT("float32"), 0, 0};
  def.out = &out;
  def.n_out = 1;
  def.n_attrs = 3;
  expect_refusal(host->add_op(p, &def));
  def.n_attrs = 0;
  def.n_checks = 3;
  expect_refusal(host->add_op(p, &def));
  def.n_checks = -1;
  expect_refusal(host->add_op(p, &def));
}

static void try_kernel(const ctn_host* host, ctn_plugin p) {
  ctn_kernel_def def;
  memset(&def, 0, sizeof def);
  expect_refusal(host->add_kernel(p, NULL));
  expect_refusal(host->add_kernel(p, &def));
  def.size = sizeof def;
  expect_refusal(host->add_kernel(p, &def));
  def.op = text("some_op");
  def.backend = text("some_backend");
  expect_refusal(host->add_kernel(p, &def));
}

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin p) {
  expect_refusal(add_plain_op(host, NULL, "null_members.op"));
  TRY_EMPTY(ctn_op_def, host->add_op);
  TRY_EMPTY(ctn_backend_def, host->add_backend);
  TRY_EMPTY(ctn_link_def, host->add_link);
  TRY_EMPTY(ctn_optimizer_def, host->add_optimizer);
  TRY_EMPTY(ctn_hook_def, host->add_hook);
  TRY_EMPTY(ctn_initializer_def, host->add_initializer);
  try_arrays(host, p);
  try_kernel(host, p);
  if (wrong == 0) return CTN_OK;
  return host->fail(CTN_EINTERNAL, NULL, 0, text("something half-filled was not refused"));
}
