// Optimizers: the update rules of a link's parameters with their states and hooks. What a class
// computes is data (rule.h); knows no class by name.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/link.h"
#include "core/rule.h"

struct ctn_optimizer_s {};

namespace catena {

// One hook under its name: of a registered class, or the host's own function.
struct HookSlot {
  std::string name;
  bool post = false;
  HookClass* hook = nullptr;  // NULL: `values` is one callback
  Values values;              // attributes
};

struct UpdateRule {
  Ref<Variable> param;
  int64_t t = 0;
  std::vector<std::optional<double>> own;  // hyperparameters; where absent the optimizer's hold
  std::vector<Ref<Array>> states;          // by the class's definition; entries NULL: not made yet
  std::vector<HookSlot> hooks;
  // The float32 copy of a float16 parameter and what the parameter was when it was written back.
  Ref<Variable> master;
  const Storage* written_to = nullptr;
  uint32_t written_version = 0;
};

class Optimizer : public ctn_optimizer_s {
 public:
  static Ref<Optimizer> create(Context& ctx, const OptimizerEntry& entry,
                               std::span<const ctn_value> hyper);
  static Ref<Optimizer> create(Context& ctx, const OptimizerEntry& entry,
                               std::span<const ctn_attr> hyper);
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  void retain() { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;
  Context& ctx() const { return *ctx_; }
  const OptimizerEntry& entry() const { return *class_->entry; }

  void setup(Link& target);
  Link& target() const;  // throws CTN_EINVAL before setup
  void update();

  void set_hyper(std::string_view name, double value) { hyper_[hyper_index(name)] = value; }
  double get_hyper(std::string_view name) const { return get(nullptr, t, name); }
  void set_rule_hyper(std::string_view path, std::string_view name, double value);
  double get_rule_hyper(std::string_view path, std::string_view name);

  // path empty: hooks of the optimizer. Timing CTN_TIMING_*.
  void add_hook(std::string_view path, const HookEntry& hook, std::string_view name, int32_t timing,
                std::span<const ctn_value> attrs);
  void add_callback(std::string_view path, std::string_view name, int32_t timing,
                    const ctn_value& callback);
  void remove_hook(std::string_view path, std::string_view name);

  UpdateRule& rule(std::string_view path);
  // NULL for a parameter that was not there at setup.
  UpdateRule* find_rule(const Variable& p);
  // Whether updates of this rule keep state `index`.
  bool has_state(const UpdateRule& rule, size_t index) const;

  int64_t t = 0;
  int64_t epoch = 0;
  double loss_scale = 0;  // for whoever calls backward; 0: none
  bool fp32_update = false;

 private:
  friend class Step;
  Optimizer(Context& ctx, RuleClass& rule_class);
  ~Optimizer() = default;
  static Ref<Optimizer> make(Context& ctx, const OptimizerEntry& entry,
                             std::span<const ctn_value> bound);
  size_t hyper_index(std::string_view name) const;
  double value(const UpdateRule* rule, size_t hyper) const;
  double get(const UpdateRule* rule, int64_t count, std::string_view name) const;
  // Hyperparameters, t, and what the class computes from them.
  std::vector<double> numbers(const UpdateRule* rule, int64_t count) const;
  // A hook may not change what the running step walks over.
  void refuse_in_hook(const char* what) const;
  HookSlot& new_hook(std::string_view path, std::string_view name);

  std::atomic<int64_t> refs_{1};
  Context* ctx_;
  RuleClass* class_;
  std::vector<double> hyper_;
  Ref<Link> target_;
  std::vector<UpdateRule> rules_;
  std::map<const Variable*, size_t> index_;
  std::vector<HookSlot> hooks_;
  bool stepping_ = false;
};

inline Optimizer* to_optimizer(ctn_optimizer o) {
  if (!o) fail_argument("optimizer is NULL");
  return static_cast<Optimizer*>(o);
}

}  // namespace catena
