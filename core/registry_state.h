// What is behind the registry: published tables, replaced as a whole, and everything ever
// published, kept for ever because readers hold no lock.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/arena.h"
#include "core/checks.h"
#include "core/expr/expr.h"
#include "core/registry.h"
#include "core/transaction.h"

namespace catena {

// Entries of one sort in order of registration, and by name. Names point into the entries.
template <class T>
struct Shelf {
  std::vector<T*> items;
  std::unordered_map<std::string_view, T*> by_name;

  T* find(std::string_view name) const {
    const auto at = by_name.find(name);
    return at == by_name.end() ? nullptr : at->second;
  }
  void add(T* entry) {
    items.push_back(entry);
    try {
      by_name.emplace(entry->name, entry);
    } catch (...) {
      items.pop_back();
      throw;
    }
  }
};

struct Tables {
  Shelf<Op> ops;
  Shelf<Backend> backends;
  Shelf<LinkEntry> links;
  Shelf<OptimizerEntry> optimizers;
  Shelf<HookEntry> hooks;
  Shelf<InitializerEntry> initializers;
  std::vector<Kernel*> kernels;  // those that wait for their op or backend too
};

// Owns what one transaction registers.
struct Holdings {
  Arena arena;
  std::vector<std::unique_ptr<Op>> ops;
  std::vector<std::unique_ptr<Backend>> backends;
  std::vector<std::unique_ptr<Kernel>> kernels;
  std::vector<std::unique_ptr<LinkEntry>> links;
  std::vector<std::unique_ptr<OptimizerEntry>> optimizers;
  std::vector<std::unique_ptr<HookEntry>> hooks;
  std::vector<std::unique_ptr<InitializerEntry>> initializers;
};

struct Registry::Transaction::Staged {
  std::string plugin;
  std::unique_ptr<Holdings> holdings = std::make_unique<Holdings>();
  Tables tables;  // a copy of the published ones plus what was added
};

struct Registry::Impl {
  std::mutex writing;  // held while a transaction runs
  std::atomic<const Tables*> tables;
  std::vector<std::unique_ptr<const Tables>> all_tables;
  std::vector<std::unique_ptr<const KernelList>> all_lists;
  std::vector<std::unique_ptr<Holdings>> all_holdings;
};

}  // namespace catena
