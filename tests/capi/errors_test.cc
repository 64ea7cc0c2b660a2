// Every function that takes a handle, an output or a count, called without it: the code, the text
// that names function and argument, and nothing written. And how errors are kept for a thread.
#include <cstring>
#include <thread>

#include "support.h"

using namespace capi_test;

namespace {

// Everything a function may write to. Filled with a pattern that must still be there afterwards.
struct Place {
  ctn_context c;
  ctn_array a;
  ctn_variable v;
  ctn_link l;
  ctn_optimizer o;
  ctn_kernel k;
  ctn_dlpack* d;
  ctn_dltensor t;
  ctn_value value;
  ctn_str s;
  ctn_device dev;
  void* stream;
  int64_t w;
  uint64_t u;
  double f;
  int32_t i;
  float memory[4];
};

// What calls are made with.
struct Given {
  Ctx ctx = context(), other = context();
  Arr a = array<float>(ctx, {1, 2}), alien = array<float>(other, {1, 2});
  Var v = variable(a), plain = variable(a), foreign = variable(alien);
  Net link, child, stranger;
  Opt opt, bare;
  Ker kernel;

  Given() {
    REQUIRE_OK(ctn_chain_create(ctx, nullptr, 0, link.out()));
    REQUIRE_OK(ctn_chain_create(ctx, nullptr, 0, child.out()));
    REQUIRE_OK(ctn_chain_create(other, nullptr, 0, stranger.out()));
    REQUIRE_OK(ctn_link_add_param(link, str("W"), v));
    REQUIRE_OK(ctn_link_add_param(stranger, str("W"), foreign));
    REQUIRE_OK(ctn_link_add_persistent(link, str("mean"), a));
    REQUIRE_OK(ctn_link_add_child(link, str("l1"), child));
    REQUIRE_OK(ctn_optimizer_create(ctx, str("SGD"), nullptr, 0, opt.out()));
    REQUIRE_OK(ctn_optimizer_create(ctx, str("SGD"), nullptr, 0, bare.out()));
    REQUIRE_OK(ctn_optimizer_setup(opt, link));
    ctn_kernel_source source{};
    source.size = sizeof source;
    source.in = str("T x");
    source.out = str("T y");
    source.map = str("y = x");
    REQUIRE_OK(ctn_kernel_create(ctx, &source, kernel.out()));
  }
};

struct Row {
  const char* text;
  ctn_status (*call)(const Given& g, Place& p);
  ctn_status code = CTN_EINVAL;
};

void check_rows(std::initializer_list<Row> rows) {
  const Given g;
  Place pattern, p;
  std::memset(static_cast<void*>(&pattern), 0x5a, sizeof pattern);
  for (const Row& row : rows) {
    INFO(std::string(row.text));
    std::memcpy(static_cast<void*>(&p), &pattern, sizeof p);
    const uint64_t before = used(g.ctx);
    CHECK_FAILS(row.call(g, p), row.code, row.text);
    CHECK(ctn_error_code() == row.code);
    CHECK(std::memcmp(&p, &pattern, sizeof p) == 0);
    CHECK(used(g.ctx) == before);
  }
  CHECK(values(g.v) == Floats{1, 2});
  CHECK(grad(g.v).empty());
}

#define ROW(text, ...)                                                \
  {                                                                   \
    text, [](const Given& g, Place& p) {                              \
      return static_cast<void>(g), static_cast<void>(p), __VA_ARGS__; \
    }                                                                 \
  }
#define ROW_CODE(code, text, ...)                                         \
  {                                                                       \
    text,                                                                 \
        [](const Given& g, Place& p) {                                    \
          return static_cast<void>(g), static_cast<void>(p), __VA_ARGS__; \
        },                                                                \
        code                                                              \
  }

const int64_t kOne[] = {1};
const ctn_value kNumber = of(1.0);
const ctn_str kName = str("x");

ctn_status CTN_CALL no_visit(void*, ctn_str, ctn_variable, ctn_array, ctn_link) { return CTN_OK; }

}  // namespace

