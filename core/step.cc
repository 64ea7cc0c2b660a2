// One step of an optimizer: gradients, hooks, then all rules in as few launches as there are dtypes
// and devices. All memory is there before the first weight changes.
#include <algorithm>
#include <cmath>
#include <tuple>

#include "core/capture.h"
#include "core/intrinsic.h"
#include "core/optimizer.h"
#include "core/optimizer_hook.h"

namespace catena {
namespace {

// The smallest positive value of a dtype; what is at most half of it becomes 0.
double smallest(int dtype) {
  switch (dtype) {
    case CTN_FLOAT16: return 0x1p-24;
    case CTN_BFLOAT16: return 0x1p-133;
    case CTN_FLOAT32: return 0x1p-149;
    default: return 0x1p-1074;
  }
}

bool vanishes(double value, int dtype) {
  return value != 0 && std::abs(value) <= smallest(dtype) / 2;
}

}  // namespace

class Step {
 public:
  explicit Step(Optimizer& o) : o_(o) {}
  ~Step() {
    if (begun_ && !changed_) {
      --o_.t;
      for (const Work& w : work_) --w.rule->t;
      for (UpdateRule* rule : waiting_) --rule->t;
    }
    for (const Work& w : work_)
      if (w.is_master) w.param->set_grad(nullptr);
  }
  void run();

 private:
  struct Work {
    UpdateRule* rule;
    Variable* param;  // or its float32 copy
    bool is_master = false;
    bool alone = false;  // shares memory with another parameter
    Ref<Array> grad;
    std::vector<Array*> states;
  };
  // A parameter that is not in C order.
  struct Single {
    const Compiled* compiled;
    std::vector<Array*> args;
    std::vector<uint64_t> bits;
  };
  struct Fresh {
    UpdateRule* rule;
    size_t index;
    Ref<Array> state;
  };

  void run_hooks(bool post);
  void run_rule_hooks(bool post);
  void begin();
  void unscale();
  void prepare_master(Work& w);
  void prepare_states(Work& w);
  void find_overlaps();
  void add_launch(Work& w);
  void change();
  void write_back();
  const std::vector<double>& numbers(const UpdateRule& rule);

