/* Runs on the backend of plugins/examples, which it is given by CATENA_PLUGIN_PATH alone: its own
 * kernel with a gradient, an op that was never told of it, and what it declines. Exit status 0 when
 * all came out right; says what did not. */
#include <catena/catena.h>
#include <stdio.h>
#include <string.h>

#define STR(text) \
  { text, sizeof(text) - 1 }

static int failed(const char* what) {
  printf("%s: %s\n", what, ctn_error_message());
  return 1;
}

static ctn_variable variable(ctn_context ctx, ctn_dtype dtype, const void* data) {
  const int64_t shape[1] = {3};
  ctn_array a = NULL;
  ctn_variable v = NULL;
  if (ctn_array_from_host(ctx, dtype, 1, shape, data, &a) != CTN_OK) return NULL;
  if (ctn_variable_new(a, 1, &v) != CTN_OK) v = NULL;
  ctn_array_release(a);
  return v;
}

static int equal(ctn_variable v, float a, float b, float c) {
  const float expected[3] = {a, b, c};
  float got[3] = {0, 0, 0};
  ctn_array array = NULL;
  ctn_status status;
  if (v == NULL || ctn_variable_array(v, &array) != CTN_OK) return 0;
  status = ctn_array_to_host(array, got, sizeof got);
  ctn_array_release(array);
  return status == CTN_OK && memcmp(got, expected, sizeof got) == 0;
}

static int run(ctn_context ctx) {
  static const float one[3] = {1, -2, 3}, two[3] = {10, 20, 30};
  static const double wide[3] = {1, 2, 3};
  const ctn_dtype float32 = {CTN_DT_FLOAT, 32, 1}, float64 = {CTN_DT_FLOAT, 64, 1};
  const ctn_str add = STR("example.add"), relu = STR("relu"), sum = STR("sum");
  ctn_variable in[2], z = NULL, y = NULL, total = NULL, gx = NULL, none = NULL;
  int bad = 0;
  in[0] = variable(ctx, float32, one);
  in[1] = variable(ctx, float32, two);
  if (!in[0] || !in[1] || ctn_call_named(ctx, add, in, 2, NULL, 0, &z, 1) != CTN_OK ||
      ctn_call_named(ctx, relu, in, 1, NULL, 0, &y, 1) != CTN_OK) {
    bad = failed("the calls");
  } else if (!equal(z, 11, 18, 33) || !equal(y, 1, 0, 3)) {
    bad = failed("the values");
  } else if (ctn_call_named(ctx, sum, &z, 1, NULL, 0, &total, 1) != CTN_OK ||
             ctn_variable_backward(total, NULL) != CTN_OK ||
             ctn_variable_grad(in[1], &gx) != CTN_OK || !equal(gx, 1, 1, 1)) {
    bad = failed("the gradient");
  }
  ctn_variable_release(in[0]);
  ctn_variable_release(in[1]);
  in[0] = in[1] = variable(ctx, float64, wide);
  if (!bad && ctn_call_named(ctx, add, in, 2, NULL, 0, &none, 1) != CTN_EUNSUPPORTED)
    bad = failed("float64, for which there is no kernel");
  ctn_variable_release(in[0]);
  ctn_variable_release(z);
  ctn_variable_release(y);
  ctn_variable_release(total);
  ctn_variable_release(gx);
  return bad;
}

int main(void) {
  ctn_context_options options = {.size = sizeof(ctn_context_options), .device = STR("example:1")};
  ctn_context ctx = NULL;
  ctn_memory_stats stats = {.size = sizeof(ctn_memory_stats)};
  int bad;
  if (ctn_context_create(&options, &ctx) != CTN_OK) return failed("the context");
  bad = run(ctx);
  if (!bad && (ctn_memory_get_stats(ctx, &stats) != CTN_OK || stats.used != 0))
    bad = failed("memory that is left");
  ctn_context_release(ctx);
  return bad;
}