TEST_CASE("contexts, arrays and memory: NULL is refused by name") {
  check_rows({
      ROW("ctn_context_device: context is NULL", ctn_context_device(nullptr, &p.dev, &p.s)),
      ROW("ctn_device_find: context is NULL", ctn_device_find(nullptr, str("cpu"), &p.dev)),
      ROW("ctn_device_find: out is NULL", ctn_device_find(g.ctx, str("cpu"), nullptr)),
      ROW("ctn_device_name: context is NULL", ctn_device_name(nullptr, &p.s)),
      ROW("ctn_device_name: out is NULL", ctn_device_name(g.ctx, nullptr)),
      ROW("ctn_device_count: n is NULL", ctn_device_count(g.ctx, str("cpu"), nullptr)),
      ROW("ctn_device_stream: context is NULL",
          ctn_device_stream(nullptr, {CTN_DEV_CPU, 0}, &p.stream)),
      ROW("ctn_device_stream: out is NULL", ctn_device_stream(g.ctx, {CTN_DEV_CPU, 0}, nullptr)),
      ROW("ctn_device_follow: stream is NULL", ctn_device_follow(g.ctx, {CTN_DEV_CPU, 0}, nullptr)),
      ROW("ctn_device_lead: stream is NULL", ctn_device_lead(g.ctx, {CTN_DEV_CPU, 0}, nullptr)),
      ROW("ctn_device_describe: context is NULL",
          ctn_device_describe(nullptr, {CTN_DEV_CPU, 0}, &p.s, &p.s)),
      ROW("ctn_device_get_stats: out is NULL",
          ctn_device_get_stats(g.ctx, {CTN_DEV_CPU, 0}, nullptr)),
      ROW("ctn_synchronize: context is NULL", ctn_synchronize(nullptr)),
      ROW("ctn_config_set_global: context is NULL",
          ctn_config_set_global(nullptr, kName, &kNumber)),
      ROW("ctn_tuning_save: context is NULL", ctn_tuning_save(nullptr, kName)),
      ROW("ctn_tuning_load: context is NULL", ctn_tuning_load(nullptr, kName)),
      ROW("ctn_array_new_on: context is NULL",
          ctn_array_new_on(nullptr, {CTN_DEV_CPU, 0}, kF32, 0, nullptr, &p.a)),
      ROW("ctn_array_new_on: out is NULL",
          ctn_array_new_on(g.ctx, {CTN_DEV_CPU, 0}, kF32, 0, nullptr, nullptr)),
      ROW("ctn_config_set: context is NULL", ctn_config_set(nullptr, kName, &kNumber)),
      ROW("ctn_config_get: context is NULL", ctn_config_get(nullptr, kName, &p.value)),
      ROW("ctn_memory_set_limit: context is NULL", ctn_memory_set_limit(nullptr, 5)),
      ROW("ctn_memory_trim: context is NULL", ctn_memory_trim(nullptr)),
      ROW("ctn_random_seed: context is NULL", ctn_random_seed(nullptr, 5)),
      ROW("ctn_random_draw: context is NULL",
          ctn_random_draw(nullptr, CTN_RANDOM_UNIFORM, &p.f, 1)),
      ROW("ctn_array_new: context is NULL", ctn_array_new(nullptr, kF32, 1, kOne, &p.a)),
      ROW("ctn_array_new: out is NULL", ctn_array_new(g.ctx, kF32, 1, kOne, nullptr)),
      ROW("ctn_array_full: context is NULL",
          ctn_array_full(nullptr, kF32, 1, kOne, &kNumber, &p.a)),
      ROW("ctn_array_full: out is NULL", ctn_array_full(g.ctx, kF32, 1, kOne, &kNumber, nullptr)),
      ROW("ctn_array_full: count of shape is -1",
          ctn_array_full(g.ctx, kF32, -1, kOne, &kNumber, &p.a)),
      ROW("ctn_array_from_host: context is NULL",
          ctn_array_from_host(nullptr, kF32, 1, kOne, &p.f, &p.a)),
      ROW("ctn_array_from_host: out is NULL",
          ctn_array_from_host(g.ctx, kF32, 1, kOne, &p.f, nullptr)),
      ROW("ctn_array_from_host: shape is NULL",
          ctn_array_from_host(g.ctx, kF32, 1, nullptr, &p.f, &p.a)),
      ROW("ctn_array_wrap: view is NULL", ctn_array_wrap(g.ctx, nullptr, nullptr, nullptr, &p.a)),
      ROW("ctn_array_from_dlpack: tensor is NULL", ctn_array_from_dlpack(g.ctx, nullptr, &p.a)),
      ROW("ctn_array_to_dlpack: array is NULL", ctn_array_to_dlpack(nullptr, &p.d)),
      ROW("ctn_array_to_dlpack_stream: stream is NULL",
          ctn_array_to_dlpack_stream(g.a, nullptr, &p.d)),
      ROW("ctn_array_spec: array is NULL", ctn_array_spec(nullptr, &p.t)),
      ROW("ctn_array_spec: out is NULL", ctn_array_spec(g.a, nullptr)),
      ROW("ctn_array_view: array is NULL", ctn_array_view(nullptr, &p.t)),
      ROW("ctn_array_view: out is NULL", ctn_array_view(g.a, nullptr)),
      ROW("ctn_array_to_host: array is NULL", ctn_array_to_host(nullptr, p.memory, 8)),
      ROW("ctn_array_to_host: dst is NULL", ctn_array_to_host(g.a, nullptr, 8)),
      ROW("ctn_array_set: array is NULL", ctn_array_set(nullptr, p.memory, 8)),
      ROW("ctn_array_set: src is NULL", ctn_array_set(g.a, nullptr, 8)),
      ROW("ctn_array_fill: array is NULL", ctn_array_fill(nullptr, &kNumber)),
      ROW("ctn_array_fill: value is NULL", ctn_array_fill(g.a, nullptr)),
      ROW("ctn_array_assign: array is NULL", ctn_array_assign(g.a, nullptr)),
      ROW("cannot assign float32[2] of another context", ctn_array_assign(g.a, g.alien)),
      ROW("ctn_array_copy: array is NULL", ctn_array_copy(nullptr, kF32, &p.a)),
      ROW("ctn_array_copy: out is NULL", ctn_array_copy(g.a, kF32, nullptr)),
      ROW("ctn_array_strided: array is NULL", ctn_array_strided(nullptr, 1, kOne, kOne, 0, &p.a)),
      ROW("ctn_array_strided: out is NULL", ctn_array_strided(g.a, 1, kOne, kOne, 0, nullptr)),
      ROW("ctn_array_reshape: array is NULL", ctn_array_reshape(nullptr, 1, kOne, &p.a)),
      ROW("ctn_array_reshape: out is NULL", ctn_array_reshape(g.a, 1, kOne, nullptr)),
      ROW("ctn_array_to_device: array is NULL",
          ctn_array_to_device(nullptr, {CTN_DEV_CPU, 0}, &p.a)),
      ROW("ctn_array_to_device: out is NULL", ctn_array_to_device(g.a, {CTN_DEV_CPU, 0}, nullptr)),
      ROW_CODE(CTN_EDTYPE, "ctn_array_new: dtype code 9 with 16 bits and 1 lanes",
               ctn_array_new(g.ctx, {9, 16, 1}, 1, kOne, &p.a)),
  });
}

