// Optimizer and Hook: what the generated classes of optimizers.hpp have in common.
#pragma once

#include <catena/cpp/link.hpp>

#include <functional>
#include <string>
#include <utility>

namespace catena::inline cpp {

// A gradient hook of a registered class with its arguments.
struct Hook {
  const char* name;
  std::vector<Value> attrs;
};

// Before or after the rule; automatic: as the hook's class says.
enum class Timing { automatic = CTN_TIMING_AUTO, pre = CTN_TIMING_PRE, post = CTN_TIMING_POST };

struct HookOptions {
  std::string name = {};   // the class's, if empty
  std::string param = {};  // path of the parameter whose rule it is for; empty: for the optimizer
  Timing timing = Timing::automatic;
};

class Optimizer
    : public detail::Handle<ctn_optimizer, ctn_optimizer_retain, ctn_optimizer_release> {
  using Base = detail::Handle<ctn_optimizer, ctn_optimizer_retain, ctn_optimizer_release>;

 public:
  using Base::Base;
  Optimizer(const char* name, std::initializer_list<Value> hyper,
            ctn_context ctx = Context::current())
      : Base(create(name, hyper, ctx)) {}

  void setup(const Link& target) { check(ctn_optimizer_setup(get(), target.get())); }
  void update() { check(ctn_optimizer_update(get())); }
  Link target() const {
    ctn_link l = nullptr;
    check(ctn_optimizer_target(get(), &l));
    return Link(l);
  }

  // Hooks run in the order they were added.
  void add_hook(const Hook& hook, const HookOptions& options = {}) {
    std::vector<ctn_value> values;
    for (const Value& v : hook.attrs) values.push_back(v.c());
    check(ctn_optimizer_add_hook(get(), detail::str(options.param), detail::str(hook.name),
                                 detail::str(options.name), static_cast<int32_t>(options.timing),
                                 values.data(), static_cast<int32_t>(values.size())));
  }
  void add_hook(const Hook& hook, std::string_view name) {
    add_hook(hook, HookOptions{.name = std::string(name)});
  }
  // The program's own function of the parameters.
  void add_hook(std::string_view name,
                std::function<void(const std::vector<Variable>& params)> hook,
                const HookOptions& options = {}) {
    const detail::CallbackRef own(std::move(hook));
    own.hand_over();
    check(ctn_optimizer_add_callback(get(), detail::str(options.param), detail::str(name),
                                     static_cast<int32_t>(options.timing), own.c()));
  }
  // `param`: of that parameter's rule, otherwise of the optimizer.
  void remove_hook(std::string_view name, std::string_view param = {}) {
    check(ctn_optimizer_remove_hook(get(), detail::str(param), detail::str(name)));
  }
  double hyper(std::string_view name) const {
    double v = 0;
    check(ctn_optimizer_get_hyper(get(), detail::str(name), &v));
    return v;
  }
  void set_hyper(std::string_view name, double value) {
    check(ctn_optimizer_set_hyper(get(), detail::str(name), value));
  }
  // One parameter's own, before the optimizer's; path as in "l1/W".
  double rule_hyper(std::string_view path, std::string_view name) const {
    double v = 0;
    check(ctn_optimizer_get_rule_hyper(get(), detail::str(path), detail::str(name), &v));
    return v;
  }
  void set_rule_hyper(std::string_view path, std::string_view name, double value) {
    check(ctn_optimizer_set_rule_hyper(get(), detail::str(path), detail::str(name), value));
  }
  void enable_rule(std::string_view path, bool enabled = true) {
    check(ctn_optimizer_enable_rule(get(), detail::str(path), enabled));
  }
  // Updates done, of all and of one parameter; epochs counted.
  int64_t t() const {
    int64_t t = 0;
    check(ctn_optimizer_t(get(), &t));
    return t;
  }
  int64_t rule_t(std::string_view path) const {
    int64_t t = 0;
    check(ctn_optimizer_rule_t(get(), detail::str(path), &t));
    return t;
  }
  int64_t epoch() const {
    int64_t n = 0;
    check(ctn_optimizer_epoch(get(), &n));
    return n;
  }
  int64_t new_epoch() {
    int64_t n = 0;
    check(ctn_optimizer_new_epoch(get(), &n));
    return n;
  }
  // A state of one parameter's rule ("m"), which its first update makes.
  Array state(std::string_view path, std::string_view name) const {
    ctn_array a = nullptr;
    check(ctn_optimizer_state(get(), detail::str(path), detail::str(name), &a));
    return Array(a);
  }
  // What a loop shall hand to backward (0: none); gradients are divided by what it was handed.
  double loss_scale() const {
    double scale = 0;
    check(ctn_optimizer_loss_scale(get(), &scale));
    return scale;
  }
  void set_loss_scale(double scale) { check(ctn_optimizer_set_loss_scale(get(), scale)); }
  // Whether float16 parameters are updated through float32 copies.
  void use_fp32_update(bool enabled = true) {
    check(ctn_optimizer_use_fp32_update(get(), enabled));
  }

 private:
  static ctn_optimizer create(const char* name, std::initializer_list<Value> hyper,
                              ctn_context ctx) {
    std::vector<ctn_value> values;
    for (const Value& v : hyper) values.push_back(v.c());
    ctn_optimizer o = nullptr;
    check(ctn_optimizer_create(ctx, detail::str(name), values.data(),
                               static_cast<int32_t>(values.size()), &o));
    return o;
  }
};

}  // namespace catena::inline cpp
