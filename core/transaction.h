// Registration by one plugin: its ops, kernels, backends, links ... are checked and copied as they
// come, and published together. A ctn_plugin handle is the running transaction of the thread.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/plugin.h>

#include <memory>
#include <mutex>
#include <string>

#include "core/registry.h"

namespace catena {

class Registry::Transaction {
 public:
  // Waits until no other transaction runs. One per thread.
  explicit Transaction(std::string plugin);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  const std::string& plugin() const noexcept;
  ctn_plugin handle() noexcept { return reinterpret_cast<ctn_plugin>(this); }
  // Whether the calling thread is inside a plugin's init.
  static bool running() noexcept;
  // CTN_EINVAL unless `p` is the handle of the thread's running transaction.
  static Transaction& of(ctn_plugin p);

  // Each throws and adds nothing if the definition is wrong or its name is taken. A kernel may name
  // an op or backend that is not there yet: it is used as soon as both are. A backend's parent must
  // be there.
  void add(const ctn_op_def* def);
  void add(const ctn_kernel_def* def);
  void add(const ctn_backend_def* def);
  void add(const ctn_link_def* def);
  void add(const ctn_optimizer_def* def);
  void add(const ctn_hook_def* def);
  void add(const ctn_initializer_def* def);

  // Publishes all of it, or throws CTN_ENOMEM and leaves it for the roll-back.
  void commit();

 private:
  friend class Registry;
  struct Staged;
  static const Tables* staged_tables() noexcept;  // NULL outside a transaction
  std::unique_ptr<Staged> staged_;
  std::unique_lock<std::mutex> writing_;
};

// For the host table: registers in the transaction of `p`.
template <class Def>
void register_in(ctn_plugin p, const Def* def) {
  Registry::Transaction::of(p).add(def);
}

}  // namespace catena
