// See borrow.h. What the cpu's kernels ask of the runtime while they run is answered here, for the
// call that was theirs is over: loops run on the one thread there is, scratch comes from the heap.
#include "borrow.h"

#include <catena/sdk/host.hpp>

#include <cpu/device.h>
#include <cpu/isa.h>
#include <cpu/kernels.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "later_call.h"
#include "memory.h"
#include "queue.h"

namespace fake {
namespace {

struct State {
  ctn_host table;       // what the cpu's code is handed
  ctn_backend_def cpu;  // what it registered
};
State& state() {
  static State* const s = new State{};
  return *s;
}

// ---- a running kernel's handle

struct Free {
  void operator()(void* p) const { std::free(p); }
};
struct Exec {
  ctn_context ctx;
  ctn_device device;
  std::vector<std::unique_ptr<void, Free>> scratch{};

  ctn_exec handle() { return reinterpret_cast<ctn_exec>(this); }
};
Exec& exec_of(ctn_exec e) { return *reinterpret_cast<Exec*>(e); }

ctn_status parallel_for(ctn_exec, int64_t n, int64_t grain, ctn_range_fn fn, void* arg) {
  grain = std::max<int64_t>(grain, 1);
  ctn_status status = CTN_OK;
  for (int64_t begin = 0; begin < n && status == CTN_OK; begin += grain)
    status = fn(arg, begin, std::min(n, begin + grain));
  return status;
}
ctn_status scratch(ctn_exec e, uint64_t bytes, void** out) {
  *out = std::aligned_alloc(64, (bytes + 64) / 64 * 64);
  if (!*out) return fail(CTN_ENOMEM, "fake: no scratch memory");
  exec_of(e).scratch.emplace_back(*out);
  return CTN_OK;
}
int32_t num_threads(ctn_exec) { return 1; }
ctn_context exec_context(ctn_exec e) { return exec_of(e).ctx; }
ctn_device exec_device(ctn_exec e) { return exec_of(e).device; }
void* exec_stream(ctn_exec) { return nullptr; }

// What the runtime's handle says is running.
std::string label_of(ctn_exec e) {
  const ctn_str label = g_host->exec_label(e);
  return {label.p, label.n};
}

// ---- kernels

struct Kernel {
  ctn_kernel_def def;
  std::string op;
  bool at_once;  // it draws random numbers, whose order is that of the calls, or keeps a plan
};

ctn_status run_kernel(void* self, const ctn_run* run) {
  const auto& kernel = *static_cast<const Kernel*>(self);
  const auto call = std::make_shared<LaterCall>();
  if (!call->copy(*run)) return g_host->api->error_code();
  const ctn_context ctx = g_host->exec_context(run->exec);
  const ctn_device device = g_host->exec_device(run->exec);
  ++control().kernels;
  hand_over(device.id, label_of(run->exec), [&kernel, call, ctx, device] {
    Exec exec{ctx, device};
    return kernel.def.run(kernel.def.self, &call->with(exec.handle()));
  });
  if (kernel.at_once) finish(device.id);
  return CTN_OK;
}
ctn_status supports(void* self, const ctn_call_info* call, int32_t* yes, ctn_str* why) {
  const auto& k = *static_cast<const Kernel*>(self);
  return k.def.supports(k.def.self, call, yes, why);
}
ctn_status plan(void* self, const ctn_call_info* call, ctn_plan* p) {
  const auto& k = *static_cast<const Kernel*>(self);
  return k.def.plan(k.def.self, call, p);
}
void drop(void* self, void* plan_state) {
  const auto& k = *static_cast<const Kernel*>(self);
  k.def.drop(k.def.self, plan_state);
}

ctn_status borrow_kernel(ctn_plugin plugin, const ctn_kernel_def* def) {
  auto* const k = new Kernel{*def, std::string(def->op.p, def->op.n), false};  // for ever
  k->at_once = k->op == "dropout_random" || def->plan;
  ctn_kernel_def own = *def;
  own.backend = {"fake", 4};
  own.self = k;
  own.run = run_kernel;
  own.supports = def->supports ? supports : nullptr;
  own.plan = def->plan ? plan : nullptr;
  own.drop = def->drop ? drop : nullptr;
  return g_host->add_kernel(plugin, &own);
}

ctn_status borrow_backend(ctn_plugin, const ctn_backend_def* def) {
  state().cpu = *def;
  return CTN_OK;
}

// ---- expressions

struct Program {
  const ctn_form* form;  // lives as long as the runtime may launch it
  void* cpu;
};

ctn_status compile(void*, const ctn_form* form, void** program) {
  const ctn_backend_def& cpu = state().cpu;
  void* made = nullptr;
  const ctn_status status = cpu.compile(cpu.self, form, &made);
  if (status == CTN_OK) *program = new Program{form, made};
  return status;
}
ctn_status launch(void*, void* program, const ctn_launch* launches, int32_t n) {
  const auto& p = *static_cast<const Program*>(program);
  const auto later = std::make_shared<LaterLaunches>();
  if (!later->copy(*p.form, launches, n)) return g_host->api->error_code();
  const ctn_context ctx = g_host->exec_context(launches[0].exec);
  const ctn_device device = g_host->exec_device(launches[0].exec);
  ++control().launches;
  hand_over(device.id, label_of(launches[0].exec), [p, later, ctx, device] {
    Exec exec{ctx, device};
    const ctn_backend_def& cpu = state().cpu;
    return cpu.launch(cpu.self, p.cpu, later->with(exec.handle()), later->count());
  });
  return CTN_OK;
}
void release(void*, void* program) {
  auto* const p = static_cast<Program*>(program);
  state().cpu.release(state().cpu.self, p->cpu);
  delete p;
}

}  // namespace

ctn_status borrow_cpu(const ctn_host* host, ctn_plugin plugin, ctn_backend_def* def) {
  ctn_host& table = state().table;
  table = *host;
  table.add_backend = borrow_backend;
  table.add_kernel = borrow_kernel;
  table.parallel_for = parallel_for;
  table.scratch = scratch;
  table.num_threads = num_threads;
  table.exec_context = exec_context;
  table.exec_device = exec_device;
  table.exec_stream = exec_stream;
  catena::sdk::host = &table;
  ctn_status status = catena::cpu::start_isa(&table);
  if (status == CTN_OK) status = catena::cpu::register_backend(&table, plugin);
  for (const auto* file = catena::cpu::kKernelFiles; *file && status == CTN_OK; ++file)
    status = (*file)(&table, plugin);
  def->compile = compile;
  def->launch = launch;
  def->release = release;
  return status;
}

}  // namespace fake