  Optimizer& o_;
  std::vector<Work> work_;
  std::vector<UpdateRule*> waiting_;  // enabled, not initialised: only counted
  std::vector<Fresh> fresh_;
  Batches batches_;
  std::vector<Single> singles_;
  std::vector<double> numbers_;
  int64_t numbers_t_ = -1;
  bool begun_ = false, changed_ = false;
};

void Step::run() {
  for (UpdateRule& rule : o_.rules_) fill_missing_grad(*rule.param);
  run_hooks(false);
  begin();
  unscale();
  run_rule_hooks(false);
  find_overlaps();
  for (Work& w : work_) {
    if (!w.param->grad) continue;  // a hook took it away: nothing to do, as in Chainer
    w.grad = to_contiguous(*to_device(w.param->grad->array(), w.param->array().device()));
    prepare_states(w);
    add_launch(w);
    w.rule->param->array().before_write();
    for (Array* state : w.states) state->before_write();
  }
  batches_.seal();
  change();
  try {
    run_rule_hooks(true);
  } catch (...) {
    write_back();
    throw;
  }
  write_back();
  for (UpdateRule& rule : o_.rules_) fill_missing_grad(*rule.param);
  run_hooks(true);
}

void Step::run_hooks(bool post) {
  for (size_t k = 0; k < o_.hooks_.size(); ++k) {
    if (o_.hooks_[k].post != post) continue;
    std::vector<HookTarget> targets;
    for (UpdateRule& rule : o_.rules_)
      if (rule.param->data) targets.push_back({rule.param.get(), rule.t});
    run_hook(o_.hooks_[k], o_, targets);
    for (UpdateRule& rule : o_.rules_) fill_missing_grad(*rule.param);
  }
}

void Step::run_rule_hooks(bool post) {
  for (const Work& w : work_) {
    for (size_t k = 0; k < w.rule->hooks.size(); ++k) {
      if (w.rule->hooks[k].post != post || !w.param->grad) continue;
      const HookTarget target{w.param, w.rule->t};
      run_hook(w.rule->hooks[k], o_, {&target, 1});
    }
  }
}

// Counts the update and says what it works on.
void Step::begin() {
  for (UpdateRule& rule : o_.rules_) {
    if (!rule.param->extra->parameter->update_enabled) continue;
    if (rule.param->data) {
      work_.push_back({&rule, rule.param.get(), false, false, nullptr, {}});
    } else {
      waiting_.push_back(&rule);
    }
  }
  for (Work& w : work_)
    if (o_.fp32_update && w.param->dtype == CTN_FLOAT16) prepare_master(w);
  begun_ = true;
  ++o_.t;
  for (const Work& w : work_) ++w.rule->t;
  for (UpdateRule* rule : waiting_) ++rule->t;
}

// Divides gradients by the loss scale that backward left in them, once.
void Step::unscale() {
  std::vector<ScaledGrad> scaled;
  for (const Work& w : work_) {
    double& scale = w.rule->param->extra->parameter->loss_scale;
    if (scale != 0 && scale != 1) scaled.push_back({w.param, scale});
  }
  divide_grads(scaled);
  for (const Work& w : work_)
    if (!w.is_master) w.param->extra->parameter->loss_scale = 0;
}

void Step::prepare_master(Work& w) {
  UpdateRule& rule = *w.rule;
  Array& own = w.param->array();
  const Storage& memory = *own.storage;
  const bool current = rule.master && rule.written_to == &memory &&
                       rule.written_version == memory.version.load() &&
                       &rule.master->array().device() == &own.device();
  if (!current) {
    Ref<Array> wide = copy_array(own, CTN_FLOAT32);
    copy_into(own, *wide);  // the same values: the way back is known to work
    rule.master = Variable::make(*o_.ctx_, wide, true);
    rule.master->more().name = rule.param->extra->name;
    rule.master->more().parameter = std::make_unique<ParameterInfo>();
    rule.written_to = &memory;
    rule.written_version = memory.version.load();
  }
  Ref<Array> grad = copy_array(w.param->grad->array(), CTN_FLOAT32);
  rule.master->set_grad(Variable::make(*o_.ctx_, grad, false).get());
  w.param = rule.master.get();
  w.is_master = true;
}

void Step::prepare_states(Work& w) {
  const OptimizerEntry& entry = o_.entry();
  const Array& data = w.param->array();
  for (size_t k = 0; k < w.rule->states.size(); ++k) {
    if (!o_.has_state(*w.rule, k)) continue;
    Ref<Array> state = w.rule->states[k];
    if (!state) {
      state = Array::make(data.device(), data.dtype, data.shape(), entry.name.c_str());
      ctn_value initial{};
      initial.kind = CTN_FLOAT;
      initial.u.f = entry.def.state[k].initial;
      fill(*state, initial);
    }
    if (state->dtype != data.dtype || !std::ranges::equal(state->shape(), data.shape()))
      fail(CTN_ESHAPE, entry.name + ": state '" + std::string(view(entry.def.state[k].name)) +
                           "' is " + array_text(*state) + ", its parameter '" +
                           w.rule->param->extra->name + "' is " + array_text(data));
    state = to_contiguous(*to_device(*state, data.device()));
    w.states.push_back(state.get());
    if (state.get() != w.rule->states[k].get()) fresh_.push_back({w.rule, k, std::move(state)});
  }
}

// Parameters that share memory are updated one after the other. Only those whose memory somebody
// else holds too can be among them.
void Step::find_overlaps() {
  struct Range {
    const Storage* owner;  // NULL: borrowed or lent, which may be anybody's
    uintptr_t begin, end;  // offsets in its plain data (which need not be there), or addresses
    Work* work;
  };
  std::vector<Range> ranges;
  for (Work& w : work_) {
    const Array& a = w.param->array();
    const Storage& s = *a.storage;
    const bool shared = (s.flags & kStorageBorrowed) != 0 || s.exports.load() != 0;
    if (a.size == 0 || !(shared || a.refs.load() > 1 || s.refs.load() > 1)) continue;
    int64_t last = 0, first = 0;
    for (int32_t d = 0; d < a.ndim; ++d) {
      const int64_t reach =
          (a.shape()[static_cast<size_t>(d)] - 1) * a.strides()[static_cast<size_t>(d)];
      (reach < 0 ? first : last) += reach;
    }
    const auto start =
        static_cast<uintptr_t>(a.offset) + (shared ? reinterpret_cast<uintptr_t>(s.data) : 0);
    const auto at = [&](int64_t k) { return start + static_cast<uintptr_t>(k * a.itemsize()); };
    ranges.push_back({shared ? nullptr : &s, at(first), at(last + 1), &w});
  }
  std::ranges::sort(ranges, [](const Range& a, const Range& b) {
    return std::tie(a.owner, a.begin) < std::tie(b.owner, b.begin);
  });
  for (size_t k = 1; k < ranges.size(); ++k) {
    Range &a = ranges[k - 1], &b = ranges[k];
    if (a.owner != b.owner || a.end <= b.begin) continue;
    a.work->alone = b.work->alone = true;
    b.end = std::max(a.end, b.end);
  }
}

const std::vector<double>& Step::numbers(const UpdateRule& rule) {
  const bool own = std::ranges::any_of(rule.own, [](const auto& v) { return v.has_value(); });
  if (own || rule.t != numbers_t_) {
    numbers_ = o_.numbers(&rule, rule.t);
    numbers_t_ = own ? -1 : rule.t;
  }
  return numbers_;
}

void Step::add_launch(Work& w) {
  RuleClass& rule = *o_.class_;
  Array& data = w.param->array();
  if (w.grad->dtype != data.dtype || !std::ranges::equal(w.grad->shape(), data.shape()))
    fail(CTN_ESHAPE, o_.entry().name + ": parameter '" + w.rule->param->extra->name + "' is " +
                         array_text(data) + ", its gradient " + array_text(*w.grad));
  const std::vector<double>& values = numbers(*w.rule);
  if (rule.nonzero >= 0) {
    const auto k = static_cast<size_t>(rule.nonzero);
    ctn_value value{};
    value.kind = CTN_FLOAT;
    value.u.f = values[k];
    if (vanishes(values[k], data.dtype))
      fail(CTN_EINVAL, rule.numbers[k] + " of " + o_.entry().name + " optimizer is too small for " +
                           std::string(dtype_name(data.dtype)) + " (" + value_text(value) + ")");
  }
  const bool second = rule.when >= 0 && values[static_cast<size_t>(rule.when)] != 0;
  ArrayProgram& program = second ? *rule.update_when : *rule.update;
  const Compiled& c = program.compiled(data.dtype);
  std::vector<uint64_t> bits;
  program.bits(c, values, bits);
  std::vector<Array*> args = {w.grad.get(), &data};
  args.insert(args.end(), w.states.begin(), w.states.end());
  if (data.is_contiguous()) {
    batches_.of(c, data.device(), w.alone).add(args, bits);
  } else {
    singles_.push_back({&c, std::move(args), std::move(bits)});
  }
}

void Step::change() {
  changed_ = true;
  for (Fresh& f : fresh_) f.rule->states[f.index] = std::move(f.state);
  batches_.run();
  for (const Single& s : singles_) {
    Space space;
    space.set(s.args[0]->shape());
    const std::vector<Align> align(s.args.size(), Align::kFull);
    launch(*s.compiled, s.args[0]->device(), space, s.args, align, s.bits.data());
  }
}

// What the rules wrote to float32 copies reaches the parameters.
void Step::write_back() {
  for (Work& w : work_) {
    if (!w.is_master) continue;
    Array& own = w.rule->param->array();
    copy_into(own, w.param->array());
    w.rule->written_to = own.storage;
    w.rule->written_version = own.storage->version.load();
  }
}

void Optimizer::update() {
  target();
  refuse_in_hook("update");
  if (Capture* c = capture_in(*ctx_)) return c->add_update(*this);
  stepping_ = true;
  try {
    Step(*this).run();
  } catch (...) {
    stepping_ = false;
    throw;
  }
  stepping_ = false;
}

}  // namespace catena
