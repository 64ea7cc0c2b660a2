/* The interface from C11 alone, as an embedding program uses it: allocator and log of its own, a
 * chain whose forward pass is a C function, training, an optimizer hook, a function hook, an export
 * by DLPack; and not a byte left at the end. Says what went wrong, exits with 0 when nothing did.
 */
#include <catena/catena.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

static void expect(int good, const char* what) {
  if (good) return;
  ++failures;
  printf("FAILED: %s (%s)\n", what, ctn_error_message());
}
#define EXPECT(condition) expect((condition), #condition)
#define EXPECT_OK(call) expect((call) == CTN_OK, #call)

static ctn_str text(const char* s) { return (ctn_str){.p = s, .n = strlen(s)}; }

/* ---- what the host brings */

typedef struct host {
  int64_t bytes;
  int warnings, forwards, updates, ops, dropped;
} host;

static void* CTN_CALL host_alloc(void* user, uint64_t bytes, uint64_t align) {
  ((host*)user)->bytes += (int64_t)bytes;
  return aligned_alloc(align, (bytes + align - 1) / align * align);
}
static void CTN_CALL host_free(void* user, void* p, uint64_t bytes, uint64_t align) {
  (void)align;
  ((host*)user)->bytes -= (int64_t)bytes;
  free(p);
}
static void CTN_CALL host_log(void* user, int32_t level, ctn_str topic, ctn_str line) {
  (void)topic;
  (void)line;
  if (level <= CTN_LOG_WARN) ++((host*)user)->warnings;
}
static void CTN_CALL count_drop(void* user) { ++((host*)user)->dropped; }

/* ---- a model: y = l1(x), in a chain that is called like a link */

typedef struct model {
  host* owner;
  ctn_link l1;
} model;

static ctn_status CTN_CALL model_call(void* user, const ctn_variable* in, int32_t n_in,
                                      ctn_variable* out, int32_t n_out) {
  model* m = user;
  ++m->owner->forwards;
  return ctn_link_call(m->l1, in, n_in, out, n_out);
}
static void CTN_CALL model_drop(void* user) {
  model* m = user;
  ctn_link_release(m->l1);
  count_drop(m->owner);
}

static ctn_status CTN_CALL count_update(void* user, const ctn_variable* in, int32_t n_in,
                                        ctn_variable* out, int32_t n_out) {
  (void)in;
  (void)out;
  if (n_in != 2 || n_out != 0) return CTN_EINVAL; /* W and b */
  ++((host*)user)->updates;
  return CTN_OK;
}
static void CTN_CALL count_op(void* user, int32_t when, int32_t op, const ctn_variable* values,
                              int32_t n) {
  (void)op;
  (void)values;
  if (when == CTN_HOOK_FORWARD_PRE && n > 0) ++((host*)user)->ops;
}

static ctn_link make_model(ctn_context ctx, model* m) {
  const ctn_attr attrs[] = {
      {.name = text("out_size"), .value = {.kind = CTN_INT, .u.i = 1}},
      {.name = text("in_size"), .value = {.kind = CTN_INT, .u.i = 2}},
  };
  const ctn_callback forward = {.user = m, .call = model_call, .drop = model_drop};
  ctn_link chain = NULL;
  EXPECT_OK(ctn_link_create_named(ctx, text("Linear"), attrs, 2, &m->l1));
  EXPECT_OK(ctn_chain_create(ctx, &forward, 1, &chain));
  EXPECT_OK(ctn_link_add_child(chain, text("l1"), m->l1));
  return chain;
}

static ctn_variable leaf(ctn_context ctx, const float* data, int64_t rows, int64_t columns) {
  const ctn_dtype float32 = {.code = CTN_DT_FLOAT, .bits = 32, .lanes = 1};
  const int64_t shape[] = {rows, columns};
  ctn_array a = NULL;
  ctn_variable v = NULL;
  EXPECT_OK(ctn_array_from_host(ctx, float32, 2, shape, data, &a));
  EXPECT_OK(ctn_variable_new(a, 0, &v));
  ctn_array_release(a);
  return v;
}

/* ---- training: t = 2 x0 - 3 x1 + 0.5 */

static float step(ctn_context ctx, ctn_link chain, ctn_optimizer adam, ctn_variable x,
                  ctn_variable t) {
  ctn_variable y = NULL, loss = NULL;
  ctn_array value = NULL;
  float now = NAN;
  EXPECT_OK(ctn_link_call(chain, &x, 1, &y, 1));
  const ctn_variable pair[] = {y, t};
  EXPECT_OK(ctn_call_named(ctx, text("mean_squared_error"), pair, 2, NULL, 0, &loss, 1));
  EXPECT_OK(ctn_link_clear_grads(chain));
  EXPECT_OK(ctn_variable_backward(loss, NULL));
  EXPECT_OK(ctn_optimizer_update(adam));
  EXPECT_OK(ctn_variable_array(loss, &value));
  EXPECT_OK(ctn_array_to_host(value, &now, sizeof now));
  ctn_array_release(value);
  ctn_variable_release(loss);
  ctn_variable_release(y);
  return now;
}

