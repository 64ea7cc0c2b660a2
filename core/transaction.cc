// Adding to the registry: copy-on-write tables, published by one atomic store, and the kernel lists
// of every op and backend that change with them.
#include "core/transaction.h"

#include <algorithm>

#include "core/define.h"
#include "core/registry_state.h"

namespace catena {
namespace {

constinit thread_local Registry::Transaction* current = nullptr;

// "op relu is registered already, by plugin functions".
template <class T>
void check_free(const Shelf<T>& shelf, const std::string& name, const char* what) {
  if (const T* there = shelf.find(name)) {
    fail(CTN_EINVAL,
         std::string(what) + " " + name + " is registered already, by plugin " + there->plugin);
  }
}

template <class T>
void take(std::unique_ptr<T> entry, Shelf<T>& shelf, std::vector<std::unique_ptr<T>>& holdings,
          const std::string& plugin, const char* what) {
  check_free(shelf, entry->name, what);
  entry->plugin = plugin;
  holdings.push_back(std::move(entry));
  T* kept = holdings.back().get();
  shelf.add(kept);
}

}  // namespace

Registry::Transaction::Transaction(std::string plugin) : staged_(std::make_unique<Staged>()) {
  if (current) {
    fail(CTN_EINVAL, "plugin " + plugin + " cannot be loaded while plugin " + current->plugin() +
                         " initialises");
  }
  Impl& impl = *Registry::get().impl_;
  writing_ = std::unique_lock(impl.writing);
  staged_->plugin = std::move(plugin);
  staged_->tables = *impl.tables.load(std::memory_order_acquire);
  current = this;
}

Registry::Transaction::~Transaction() { current = nullptr; }

const std::string& Registry::Transaction::plugin() const noexcept { return staged_->plugin; }
bool Registry::Transaction::running() noexcept { return current != nullptr; }

const Tables* Registry::Transaction::staged_tables() noexcept {
  return current && current->staged_ ? &current->staged_->tables : nullptr;
}

Registry::Transaction& Registry::Transaction::of(ctn_plugin p) {
  if (!current || current->handle() != p) {
    fail(CTN_EINVAL, "registration is possible only inside ctn_plugin_init, with its own handle");
  }
  return *current;
}

void Registry::Transaction::add(const ctn_op_def* def) {
  auto op = define(def, staged_->holdings->arena);
  op->id = static_cast<int32_t>(staged_->tables.ops.items.size());
  take(std::move(op), staged_->tables.ops, staged_->holdings->ops, plugin(), "op");
}

void Registry::Transaction::add(const ctn_backend_def* def) {
  auto b = define(def, staged_->holdings->arena);
  const Shelf<Backend>& there = staged_->tables.backends;
  check_free(there, b->name, "backend");
  const Backend* parent = there.find(view(b->def.parent));
  if (!parent && b->def.parent.n != 0) {
    fail(CTN_ENOTFOUND, "backend " + b->name + ": its parent " + std::string(view(b->def.parent)) +
                            " is not registered; the manifest may name its plugin in 'requires'");
  }
  if (there.items.size() >= kMaxBackends) {
    fail(CTN_EUNSUPPORTED, "backend " + b->name + ": there are " + std::to_string(kMaxBackends) +
                               " backends already");
  }
  inherit(*b, parent);
  b->id = static_cast<int32_t>(there.items.size());
  take(std::move(b), staged_->tables.backends, staged_->holdings->backends, plugin(), "backend");
}

void Registry::Transaction::add(const ctn_kernel_def* def) {
  auto k = define(def, staged_->holdings->arena);
  k->plugin = plugin();
  const Op* op = staged_->tables.ops.find(view(k->def.op));
  if (const char* why = op ? why_no_kernels(*op) : nullptr)
    fail(CTN_EINVAL, "kernel of " + op->name + " for " + std::string(view(k->def.backend)) +
                         ": no call would come to it: the op is " + why);
  for (const Kernel* other : staged_->tables.kernels) {
    if (other->def.priority == k->def.priority && view(other->def.op) == view(k->def.op) &&
        view(other->def.backend) == view(k->def.backend) && other->plugin != k->plugin) {
      fail(CTN_EINVAL, "plugins " + other->plugin + " and " + k->plugin +
                           " both have a kernel of " + std::string(view(k->def.op)) + " for " +
                           std::string(view(k->def.backend)) + " with priority " +
                           std::to_string(k->def.priority));
    }
  }
  staged_->tables.kernels.reserve(staged_->tables.kernels.size() + 1);
  staged_->holdings->kernels.push_back(std::move(k));
  staged_->tables.kernels.push_back(staged_->holdings->kernels.back().get());
}

void Registry::Transaction::add(const ctn_link_def* def) {
  take(define(def, staged_->holdings->arena), staged_->tables.links, staged_->holdings->links,
       plugin(), "link");
}
void Registry::Transaction::add(const ctn_optimizer_def* def) {
  take(define(def, staged_->holdings->arena), staged_->tables.optimizers,
       staged_->holdings->optimizers, plugin(), "optimizer");
}
void Registry::Transaction::add(const ctn_hook_def* def) {
  take(define(def, staged_->holdings->arena), staged_->tables.hooks, staged_->holdings->hooks,
       plugin(), "hook");
}
void Registry::Transaction::add(const ctn_initializer_def* def) {
  take(define(def, staged_->holdings->arena), staged_->tables.initializers,
       staged_->holdings->initializers, plugin(), "initializer");
}

namespace {

struct NewList {
  std::atomic<const KernelList*>* slot;
  std::unique_ptr<const KernelList> list;
};

using KernelsByOp = std::unordered_map<std::string_view, std::vector<const Kernel*>>;

// Highest priority first; equal ones, which are of one plugin, in order of registration.
KernelsByOp kernels_by_op(const Tables& tables) {
  KernelsByOp out;
  for (const Kernel* k : tables.kernels) out[view(k->def.op)].push_back(k);
  for (auto& [op, kernels] : out) {
    std::stable_sort(kernels.begin(), kernels.end(), [](const Kernel* a, const Kernel* b) {
      return a->def.priority > b->def.priority;
    });
  }
  return out;
}

// Own kernels, then the parent's, then its parent's.
std::vector<const Kernel*> candidates(const std::vector<const Kernel*>& kernels, const Backend& b) {
  std::vector<const Kernel*> out;
  for (const Backend* of = &b; of; of = of->parent) {
    for (const Kernel* k : kernels) {
      if (view(k->def.backend) == of->name) out.push_back(k);
    }
  }
  return out;
}

std::vector<NewList> changed_lists(const Tables& tables) {
  const KernelsByOp by_op = kernels_by_op(tables);
  std::vector<NewList> out;
  for (Op* op : tables.ops.items) {
    const auto kernels = by_op.find(op->name);
    if (kernels == by_op.end()) continue;
    for (const Backend* b : tables.backends.items) {
      std::atomic<const KernelList*>& slot = op->kernels[static_cast<size_t>(b->id)];
      auto list = std::make_unique<KernelList>(KernelList{candidates(kernels->second, *b)});
      const KernelList* now = slot.load(std::memory_order_relaxed);
      if (list->items.empty() || (now && now->items == list->items)) continue;
      out.push_back({&slot, std::move(list)});
    }
  }
  return out;
}

}  // namespace

// Everything that may fail comes first; from the first store on nothing throws.
void Registry::Transaction::commit() {
  Impl& impl = *Registry::get().impl_;
  std::vector<NewList> lists = changed_lists(staged_->tables);
  auto tables = std::make_unique<Tables>(std::move(staged_->tables));
  impl.all_tables.reserve(impl.all_tables.size() + 1);
  impl.all_holdings.reserve(impl.all_holdings.size() + 1);
  impl.all_lists.reserve(impl.all_lists.size() + lists.size());

  for (Kernel* k : tables->kernels) {
    // Published already if the backend is set: readers may look at it.
    if (!k->backend && tables->ops.find(view(k->def.op))) {
      k->backend = tables->backends.find(view(k->def.backend));
    }
  }
  for (NewList& n : lists) {
    n.slot->store(n.list.get(), std::memory_order_release);
    impl.all_lists.push_back(std::move(n.list));
  }
  impl.tables.store(tables.get(), std::memory_order_release);
  impl.all_tables.push_back(std::move(tables));
  impl.all_holdings.push_back(std::move(staged_->holdings));
  staged_.reset();
  current = nullptr;
  writing_.unlock();
}

}  // namespace catena
