// Hooks of optimizers at work: see optimizer_hook.h.
#include "core/optimizer_hook.h"

#include <algorithm>

#include "core/intrinsic.h"

namespace catena {

FlatBatch& Batches::of(const Compiled& c, Device& device, bool alone) {
  if (!alone) {
    const auto at = std::ranges::find_if(entries_, [&](const Entry& e) {
      return e.compiled == &c && e.device == &device && !e.alone;
    });
    if (at != entries_.end()) return *at->batch;
  }
  entries_.push_back({&c, &device, alone, std::make_unique<FlatBatch>(c, device, alone)});
  return *entries_.back().batch;
}

Array& Batches::keep(Ref<Array> a) {
  kept_.push_back(std::move(a));
  return *kept_.back();
}

void Batches::seal() {
  for (Entry& e : entries_) e.batch->seal();
}

void Batches::run() {
  for (Entry& e : entries_)
    if (!e.alone) e.batch->run();
  for (Entry& e : entries_)
    if (e.alone) e.batch->run();
}

Array& writable_grad(Variable& p) {
  Variable& g = *p.grad;
  Array& a = g.array();
  const bool own = g.handles.load() == 1 && a.refs.load() == 1 && a.storage->refs.load() == 1 &&
                   (a.storage->flags & kStorageBorrowed) == 0;
  if (own && a.is_contiguous() && &a.device() == &p.array().device()) return a;
  Ref<Array> here = to_device(a, p.array().device());
  Ref<Array> copy = here.get() == &a ? copy_array(a, a.dtype) : to_contiguous(*here);
  here = nullptr;
  p.set_grad(Variable::make(*p.ctx, copy, false).get());
  return p.grad->array();
}

void fill_missing_grad(Variable& p) {
  if (!p.data || p.grad) return;
  Ref<Array> zeros = Array::make(p.data->device(), p.data->dtype, p.data->shape(), "gradient");
  ctn_value zero{};
  zero.kind = CTN_INT;
  fill(*zeros, zero);
  p.set_grad(Variable::make(*p.ctx, zeros, false).get());
}

namespace {

double number_of(const ctn_value& v) {
  return v.kind == CTN_FLOAT ? v.u.f : static_cast<double>(v.u.i);
}

// The sums of one expression over each target.
std::vector<double> sums_of(ArrayProgram& program, std::span<const HookTarget> targets,
                            std::span<const double> attrs) {
  std::vector<double> sums(targets.size());
  std::vector<uint64_t> bits;
  for (size_t k = 0; k < targets.size(); ++k) {
    Array& param = targets[k].param->array();
    const Ref<Array> grad = to_device(targets[k].param->grad->array(), param.device());
    const Compiled& c = program.compiled(param.dtype);
    program.bits(c, attrs, bits);
    Ref<Array> sum = Array::make(param.device(), CTN_FLOAT64, {}, "hook");
    Space space;
    space.set(param.shape());
    space.axes = static_cast<uint32_t>((uint64_t{1} << space.ndim) - 1);
    Array* args[] = {&param, grad.get(), sum.get()};
    constexpr Align kAlign[] = {Align::kFull, Align::kFull, Align::kReduced};
    launch(c, param.device(), space, args, kAlign, bits.data());
    copy_to_host(*sum, &sums[k]);
  }
  return sums;
}

void run_data_hook(const HookSlot& slot, std::span<const HookTarget> targets) {
  HookClass& hook = *slot.hook;
  std::vector<double> attrs;
  for (const size_t k : hook.numeric) attrs.push_back(number_of(slot.values[k]));
  std::vector<std::vector<double>> sums;
  for (const auto& program : hook.sums) {
    sums.push_back(sums_of(*program, targets, attrs));
    if (hook.entry->def.flags & CTN_HOOK_PER_PARAM) continue;
    double total = 0;
    for (const double s : sums.back()) total += s;
    std::ranges::fill(sums.back(), total);
  }
  Batches batches;
  std::vector<uint64_t> bits;
  for (size_t k = 0; k < targets.size(); ++k) {
    Variable& p = *targets[k].param;
    std::vector<double> numbers = attrs;
    for (const auto& sum : sums) numbers.push_back(sum[k]);
    numbers.push_back(static_cast<double>(targets[k].t));
    hook.scalars.run(numbers);
    const Compiled& c = hook.update->compiled(p.dtype);
    hook.update->bits(c, numbers, bits);
    Array* args[] = {&batches.keep(to_contiguous(p.array())), &writable_grad(p)};
    batches.of(c, p.array().device()).add(args, bits);
  }
  batches.seal();
  batches.run();
}

void run_callback(const HookSlot& slot, Optimizer& optimizer, std::span<const HookTarget> targets) {
  std::vector<ctn_variable> params;
  std::vector<int64_t> counts;
  for (const HookTarget& target : targets) {
    params.push_back(target.param);
    counts.push_back(target.t);
  }
  const auto n = static_cast<int32_t>(params.size());
  if (!slot.hook) {
    const ctn_callback& c = *slot.values[0].u.callback;
    checked_call(slot.name, [&] { return c.call(c.user, params.data(), n, nullptr, 0); });
    return;
  }
  ctn_hook_call call{};
  call.size = sizeof call;
  call.n = n;
  call.optimizer = &optimizer;
  call.params = params.data();
  call.t = counts.data();
  call.attrs = slot.values.get().data();
  const ctn_hook_def& def = slot.hook->entry->def;
  checked_call(slot.name, [&] { return def.call(def.self, &call); });
}

ArrayProgram& divide_program() {
  static auto* program =
      new ArrayProgram("grad = grad / divisor", {}, {"grad"}, {"divisor"}, "loss scale");
  return *program;
}

}  // namespace

void run_hook(const HookSlot& slot, Optimizer& optimizer, std::span<const HookTarget> targets) {
  if (slot.hook && slot.hook->update) {
    run_data_hook(slot, targets);
  } else {
    run_callback(slot, optimizer, targets);
  }
}

void divide_grads(std::span<const ScaledGrad> grads) {
  ArrayProgram& program = divide_program();
  Batches batches;
  std::vector<uint64_t> bits;
  for (const ScaledGrad& g : grads) {
    const Compiled& c = program.compiled(g.param->dtype);
    program.bits(c, {&g.scale, 1}, bits);
    Array* args[] = {&writable_grad(*g.param)};
    batches.of(c, g.param->array().device()).add(args, bits);
  }
  batches.seal();
  batches.run();
}

}  // namespace catena