TEST_CASE("variables and kernels: NULL, counts and strangers are refused by name") {
  check_rows({
      ROW("ctn_variable_new: array is NULL", ctn_variable_new(nullptr, 1, &p.v)),
      ROW("ctn_variable_new: out is NULL", ctn_variable_new(g.a, 1, nullptr)),
      ROW("ctn_variable_array: variable is NULL", ctn_variable_array(nullptr, &p.a)),
      ROW("ctn_variable_array: out is NULL", ctn_variable_array(g.v, nullptr)),
      ROW("ctn_variable_spec: variable is NULL", ctn_variable_spec(nullptr, &p.t)),
      ROW("ctn_variable_spec: out is NULL", ctn_variable_spec(g.v, nullptr)),
      ROW("ctn_variable_view: variable is NULL", ctn_variable_view(nullptr, &p.t)),
      ROW("ctn_variable_view: out is NULL", ctn_variable_view(g.v, nullptr)),
      ROW("ctn_variable_set_array: variable is NULL", ctn_variable_set_array(nullptr, g.a)),
      ROW("ctn_variable_to_device: variable is NULL",
          ctn_variable_to_device(nullptr, {CTN_DEV_CPU, 0})),
      ROW("ctn_variable_set_grad: variable is NULL", ctn_variable_set_grad(nullptr, g.v)),
      ROW("ctn_variable_clear_grad: variable is NULL", ctn_variable_clear_grad(nullptr)),
      ROW("ctn_variable_add_grad: variable is NULL", ctn_variable_add_grad(g.v, nullptr)),
      ROW("ctn_variable_set_name: variable is NULL", ctn_variable_set_name(nullptr, kName)),
      ROW("ctn_variable_name: out is NULL", ctn_variable_name(g.v, nullptr)),
      ROW("ctn_variable_creator: count of in is -1",
          ctn_variable_creator(g.v, &p.i, &p.v, -1, &p.i)),
      ROW("ctn_variable_set_user: variable is NULL", ctn_variable_set_user(nullptr, &p.i, nullptr)),
      ROW("ctn_variable_backward: variable is NULL", ctn_variable_backward(nullptr, nullptr)),
      ROW("ctn_grad_of: there are no outputs", ctn_grad_of(nullptr, 0, nullptr, 0, nullptr, &p.v)),
      ROW("ctn_kernel_create: source is NULL", ctn_kernel_create(g.ctx, nullptr, &p.k)),
      ROW("ctn_kernel_call: kernel is NULL",
          ctn_kernel_call(nullptr, nullptr, 0, nullptr, 0, 0, &p.v, 1)),
      ROW("ctn_parameter_new: context is NULL",
          ctn_parameter_new(nullptr, {}, nullptr, 0, kF32, 1, kOne, &p.v)),
      ROW("ctn_parameter_new: out is NULL",
          ctn_parameter_new(g.ctx, {}, nullptr, 0, kF32, 1, kOne, nullptr)),
      ROW("ctn_parameter_new: count of attrs is -1",
          ctn_parameter_new(g.ctx, {}, nullptr, -1, kF32, 1, kOne, &p.v)),
      ROW("ndim is -1", ctn_parameter_new(g.ctx, {}, nullptr, 0, kF32, -1, kOne, &p.v)),
      ROW("ndim is 33", ctn_parameter_new(g.ctx, {}, nullptr, 0, kF32, 33, kOne, &p.v)),
      ROW_CODE(CTN_EDTYPE, "ctn_parameter_new: dtype code 9",
               ctn_parameter_new(g.ctx, {}, nullptr, 0, {9, 32, 1}, 1, kOne, &p.v)),
      ROW_CODE(CTN_ENOTFOUND, "there is no initializer 'x'",
               ctn_parameter_new(g.ctx, kName, nullptr, 0, kF32, 1, kOne, &p.v)),
      ROW("ctn_parameter_initialize: variable is NULL", ctn_parameter_initialize(nullptr, 1, kOne)),
      ROW("ctn_parameter_initialize: shape is NULL", ctn_parameter_initialize(g.v, 1, nullptr)),
      ROW("is initialised already", ctn_parameter_initialize(g.v, 1, kOne)),
      ROW("variable is no parameter", ctn_parameter_initialize(g.plain, 1, kOne)),
      ROW("ctn_initialize: array is NULL", ctn_initialize(nullptr, {}, nullptr, 0)),
      ROW_CODE(CTN_ENOTFOUND, "there is no initializer 'x'",
               ctn_initialize(g.a, kName, nullptr, 0)),
  });
  CHECK(ctn_parameter_is_initialized(nullptr) == 0);
}

