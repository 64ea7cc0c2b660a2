// Optimizer and Hook: what the generated classes of optimizers.hpp have in common.
#pragma once

#include <catena/cpp/link.hpp>

namespace catena::inline cpp {

// A gradient hook of a registered class with its arguments.
struct Hook {
  const char* name;
  std::vector<Value> attrs;
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
  // Hooks run in the order they were added; the name defaults to the class's.
  void add_hook(const Hook& hook, std::string_view name = {}) {
    std::vector<ctn_value> values;
    for (const Value& v : hook.attrs) values.push_back(v.c());
    check(ctn_optimizer_add_hook(get(), {}, detail::str(hook.name), detail::str(name),
                                 CTN_TIMING_AUTO, values.data(),
                                 static_cast<int32_t>(values.size())));
  }
  double hyper(std::string_view name) const {
    double v = 0;
    check(ctn_optimizer_get_hyper(get(), detail::str(name), &v));
    return v;
  }
  void set_hyper(std::string_view name, double value) {
    check(ctn_optimizer_set_hyper(get(), detail::str(name), value));
  }
  int64_t t() const {
    int64_t t = 0;
    check(ctn_optimizer_t(get(), &t));
    return t;
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
