// Looking things up: an atomic load and a table. Registration is in transaction.cc.
#include "core/registry.h"

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

}  // namespace catena