TEST_CASE("links: NULL, names that are not there, and strangers are refused") {
  check_rows({
      ROW("ctn_link_create: context is NULL",
          ctn_link_create(nullptr, str("Linear"), &kNumber, 1, &p.l)),
      ROW("ctn_link_create: out is NULL",
          ctn_link_create(g.ctx, str("Linear"), &kNumber, 1, nullptr)),
      ROW_CODE(CTN_ENOTFOUND, "there is no link 'x'",
               ctn_link_create(g.ctx, kName, &kNumber, 1, &p.l)),
      ROW_CODE(CTN_ENOTFOUND, "there is no link 'x'",
               ctn_link_create_named(g.ctx, kName, nullptr, 0, &p.l)),
      ROW("ctn_link_create_named: count of attrs is -1",
          ctn_link_create_named(g.ctx, kName, nullptr, -1, &p.l)),
      ROW("ctn_chain_create: context is NULL", ctn_chain_create(nullptr, nullptr, 0, &p.l)),
      ROW("ctn_chain_create: out is NULL", ctn_chain_create(g.ctx, nullptr, 0, nullptr)),
      ROW("-1 outputs", ctn_chain_create(g.ctx, nullptr, -1, &p.l)),
      ROW("ctn_link_call: link is NULL", ctn_link_call(nullptr, nullptr, 0, &p.v, 1)),
      ROW("Chain gives 0 outputs, room is for -1", ctn_link_call(g.link, nullptr, 0, &p.v, -1)),
      ROW("ctn_link_call: count of in is -1", ctn_link_call(g.link, nullptr, -1, nullptr, 0)),
      ROW("without a function to call", ctn_link_call(g.link, nullptr, 0, nullptr, 0)),
      ROW("ctn_link_class: link is NULL", ctn_link_class(nullptr, &p.s)),
      ROW("ctn_link_class: out is NULL", ctn_link_class(g.link, nullptr)),
      ROW("ctn_link_add_param: link is NULL", ctn_link_add_param(nullptr, kName, g.v)),
      ROW("ctn_link_add_param: variable is NULL", ctn_link_add_param(g.link, kName, nullptr)),
      ROW("'x' belongs to another context", ctn_link_add_param(g.link, kName, g.foreign)),
      ROW("'W' already", ctn_link_add_param(g.link, str("W"), g.v)),
      ROW("'a/b' cannot name", ctn_link_add_param(g.link, str("a/b"), g.v)),
      ROW("ctn_link_add_persistent: link is NULL", ctn_link_add_persistent(nullptr, kName, g.a)),
      ROW("ctn_link_add_persistent: array is NULL",
          ctn_link_add_persistent(g.link, kName, nullptr)),
      ROW("'x' belongs to another context", ctn_link_add_persistent(g.link, kName, g.alien)),
      ROW("ctn_link_add_child: link is NULL", ctn_link_add_child(g.link, kName, nullptr)),
      ROW("'x' belongs to another context", ctn_link_add_child(g.link, kName, g.stranger)),
      ROW("would contain the link it is added to", ctn_link_add_child(g.link, kName, g.link)),
      ROW("would contain the link it is added to", ctn_link_add_child(g.child, kName, g.link)),
      ROW("ctn_link_set_persistent: link is NULL",
          ctn_link_set_persistent(nullptr, str("mean"), g.a)),
      ROW("'mean' belongs to another context",
          ctn_link_set_persistent(g.link, str("mean"), g.alien)),
      ROW_CODE(CTN_ENOTFOUND, "'x'", ctn_link_set_persistent(g.link, kName, g.a)),
      ROW("ctn_link_param: link is NULL", ctn_link_param(nullptr, str("W"), &p.v)),
      ROW("ctn_link_param: out is NULL", ctn_link_param(g.link, str("W"), nullptr)),
      ROW_CODE(CTN_ENOTFOUND, "'mean' is no parameter", ctn_link_param(g.link, str("mean"), &p.v)),
      ROW_CODE(CTN_ENOTFOUND, "has no 'x'", ctn_link_param(g.link, str("l1/x"), &p.v)),
      ROW_CODE(CTN_ENOTFOUND, "'W' is no link", ctn_link_param(g.link, str("W/x"), &p.v)),
      ROW("ctn_link_persistent: link is NULL", ctn_link_persistent(nullptr, str("mean"), &p.a)),
      ROW_CODE(CTN_ENOTFOUND, "'W' is no persistent value",
               ctn_link_persistent(g.link, str("W"), &p.a)),
      ROW("ctn_link_child: link is NULL", ctn_link_child(nullptr, str("l1"), &p.l)),
      ROW_CODE(CTN_ENOTFOUND, "'W' is no child link", ctn_link_child(g.link, str("W"), &p.l)),
      ROW("ctn_link_visit: link is NULL", ctn_link_visit(nullptr, no_visit, nullptr)),
      ROW("ctn_link_visit: visitor is NULL", ctn_link_visit(g.link, nullptr, nullptr)),
      ROW("ctn_link_attr: link is NULL", ctn_link_attr(nullptr, 0, &p.value)),
      ROW("Chain has no attribute 0", ctn_link_attr(g.link, 0, &p.value)),
      ROW("Chain has no attribute -1", ctn_link_attr(g.link, -1, &p.value)),
      ROW("ctn_link_set_attr: link is NULL", ctn_link_set_attr(nullptr, 0, &kNumber)),
      ROW("ctn_link_set_attr: value is NULL", ctn_link_set_attr(g.link, 0, nullptr)),
      ROW("attribute index is -1", ctn_link_set_attr(g.link, -1, &kNumber)),
      ROW("ctn_link_set_state: link is NULL", ctn_link_set_state(nullptr, kName, g.v)),
      ROW("different contexts", ctn_link_set_state(g.link, kName, g.foreign)),
      ROW("ctn_link_state: link is NULL", ctn_link_state(nullptr, kName, &p.v)),
      ROW("ctn_link_state: out is NULL", ctn_link_state(g.link, kName, nullptr)),
      ROW("ctn_link_copy: link is NULL", ctn_link_copy(nullptr, CTN_COPY_COPY, &p.l)),
      ROW("unknown copy mode 3", ctn_link_copy(g.link, 3, &p.l)),
      ROW("ctn_link_clear_grads: link is NULL", ctn_link_clear_grads(nullptr)),
      ROW("ctn_link_copy_params: link is NULL", ctn_link_copy_params(g.link, nullptr)),
      ROW("context", ctn_link_copy_params(g.link, g.stranger)),
      ROW("ctn_link_to_device: link is NULL", ctn_link_to_device(nullptr, {CTN_DEV_CPU, 0})),
      ROW_CODE(CTN_EDEVICE, "cpu:9", ctn_link_to_device(g.link, {CTN_DEV_CPU, 9})),
      ROW("ctn_link_enable_update: link is NULL", ctn_link_enable_update(nullptr, 1)),
  });
}

