/* Trains a small network to tell whether a point lies in a circle, on points it draws itself. */
#include <catena/catena.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS = 500, STEPS = 1000 };

static void ok(ctn_status status) {
  if (status == CTN_OK) return;
  fprintf(stderr, "mlp: %s\n", ctn_error_message());
  exit(1);
}

static ctn_str str(const char* text) { return (ctn_str){text, strlen(text)}; }

/* A link of a class, from the arguments of its constructor. */
static ctn_link make(ctn_context ctx, const char* name, const ctn_value* args, int n) {
  ctn_link link;
  ok(ctn_link_create(ctx, str(name), args, n, &link));
  return link;
}

static ctn_link linear(ctn_context ctx, int in, int out) {
  const ctn_value args[] = {{.kind = CTN_INT, .u.i = in}, {.kind = CTN_INT, .u.i = out}};
  return make(ctx, "Linear", args, 2);
}

/* Linear, tanh, Linear; then softmax cross entropy. It keeps its parts. */
static ctn_link make_model(ctn_context ctx) {
  ctn_link l1 = linear(ctx, 2, 32), l2 = linear(ctx, 32, 2);
  const ctn_value layers[] = {{.kind = CTN_LINK, .u.link = l1},
                              {.kind = CTN_STR, .n = 4, .u.s = "tanh"},
                              {.kind = CTN_LINK, .u.link = l2}};
  const ctn_value list = {.kind = CTN_LIST, .n = 3, .u.list = layers};
  ctn_link mlp = make(ctx, "Sequential", &list, 1);
  const ctn_value predictor = {.kind = CTN_LINK, .u.link = mlp};
  ctn_link model = make(ctx, "Classifier", &predictor, 1);
  ctn_link_release(l1);
  ctn_link_release(l2);
  ctn_link_release(mlp);
  return model;
}

static ctn_variable constant(ctn_context ctx, ctn_dtype dtype, int ndim, const void* data) {
  const int64_t shape[] = {POINTS, 2};
  ctn_array array;
  ctn_variable variable;
  ok(ctn_array_from_host(ctx, dtype, ndim, shape, data, &array));
  ok(ctn_variable_new(array, 0, &variable));
  ctn_array_release(array);
  return variable;
}

static float value_of(ctn_variable scalar) {
  ctn_array array;
  float value;
  ok(ctn_variable_array(scalar, &array));
  ok(ctn_array_to_host(array, &value, sizeof value));
  ctn_array_release(array);
  return value;
}

int main(void) {
  float points[POINTS][2];
  int32_t inside[POINTS];
  for (int i = 0; i < POINTS; ++i) {
    for (int k = 0; k < 2; ++k) points[i][k] = 2.0f * (float)rand() / (float)RAND_MAX - 1.0f;
    inside[i] = points[i][0] * points[i][0] + points[i][1] * points[i][1] < 0.5f;
  }

  ctn_context ctx;
  ok(ctn_context_create(NULL, &ctx));
  ctn_variable data[] = {constant(ctx, (ctn_dtype){CTN_DT_FLOAT, 32, 1}, 2, points),
                         constant(ctx, (ctn_dtype){CTN_DT_INT, 32, 1}, 1, inside)};
  ctn_link model = make_model(ctx);
  ctn_optimizer optimizer;
  ok(ctn_optimizer_create(ctx, str("Adam"), NULL, 0, &optimizer));
  ok(ctn_optimizer_setup(optimizer, model));

  for (int step = 0; step <= STEPS; ++step) {
    ctn_variable loss;
    ok(ctn_link_call(model, data, 2, &loss, 1));
    ok(ctn_link_clear_grads(model));
    ok(ctn_variable_backward(loss, NULL));
    ok(ctn_optimizer_update(optimizer));
    if (step % 200 == 0) printf("step %4d: loss %.4f\n", step, (double)value_of(loss));
    ctn_variable_release(loss);
  }

  ctn_optimizer_release(optimizer);
  ctn_link_release(model);
  ctn_variable_release(data[0]);
  ctn_variable_release(data[1]);
  ctn_context_release(ctx);
  return 0;
}
