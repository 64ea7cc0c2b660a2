/* An embedding program, built with plain cc and pkg-config from an installed tree: loads the plugin
 * whose path it is given, calls its op on real numbers and takes the derivative. Exit status 0 when
 * all came out right; says what did not. */
#include <catena/catena.h>
#include <stdio.h>
#include <string.h>

static int failed(const char* what) {
  printf("%s: %s\n", what, ctn_error_message());
  return 1;
}

static int equal(ctn_variable v, const float* expected, size_t bytes) {
  float got[3];
  ctn_array a;
  if (ctn_variable_array(v, &a) != CTN_OK) return 0;
  const ctn_status status = ctn_array_to_host(a, got, bytes);
  ctn_array_release(a);
  return status == CTN_OK && memcmp(got, expected, bytes) == 0;
}

static int run(ctn_context ctx) {
  const float data[3] = {1.0f, 2.0f, -3.0f};
  const float cubes[3] = {1.0f, 8.0f, -27.0f};
  const float slopes[3] = {3.0f, 12.0f, 27.0f};
  const float ones[3] = {1.0f, 1.0f, 1.0f};
  const ctn_dtype float32 = {CTN_DT_FLOAT, 32, 1};
  const int64_t shape[1] = {3};
  const ctn_str op = {"example.cube", 12};
  ctn_array a = NULL, b = NULL;
  ctn_variable x = NULL, y = NULL, gy = NULL, gx = NULL;
  int bad = 0;
  if (ctn_array_from_host(ctx, float32, 1, shape, data, &a) != CTN_OK ||
      ctn_array_from_host(ctx, float32, 1, shape, ones, &b) != CTN_OK ||
      ctn_variable_new(a, 1, &x) != CTN_OK || ctn_variable_new(b, 0, &gy) != CTN_OK ||
      ctn_call_named(ctx, op, &x, 1, NULL, 0, &y, 1) != CTN_OK ||
      ctn_variable_set_grad(y, gy) != CTN_OK || ctn_variable_backward(y, NULL) != CTN_OK ||
      ctn_variable_grad(x, &gx) != CTN_OK) {
    bad = failed("the call");
  } else if (!equal(y, cubes, sizeof cubes)) {
    bad = failed("the value");
  } else if (!equal(gx, slopes, sizeof slopes)) {
    bad = failed("the derivative");
  }
  ctn_array_release(a);
  ctn_array_release(b);
  ctn_variable_release(x);
  ctn_variable_release(y);
  ctn_variable_release(gy);
  ctn_variable_release(gx);
  return bad;
}

int main(int argc, char** argv) {
  ctn_context ctx;
  int bad;
  if (argc != 2) return 2;
  if (ctn_abi_version() != CTN_ABI_VERSION) return failed("the ABI version");
  const ctn_str path = {argv[1], strlen(argv[1])};
  if (ctn_plugin_load(path) != CTN_OK) return failed("loading the plugin");
  if (ctn_context_create(NULL, &ctx) != CTN_OK) return failed("the context");
  bad = run(ctx);
  ctn_context_release(ctx);
  return bad;
}