TEST_CASE("optimizers: NULL, names that are not there, and strangers are refused") {
  check_rows({
      ROW("ctn_optimizer_create: context is NULL",
          ctn_optimizer_create(nullptr, str("SGD"), nullptr, 0, &p.o)),
      ROW("ctn_optimizer_create: out is NULL",
          ctn_optimizer_create(g.ctx, str("SGD"), nullptr, 0, nullptr)),
      ROW_CODE(CTN_ENOTFOUND, "there is no optimizer 'x'",
               ctn_optimizer_create(g.ctx, kName, nullptr, 0, &p.o)),
      ROW("ctn_optimizer_create: count of hyper is -1",
          ctn_optimizer_create(g.ctx, str("SGD"), nullptr, -1, &p.o)),
      ROW_CODE(CTN_ENOTFOUND, "there is no optimizer 'x'",
               ctn_optimizer_create_named(g.ctx, kName, nullptr, 0, &p.o)),
      ROW("ctn_optimizer_create_named: out is NULL",
          ctn_optimizer_create_named(g.ctx, str("SGD"), nullptr, 0, nullptr)),
      ROW("ctn_optimizer_setup: optimizer is NULL", ctn_optimizer_setup(nullptr, g.link)),
      ROW("ctn_optimizer_setup: link is NULL", ctn_optimizer_setup(g.opt, nullptr)),
      ROW("context", ctn_optimizer_setup(g.opt, g.stranger)),
      ROW("ctn_optimizer_update: optimizer is NULL", ctn_optimizer_update(nullptr)),
      ROW("SGD: the optimizer was not set up", ctn_optimizer_update(g.bare)),
      ROW("ctn_optimizer_set_hyper: optimizer is NULL",
          ctn_optimizer_set_hyper(nullptr, str("lr"), 1)),
      ROW_CODE(CTN_ENOTFOUND, "'x'", ctn_optimizer_set_hyper(g.opt, kName, 1)),
      ROW("ctn_optimizer_get_hyper: out is NULL",
          ctn_optimizer_get_hyper(g.opt, str("lr"), nullptr)),
      ROW_CODE(CTN_ENOTFOUND, "'x'", ctn_optimizer_get_hyper(g.opt, kName, &p.f)),
      ROW("ctn_optimizer_set_rule_hyper: optimizer is NULL",
          ctn_optimizer_set_rule_hyper(nullptr, str("W"), str("lr"), 1)),
      ROW_CODE(CTN_ENOTFOUND, "'x'", ctn_optimizer_set_rule_hyper(g.opt, kName, str("lr"), 1)),
      ROW_CODE(CTN_ENOTFOUND, "'x'", ctn_optimizer_get_rule_hyper(g.opt, str("W"), kName, &p.f)),
      ROW("ctn_optimizer_get_rule_hyper: out is NULL",
          ctn_optimizer_get_rule_hyper(g.opt, str("W"), str("lr"), nullptr)),
      ROW_CODE(CTN_ENOTFOUND, "'x'", ctn_optimizer_enable_rule(g.opt, kName, 1)),
      ROW("ctn_optimizer_enable_rule: optimizer is NULL",
          ctn_optimizer_enable_rule(nullptr, str("W"), 1)),
      ROW("ctn_optimizer_add_hook: optimizer is NULL",
          ctn_optimizer_add_hook(nullptr, {}, str("WeightDecay"), {}, 0, &kNumber, 1)),
      ROW_CODE(CTN_ENOTFOUND, "there is no optimizer hook 'x'",
               ctn_optimizer_add_hook(g.opt, {}, kName, {}, 0, &kNumber, 1)),
      ROW("timing", ctn_optimizer_add_hook(g.opt, {}, str("WeightDecay"), {}, 3, &kNumber, 1)),
      ROW("ctn_optimizer_add_callback: attribute '0' is a NULL callback",
          ctn_optimizer_add_callback(g.opt, {}, kName, 0, nullptr)),
      ROW_CODE(CTN_ENOTFOUND, "'x'", ctn_optimizer_remove_hook(g.opt, {}, kName)),
      ROW("ctn_optimizer_remove_hook: optimizer is NULL",
          ctn_optimizer_remove_hook(nullptr, {}, kName)),
      ROW("ctn_optimizer_set_loss_scale: optimizer is NULL",
          ctn_optimizer_set_loss_scale(nullptr, 1)),
      ROW("-1", ctn_optimizer_set_loss_scale(g.opt, -1)),
      ROW("nan", ctn_optimizer_set_loss_scale(g.opt, __builtin_nan(""))),
      ROW("ctn_optimizer_loss_scale: scale is NULL", ctn_optimizer_loss_scale(g.opt, nullptr)),
      ROW("ctn_optimizer_use_fp32_update: optimizer is NULL",
          ctn_optimizer_use_fp32_update(nullptr, 1)),
      ROW("ctn_optimizer_t: optimizer is NULL", ctn_optimizer_t(nullptr, &p.w)),
      ROW("ctn_optimizer_t: t is NULL", ctn_optimizer_t(g.opt, nullptr)),
      ROW("ctn_optimizer_epoch: epoch is NULL", ctn_optimizer_epoch(g.opt, nullptr)),
      ROW("ctn_optimizer_new_epoch: optimizer is NULL", ctn_optimizer_new_epoch(nullptr, &p.w)),
      ROW_CODE(CTN_ENOTFOUND, "'x'", ctn_optimizer_rule_t(g.opt, kName, &p.w)),
      ROW("ctn_optimizer_rule_t: t is NULL", ctn_optimizer_rule_t(g.opt, str("W"), nullptr)),
      ROW_CODE(CTN_ENOTFOUND, "'x'", ctn_optimizer_state(g.opt, str("W"), kName, &p.a)),
      ROW("ctn_optimizer_state: out is NULL", ctn_optimizer_state(g.opt, str("W"), kName, nullptr)),
      ROW("ctn_optimizer_target: optimizer is NULL", ctn_optimizer_target(nullptr, &p.l)),
  });
}

