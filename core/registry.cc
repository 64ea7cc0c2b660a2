// Looking things up: an atomic load and a table. Registration is in transaction.cc.
#include "core/registry.h"

#include <map>

#include "core/registry_state.h"

namespace catena {

Registry::Registry() : impl_(new Impl) {
  impl_->all_tables.push_back(std::make_unique<Tables>());
  impl_->tables.store(impl_->all_tables.back().get(), std::memory_order_release);
}

Registry& Registry::get() {
  static Registry* const registry = new Registry;
  return *registry;
}

// The running transaction's tables contain the published ones, so its thread asks only these.
const Tables& Registry::tables() const noexcept {
  const Tables* staged = Transaction::staged_tables();
  return staged ? *staged : *impl_->tables.load(std::memory_order_acquire);
}

namespace {

template <class T>
const T* nth(const Shelf<T>& shelf, int32_t id) {
  const auto i = static_cast<size_t>(id);
  return i < shelf.items.size() ? shelf.items[i] : nullptr;
}

}  // namespace

const Op* Registry::op(int32_t id) const noexcept { return nth(tables().ops, id); }
int32_t Registry::op_count() const noexcept {
  return static_cast<int32_t>(tables().ops.items.size());
}
const Op* Registry::find_op(std::string_view name) const { return tables().ops.find(name); }

const Backend* Registry::backend(int32_t id) const noexcept { return nth(tables().backends, id); }
int32_t Registry::backend_count() const noexcept {
  return static_cast<int32_t>(tables().backends.items.size());
}
const Backend* Registry::find_backend(std::string_view name) const {
  return tables().backends.find(name);
}

const LinkEntry* Registry::find_link(std::string_view name) const {
  return tables().links.find(name);
}
const OptimizerEntry* Registry::find_optimizer(std::string_view name) const {
  return tables().optimizers.find(name);
}
const HookEntry* Registry::find_hook(std::string_view name) const {
  return tables().hooks.find(name);
}
const InitializerEntry* Registry::find_initializer(std::string_view name) const {
  return tables().initializers.find(name);
}

const char* why_no_kernels(const Op& op) noexcept {
  if (op.row) return "an expression, which backends compile";
  return op.def.compose ? "composed of other ops" : nullptr;
}

namespace {

// Why no call comes to a kernel; NULL where calls may.
const char* why_idle(const Tables& tables, const Kernel& k) {
  const Op* op = tables.ops.find(view(k.def.op));
  if (!op) return "no such op";
  if (!tables.backends.find(view(k.def.backend))) return "no such backend";
  return why_no_kernels(*op);
}

}  // namespace

std::string Registry::idle_kernels() const {
  constexpr int kMostTold = 8;
  const Tables& all = tables();
  std::map<std::string_view, std::pair<std::string, int>> idle;
  for (const Kernel* k : all.kernels) {
    const char* why = why_idle(all, *k);
    if (!why) continue;
    auto& [text, n] = idle[k->plugin];
    if (++n > kMostTold) continue;
    text += (n == 1 ? "" : ", ") + std::string(view(k->def.op)) + " for " +
            std::string(view(k->def.backend)) + " (" + why + ")";
  }
  std::string out;
  for (const auto& [plugin, told] : idle) {
    out += "plugin " + std::string(plugin) + ": idle: kernels that no call comes to: " + told.first;
    if (told.second > kMostTold) out += " and " + std::to_string(told.second - kMostTold) + " more";
    out += "\n";
  }
  return out;
}

namespace {

template <class T>
std::vector<std::string_view> names_of(const Shelf<T>& shelf) {
  std::vector<std::string_view> out;
  for (const T* entry : shelf.items) {
    if constexpr (std::is_same_v<T, Op>) {
      if (entry->flags & CTN_OP_INTERNAL) continue;
    }
    out.push_back(entry->name);
  }
  return out;
}

}  // namespace

std::vector<std::string_view> Registry::names(Sort sort) const {
  const Tables& t = tables();
  switch (sort) {
    case Sort::kOp: return names_of(t.ops);
    case Sort::kBackend: return names_of(t.backends);
    case Sort::kLink: return names_of(t.links);
    case Sort::kOptimizer: return names_of(t.optimizers);
    case Sort::kHook: return names_of(t.hooks);
    case Sort::kInitializer: return names_of(t.initializers);
  }
  return {};
}

}  // namespace catena
