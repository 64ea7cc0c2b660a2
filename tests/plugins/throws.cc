// Throws an int from every callback of ops, kernels, backends, links, hooks and initializers.
// Kernels are those of backend testdev.
#include <initializer_list>

#include "plain.h"

const ctn_plugin_info* CTN_CALL ctn_plugin_query(uint32_t) {
  static const ctn_plugin_info info = PLAIN_INFO("throws");
  return &info;
}

namespace {

template <class Result, class... Args>
Result thrower(Args...) {
  throw 1;
}

// A callback of whatever signature is asked for.
struct Thrower {
  template <class Result, class... Args>
  using Function = Result (*)(Args...);
  template <class Result, class... Args>
  operator Function<Result, Args...>() const {
    return thrower<Result, Args...>;
  }
};
constexpr Thrower kThrower;

// One output like the first input.
ctn_status infer(void*, const ctn_call_info* call, ctn_out_spec* out) {
  const ctn_dltensor& x = call->in[0].t;
  out->ndim = x.ndim;
  out->dtype = x.dtype;
  for (int32_t i = 0; i < x.ndim; ++i) out->shape[i] = x.shape[i];
  return CTN_OK;
}

ctn_status run(void*, const ctn_run*) { return CTN_OK; }

const ctn_input_def kIn = {TEXT("x"), TEXT("f"), 0, 0};
const ctn_output_def kOut = {TEXT("y"), TEXT("=x"), 0, 0};

ctn_op_def op_def(const char* name) {
  ctn_op_def def = {};
  def.size = sizeof def;
  def.name = text(name);
  def.n_in = 1;
  def.n_out = 1;
  def.in = &kIn;
  def.out = &kOut;
  return def;
}

struct Adder {
  const ctn_host* host;
  ctn_plugin plugin;
  ctn_status status = CTN_OK;

  void note(ctn_status s) {
    if (status == CTN_OK) status = s;
  }
  void op(const ctn_op_def& def) { note(host->add_op(plugin, &def)); }
  void kernel(const char* op, ctn_kernel_def def) {
    def.size = sizeof def;
    def.op = text(op);
    def.backend = text("testdev");
    note(host->add_kernel(plugin, &def));
  }
};

void add_ops(Adder& add) {
  ctn_op_def def = op_def("throws.infer");
  def.infer = kThrower;
  def.backward = kThrower;
  add.op(def);
  def = op_def("throws.compose");
  def.compose = kThrower;
  add.op(def);
  def = op_def("throws.count");
  def.infer = infer;
  def.backward = kThrower;
  def.count = kThrower;
  add.op(def);
  for (const char* name : {"throws.supports", "throws.plan", "throws.run", "throws.backward"}) {
    def = op_def(name);
    def.infer = infer;
    def.backward = kThrower;
    add.op(def);
  }
}

void add_kernels(Adder& add) {
  ctn_kernel_def def = {};
  def.run = run;
  add.kernel("throws.infer", def);
  add.kernel("throws.count", def);
  add.kernel("throws.backward", def);
  def.supports = kThrower;
  add.kernel("throws.supports", def);
  def.supports = nullptr;
  def.plan = kThrower;
  add.kernel("throws.plan", def);
  def.plan = nullptr;
  def.run = kThrower;
  add.kernel("throws.run", def);
}

void add_backend(Adder& add) {
  ctn_backend_def def = {};
  def.size = sizeof def;
  def.flags = CTN_BACKEND_HOST_MEMORY;
  def.name = text("throws");
  def.device_type = CTN_DEV_EXTENSION;
  def.device_count = kThrower;
  def.device_info = kThrower;
  def.alloc = kThrower;
  def.free = kThrower;
  def.copy = kThrower;
  add.note(add.host->add_backend(add.plugin, &def));
}

void add_classes(Adder& add) {
  ctn_link_def link = {};
  link.size = sizeof link;
  link.name = text("ThrowsInit");
  link.n_in = link.n_out = 1;
  link.init = kThrower;
  link.call = kThrower;
  add.note(add.host->add_link(add.plugin, &link));
  link.name = text("ThrowsCall");
  link.init = nullptr;
  add.note(add.host->add_link(add.plugin, &link));
  ctn_initializer_def initializer = {};
  initializer.size = sizeof initializer;
  initializer.name = text("Throws");
  initializer.fill = kThrower;
  add.note(add.host->add_initializer(add.plugin, &initializer));
  const ctn_attr_def lr = {TEXT("lr"), CTN_KIND_BIT(CTN_FLOAT), {CTN_FLOAT, 0, {0}}, TEXT(""), 0,
                           0};
  ctn_optimizer_def optimizer = {};
  optimizer.size = sizeof optimizer;
  optimizer.name = text("Plain");
  optimizer.n_hyper = 1;
  optimizer.hyper = &lr;
  optimizer.update = text("param = param - lr * grad");
  add.note(add.host->add_optimizer(add.plugin, &optimizer));
  ctn_hook_def hook = {};
  hook.size = sizeof hook;
  hook.name = text("Throws");
  hook.call = kThrower;
  add.note(add.host->add_hook(add.plugin, &hook));
}

}  // namespace

ctn_status CTN_CALL ctn_plugin_init(const ctn_host* host, ctn_plugin self) {
  Adder add{host, self};
  add_ops(add);
  add_kernels(add);
  add_backend(add);
  add_classes(add);
  return add.status;
}