TEST_CASE("files: NULL, counts, strangers and paths that are not there are refused") {
  check_rows({
      ROW("ctn_save_npz_link: link is NULL", ctn_save_npz_link(nullptr, str("x.npz"), 0)),
      ROW("ctn_load_npz_link: link is NULL", ctn_load_npz_link(nullptr, str("x.npz"), {}, 1)),
      ROW_CODE(CTN_ENOTFOUND, "'/no/such/x.npz",
               ctn_save_npz_link(g.link, str("/no/such/x.npz"), 0)),
      ROW_CODE(CTN_ENOTFOUND, "'/no/such/x.npz'",
               ctn_load_npz_link(g.link, str("/no/such/x.npz"), {}, 1)),
      ROW("ctn_save_npz_optimizer: optimizer is NULL",
          ctn_save_npz_optimizer(nullptr, str("x.npz"), 0)),
      ROW("ctn_load_npz_optimizer: optimizer is NULL",
          ctn_load_npz_optimizer(nullptr, str("x.npz"), {}, 1)),
      ROW_CODE(CTN_ENOTFOUND, "'/no/such/x.npz'",
               ctn_load_npz_optimizer(g.opt, str("/no/such/x.npz"), {}, 1)),
      ROW("ctn_save_npz_arrays: names is NULL",
          ctn_save_npz_arrays(g.ctx, str("x.npz"), nullptr, &p.a, 1, 0)),
      ROW("ctn_save_npz_arrays: arrays is NULL",
          ctn_save_npz_arrays(g.ctx, str("x.npz"), &kName, nullptr, 1, 0)),
      ROW("ctn_save_npz_arrays: count of names is -1",
          ctn_save_npz_arrays(g.ctx, str("x.npz"), &kName, &p.a, -1, 0)),
      ROW("ctn_load_npz_arrays: visitor is NULL",
          ctn_load_npz_arrays(g.ctx, str("x.npz"), nullptr, nullptr)),
      ROW("ctn_load_npz_arrays: context is NULL",
          ctn_load_npz_arrays(nullptr, str("x.npz"), no_visit, nullptr)),
  });
  const Given g;
  const ctn_array alien[] = {g.alien};
  CHECK_FAILS(ctn_save_npz_arrays(g.ctx, str("x.npz"), &kName, alien, 1, 0), CTN_EINVAL,
              "another context");
  CHECK_FAILS(ctn_save_npz_arrays(nullptr, str("x.npz"), &kName, alien, 1, 0), CTN_EINVAL,
              "ctn_save_npz_arrays: context is NULL");
}

