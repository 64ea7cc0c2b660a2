// Optimizers: making, settings, hooks. A step is in step.cc.
#include "core/optimizer.h"

#include <algorithm>
#include <new>

namespace catena {
namespace {

double number_of(const ctn_value& v) {
  return v.kind == CTN_FLOAT ? v.u.f : static_cast<double>(v.u.i);
}

std::string quoted_name(std::string_view name) { return "'" + std::string(name) + "'"; }

bool is_post(int32_t timing, bool automatic, std::string_view who) {
  switch (timing) {
    case CTN_TIMING_AUTO: return automatic;
    case CTN_TIMING_PRE: return false;
    case CTN_TIMING_POST: return true;
    default: fail(CTN_EINVAL, std::string(who) + ": unknown timing " + std::to_string(timing));
  }
}

}  // namespace

Optimizer::Optimizer(Context& ctx, RuleClass& rule_class) : ctx_(&ctx), class_(&rule_class) {}

void Optimizer::release() noexcept {
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  Context* ctx = ctx_;
  this->~Optimizer();
  ctx->free_object(this, sizeof(Optimizer));
}

Ref<Optimizer> Optimizer::make(Context& ctx, const OptimizerEntry& entry,
                               std::span<const ctn_value> bound) {
  RuleClass& rule_class = RuleClass::of(entry);
  auto o =
      Ref<Optimizer>::take(new (ctx.alloc_object(sizeof(Optimizer))) Optimizer(ctx, rule_class));
  for (const ctn_value& v : bound) o->hyper_.push_back(number_of(v));
  return o;
}

Ref<Optimizer> Optimizer::create(Context& ctx, const OptimizerEntry& entry,
                                 std::span<const ctn_value> hyper) {
  std::vector<ctn_value> bound(entry.attrs.size());
  bind_attrs(entry.name, entry.attrs, hyper, bound.data());
  return make(ctx, entry, bound);
}

Ref<Optimizer> Optimizer::create(Context& ctx, const OptimizerEntry& entry,
                                 std::span<const ctn_attr> hyper) {
  std::vector<ctn_value> bound(entry.attrs.size());
  bind_named(entry.name, entry.attrs, hyper, bound.data());
  return make(ctx, entry, bound);
}

void Optimizer::refuse_in_hook(const char* what) const {
  if (stepping_) fail(CTN_EINVAL, std::string(what) + " of an optimizer from inside its own hook");
}

void Optimizer::setup(Link& target) {
  refuse_in_hook("setup");
  if (&target.ctx() != ctx_) fail(CTN_EINVAL, "optimizer and link belong to different contexts");
  std::vector<UpdateRule> rules;
  std::map<const Variable*, size_t> index;
  LinkWalk walk(target);
  while (const LinkItem* item = walk.next()) {
    // a parameter with several paths has one rule and is updated once
    if (!item->param || !index.emplace(item->param.get(), rules.size()).second) continue;
    UpdateRule& rule = rules.emplace_back();
    rule.param = item->param;
    rule.own.resize(class_->n_hyper());
    rule.states.resize(static_cast<size_t>(entry().def.n_state));
  }
  for (UpdateRule& rule : rules) rule.param->extra->parameter->update_enabled = true;
  target_ = Ref<Link>::share(&target);
  rules_.swap(rules);
  index_ = std::move(index);
  // What they hold goes last: a callback's drop may use the optimizer.
  const std::vector<HookSlot> hooks = std::exchange(hooks_, {});
  t = 0;
  epoch = 0;
}

Link& Optimizer::target() const {
  if (!target_) fail(CTN_EINVAL, entry().name + ": the optimizer was not set up with a link");
  return *target_;
}

// ---- hyperparameters

size_t Optimizer::hyper_index(std::string_view name) const {
  const auto& attrs = entry().attrs;
  const auto at = std::ranges::find(attrs, name, &AttrDef::name);
  if (at == attrs.end())
    fail(CTN_ENOTFOUND, entry().name + " has no hyperparameter " + quoted_name(name));
  return static_cast<size_t>(at - attrs.begin());
}

double Optimizer::value(const UpdateRule* rule, size_t hyper) const {
  return rule && rule->own[hyper] ? *rule->own[hyper] : hyper_[hyper];
}

std::vector<double> Optimizer::numbers(const UpdateRule* rule, int64_t count) const {
  std::vector<double> values;
  values.reserve(class_->numbers.size());
  for (size_t k = 0; k < hyper_.size(); ++k) values.push_back(value(rule, k));
  values.push_back(static_cast<double>(count));
  class_->scalars.run(values);
  return values;
}

double Optimizer::get(const UpdateRule* rule, int64_t count, std::string_view name) const {
  const auto& derived = class_->scalars.outputs();
  const auto at = std::ranges::find(derived, name);
  if (at == derived.end()) return value(rule, hyper_index(name));
  if (count == 0)
    fail(CTN_EINVAL, "Can't determine " + std::string(name) + " of " + entry().name +
                         " because the update steps have not been started.");
  return numbers(rule, count)[hyper_.size() + 1 + static_cast<size_t>(at - derived.begin())];
}

void Optimizer::set_rule_hyper(std::string_view path, std::string_view name, double value) {
  rule(path).own[hyper_index(name)] = value;
}

double Optimizer::get_rule_hyper(std::string_view path, std::string_view name) {
  const UpdateRule& r = rule(path);
  return get(&r, r.t, name);
}

// ---- rules

UpdateRule* Optimizer::find_rule(const Variable& p) {
  const auto at = index_.find(&p);
  return at == index_.end() ? nullptr : &rules_[at->second];
}

UpdateRule& Optimizer::rule(std::string_view path) {
  const LinkItem& item = target().at(path);
  if (!item.param) fail(CTN_ENOTFOUND, quoted_name(path) + " is no parameter");
  UpdateRule* found = find_rule(*item.param);
  if (!found)
    fail(CTN_ENOTFOUND, quoted_name(path) + " was added to the link after the optimizer's setup");
  return *found;
}

bool Optimizer::has_state(const UpdateRule& rule, size_t index) const {
  if ((entry().def.state[index].flags & CTN_STATE_WHEN) == 0) return true;
  return class_->when >= 0 && value(&rule, static_cast<size_t>(class_->when)) != 0;
}

// ---- hooks

HookSlot& Optimizer::new_hook(std::string_view path, std::string_view name) {
  refuse_in_hook("add_hook");
  target();
  std::vector<HookSlot>& hooks = path.empty() ? hooks_ : rule(path).hooks;
  if (name.empty()) fail(CTN_EINVAL, "a hook needs a name");
  if (std::ranges::find(hooks, name, &HookSlot::name) != hooks.end())
    fail(CTN_EINVAL, "there is a hook " + quoted_name(name) + " already");
  HookSlot& slot = hooks.emplace_back();
  slot.name = name;
  return slot;
}

void Optimizer::add_hook(std::string_view path, const HookEntry& hook, std::string_view name,
                         int32_t timing, std::span<const ctn_value> attrs) {
  const bool post = is_post(timing, (hook.def.flags & CTN_HOOK_POST) != 0, hook.name);
  if (!path.empty() && (hook.def.flags & CTN_HOOK_PER_PARAM) == 0)
    fail(CTN_EINVAL, hook.name + " looks at all parameters, it cannot be added to one's rule");
  std::vector<ctn_value> bound(hook.attrs.size());
  bind_attrs(hook.name, hook.attrs, attrs, bound.data());
  HookClass& hook_class = HookClass::of(hook);
  Values values{bound};
  HookSlot& slot = new_hook(path, name.empty() ? hook.name : name);
  slot.post = post;
  slot.hook = &hook_class;
  slot.values = std::move(values);
}

void Optimizer::add_callback(std::string_view path, std::string_view name, int32_t timing,
                             const ctn_value& callback) {
  const bool post = is_post(timing, false, name);
  Values values({&callback, 1});
  HookSlot& slot = new_hook(path, name);
  slot.post = post;
  slot.values = std::move(values);
}

void Optimizer::remove_hook(std::string_view path, std::string_view name) {
  refuse_in_hook("remove_hook");
  std::vector<HookSlot>& hooks = path.empty() ? hooks_ : rule(path).hooks;
  const auto at = std::ranges::find(hooks, name, &HookSlot::name);
  if (at == hooks.end()) fail(CTN_ENOTFOUND, "there is no hook " + quoted_name(name));
  const HookSlot gone = std::move(*at);  // its drop may use the optimizer: last
  hooks.erase(at);
}

}  // namespace catena
