// Throws an int from every callback of ops, kernels, backends, links, hooks and initializers.
// Kernels are those of backend testdev. Backend throws has not even devices; throws_late has one,
// and throws where the comment at its functions says.
#include <cstdlib>
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
  void kernel(const char* op, ctn_kernel_def def, const char* backend = "testdev") {
    def.size = sizeof def;
    def.op = text(op);
    def.backend = text(backend);
    note(host->add_kernel(plugin, &def));
  }
};

// ---- throws_late

const ctn_host* g_host;

ctn_status one_device(void*, int32_t* n, ctn_str*) {
  *n = 1;
  return CTN_OK;
}

// What it does with requests of so many MiB: 2 throw, 4 a driver's error, 8 no memory and a text
// for it, 16 success without memory.
ctn_status late_alloc(void*, ctn_context, int32_t, uint64_t bytes, uint64_t align, void** out) {
  switch (bytes >> 20) {
    case 2: throw 1;
    case 4: return g_host->fail(CTN_EDEVICE, nullptr, 0, TEXT("the card fell out"));
    case 8: return g_host->fail(CTN_ENOMEM, nullptr, 0, TEXT("the card is full"));
    case 16: return CTN_OK;
    default: break;
  }
  *out = std::aligned_alloc(align, (bytes + align - 1) / align * align);
  return *out ? CTN_OK : CTN_ENOMEM;
}
void late_free(void*, ctn_context, int32_t, void* p, uint64_t, uint64_t) {
  std::free(p);
  throw 1;
}
// Throws for 12 bytes.
ctn_status late_copy(void*, int32_t, void* dst, int32_t, const void* src, uint64_t bytes) {
  if (bytes == 12) throw 1;
  memcpy(dst, src, bytes);
  return CTN_OK;
}
// Forms of one argument (fill) throw when they are compiled, those of two (copies) when they are
// launched, all others are declined.
ctn_status late_compile(void*, const ctn_form* form, void** program) {
  if (form->n_args == 1) throw 1;
  if (form->n_args != 2) return CTN_EUNSUPPORTED;
  static char program_of_all;
  *program = &program_of_all;
  return CTN_OK;
}

// Wants layout 1, whose size, or 2, whose contents cannot be had.
template <uint64_t layout>
ctn_status want_layout(void*, const ctn_call_info*, ctn_plan* plan) {
  plan->in_layouts[0] = layout;
  return CTN_OK;
}
ctn_status late_layout_bytes(void*, const ctn_dltensor*, uint64_t layout, uint64_t* bytes) {
  if (layout == 1) throw 1;
  *bytes = 4096;
  return CTN_OK;
}
ctn_status keep_state(void*, const ctn_call_info*, ctn_plan* plan) {
  static char state_of_all;
  plan->state = &state_of_all;
  return CTN_OK;
}

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
  for (const char* name : {"throws.supports", "throws.plan", "throws.run", "throws.backward",
                           "throws.layout_bytes", "throws.reorder", "throws.drop"}) {
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

  def = {};
  def.run = run;
  def.flags = CTN_KERNEL_LAYOUT;
  def.plan = want_layout<1>;
  add.kernel("throws.layout_bytes", def, "throws_late");
  def.plan = want_layout<2>;
  add.kernel("throws.reorder", def, "throws_late");
  def.flags = 0;
  def.plan = keep_state;
  def.drop = kThrower;
  add.kernel("throws.drop", def, "throws_late");
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

  def.name = text("throws_late");
  def.device_count = one_device;
  def.alloc = late_alloc;
  def.free = late_free;
  def.copy = late_copy;
  def.compile = late_compile;
  def.launch = kThrower;
  def.release = kThrower;
  def.layout_bytes = late_layout_bytes;
  def.reorder = kThrower;
  add.note(add.host->add_backend(add.plugin, &def));
  def = {};
  def.size = sizeof def;
  def.flags = CTN_BACKEND_ASYNC;
  def.name = text("throws_sync");
  def.parent = text("throws_late");
  def.sync = kThrower;
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
  link.name = text("ThrowsLater");
  link.copied = kThrower;
  link.serialized = kThrower;
  link.moved = kThrower;
  link.drop = kThrower;
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
  g_host = host;
  Adder add{host, self};
  add_ops(add);
  add_kernels(add);
  add_backend(add);
  add_classes(add);
  return add.status;
}