TEST_CASE("callbacks that were handed over are dropped when the call fails") {
  const Ctx ctx = context();
  int drops = 0;
  ctn_callback callback{&drops,
                        [](void*, const ctn_variable*, int32_t, ctn_variable*,
                           int32_t) -> ctn_status { return CTN_OK; },
                        [](void* user) { ++*static_cast<int*>(user); }};
  ctn_value given[3] = {};
  given[0].kind = CTN_CALLBACK;
  given[0].u.callback = &callback;
  given[1] = of("text");
  given[2] = given[0];
  ctn_link out = untouched<ctn_link_s>();
  CHECK(ctn_link_create(ctx, str("Linear"), given, 3, &out) == CTN_EINVAL);
  CHECK(drops == 2);
  given[1].u.s = nullptr;  // cannot even be copied
  CHECK_FAILS(ctn_link_create(ctx, str("Linear"), given, 3, &out), CTN_EINVAL,
              "a str of 4 bytes at NULL");
  CHECK(drops == 4);
  CHECK_FAILS(ctn_chain_create(ctx, &callback, -1, &out), CTN_EINVAL, "-1");
  CHECK(drops == 5);
  CHECK_FAILS(ctn_chain_create(nullptr, &callback, 1, &out), CTN_EINVAL, "context is NULL");
  CHECK(drops == 6);
  callback.call = nullptr;
  CHECK_FAILS(ctn_chain_create(ctx, &callback, 1, &out), CTN_EINVAL, "without a function");
  CHECK(drops == 7);
  CHECK(out == untouched<ctn_link_s>());
}