static float train(ctn_context ctx, ctn_link chain, ctn_optimizer adam, int steps) {
  enum { kRows = 8 };
  float x[2 * kRows], t[kRows], loss = NAN;
  for (int i = 0; i < kRows; ++i) {
    x[2 * i] = (float)(i % 3) - 1;
    x[2 * i + 1] = (float)(i % 5) / 2 - 1;
    t[i] = 2 * x[2 * i] - 3 * x[2 * i + 1] + 0.5f;
  }
  ctn_variable inputs = leaf(ctx, x, kRows, 2), targets = leaf(ctx, t, kRows, 1);
  for (int i = 0; i < steps; ++i) loss = step(ctx, chain, adam, inputs, targets);
  ctn_variable_release(inputs);
  ctn_variable_release(targets);
  return loss;
}

/* The weights by DLPack: what a consumer of another library would read. */
static void check_weights(ctn_link chain) {
  ctn_variable w = NULL;
  ctn_array a = NULL;
  ctn_dlpack* t = NULL;
  EXPECT_OK(ctn_link_param(chain, text("l1/W"), &w));
  EXPECT_OK(ctn_variable_array(w, &a));
  EXPECT_OK(ctn_array_to_dlpack(a, &t));
  ctn_array_release(a);
  ctn_variable_release(w);
  if (!t) return;
  const float* data = (const float*)((const char*)t->dl_tensor.data + t->dl_tensor.byte_offset);
  EXPECT(t->dl_tensor.ndim == 2 && t->dl_tensor.shape[0] == 1 && t->dl_tensor.shape[1] == 2);
  EXPECT(fabsf(data[0] - 2) < 0.01f && fabsf(data[t->dl_tensor.strides[1]] + 3) < 0.01f);
  t->deleter(t);
}

static void run(ctn_context ctx, host* h) {
  enum { kSteps = 800 };
  model m = {.owner = h};
  ctn_link chain = make_model(ctx, &m), target = NULL;
  ctn_optimizer adam = NULL;
  uint64_t hook = 0;
  const ctn_attr rate = {.name = text("alpha"), .value = {.kind = CTN_FLOAT, .u.f = 0.05}};
  const ctn_callback each = {.user = h, .call = count_update, .drop = count_drop};
  const ctn_function_hook spy = {.size = sizeof spy, .user = h, .call = count_op};
  EXPECT_OK(ctn_optimizer_create_named(ctx, text("Adam"), &rate, 1, &adam));
  EXPECT_OK(ctn_optimizer_setup(adam, chain));
  EXPECT_OK(ctn_optimizer_add_callback(adam, text(""), text("count"), CTN_TIMING_PRE, &each));
  EXPECT_OK(ctn_function_hook_add(ctx, &spy, &hook));
  EXPECT(train(ctx, chain, adam, kSteps) < 1e-4f);
  EXPECT_OK(ctn_function_hook_remove(ctx, hook));
  EXPECT(h->forwards == kSteps && h->updates == kSteps && h->ops >= 2 * kSteps);
  check_weights(chain);
  EXPECT_OK(ctn_optimizer_target(adam, &target));
  EXPECT(target == chain);
  EXPECT(h->dropped == 0);
  ctn_link_release(target);
  ctn_link_release(chain);
  ctn_optimizer_release(adam);
  EXPECT(h->dropped == 2);
}

static void before_any_context(void) {
  int32_t op = -1;
  EXPECT(ctn_op_find(text("relu"), &op) == CTN_ENOTFOUND);
  EXPECT(strstr(ctn_error_message(), "are loaded when the first context is made") != NULL);
}

int main(void) {
  before_any_context();
  host h = {0};
  const ctn_allocator memory = {
      .size = sizeof memory, .user = &h, .alloc = host_alloc, .free = host_free};
  const ctn_context_options options = {
      .size = sizeof options,
      .flags = CTN_CONTEXT_NO_ENV,
      .seed = 1,
      .allocator = &memory,
      .log = host_log,
      .log_user = &h,
  };
  ctn_context ctx = NULL;
  EXPECT(ctn_abi_version() == CTN_ABI_VERSION);
  EXPECT_OK(ctn_context_create(&options, &ctx));
  if (ctx) run(ctx, &h);
  ctn_context_release(ctx);
  EXPECT(h.bytes == 0);
  EXPECT(h.warnings == 0);
  printf("%d passed, %d failed, 0 skipped\n", failures == 0, failures != 0);
  return failures != 0;
}