TEST_CASE("a thread's last failure stays until its next one") {
  std::thread([] {
    CHECK(ctn_error_code() == CTN_OK);
    CHECK(std::string(ctn_error_message()).empty());
    CHECK(ctn_synchronize(nullptr) == CTN_EINVAL);
    CHECK(ctn_error_code() == CTN_EINVAL);
    std::thread([] { CHECK(ctn_error_code() == CTN_OK); }).join();
    int32_t n = 0;
    Ctx ctx;
    CHECK_OK(ctn_context_create(nullptr, ctx.out()));  // a success changes nothing
    CHECK(std::string(ctn_error_message()) == "ctn_synchronize: context is NULL");
    CHECK(ctn_op_find(str("none"), &n) == CTN_ENOTFOUND);
    CHECK(ctn_error_code() == CTN_ENOTFOUND);
  }).join();
}

TEST_CASE("a text that is too long is cut between characters") {
  for (size_t pad = 0; pad < 3; ++pad) {
    std::string name(pad, 'x');
    for (int i = 0; i < 5000; ++i) name += "\xe2\x82\xac";  // three bytes each
    CHECK(ctn_error_set(CTN_ENOTFOUND, str(name)) == CTN_ENOTFOUND);
    const std::string text = ctn_error_message();
    CHECK(text.size() > 8000);
    CHECK(text.size() < 8192);
    const size_t euros = text.find("\xe2\x82\xac");
    CHECK((text.size() - euros) % 3 == 0);
  }
}
