// The process-wide registry: ops, backends, kernels, links, optimizers, hooks, initializers, each a
// deep copy of what a plugin registered. Entries are never removed or moved, ids are consecutive, and
// reading takes no lock. Names nothing itself: everything in it comes from plugins.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/plugin.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace catena {

namespace expr {
class Row;
}
class TypeChecks;

inline constexpr int kMaxBackends = 16;

struct Backend {
  int32_t id = 0;
  std::string name;
  Backend* parent = nullptr;
  ctn_backend_def def{};  // members the plugin left NULL are its parent's, `owner` says whose
  // whose `self` goes with each inherited group of members
  Backend* memory_owner = nullptr;   // alloc, free, copy
  Backend* compile_owner = nullptr;  // compile, launch, release
  Backend* device_owner = nullptr;   // device_count, device_info
  Backend* stream_owner = nullptr;   // sync, stream_*, event_*
};

struct Kernel {
  ctn_kernel_def def{};
  Backend* backend = nullptr;
  uint32_t dtypes = ~0u;  // bit per CTN_BOOL8...: accepted dtypes of the first input
};

// Candidates for (op, backend), best first: own kernels by priority, then the parent's.
struct KernelList {
  std::vector<const Kernel*> items;
};

struct InputDef {
  std::string name;
  uint32_t flags = 0;
  uint32_t dtypes = ~0u;  // bit per dtype number
};
struct OutputDef {
  std::string name;
  uint32_t flags = 0;
  int32_t like = -1;   // dtype of this input, or
  int32_t dtype = -1;  // this dtype number
};
struct AttrDef {
  std::string name;
  std::string doc;
  uint64_t kinds = 0;  // with CTN_REQUIRED
  ctn_value fallback{};  // pointers into the registry's own storage
};

struct Op {
  int32_t id = 0;
  std::string name, label, doc, page;
  uint32_t flags = 0;
  std::vector<InputDef> in;
  std::vector<OutputDef> out;
  std::vector<AttrDef> attrs;
  int32_t n_visible = 0;       // outputs without CTN_OUT_HIDDEN
  bool variadic = false;       // last input
  int32_t min_in = 0;          // inputs that must be given
  uint64_t retain_in = 0, retain_out = 0;
  std::vector<std::string> check_texts;
  std::unique_ptr<const TypeChecks> checks;  // NULL if there are none
  std::shared_ptr<const expr::Row> row;      // expression ops
  ctn_op_def def{};                          // callbacks and self; its pointers are not to be read
  std::string plugin;                        // who registered it
  // indexed by backend id; replaced (never freed) when kernels are added
  std::array<std::atomic<const KernelList*>, kMaxBackends> kernels{};
};

// Links, optimizers, hooks and initializers share this shape.
template <class Def>
struct Entry {
  std::string name, doc, page, plugin;
  std::vector<AttrDef> attrs;  // constructor arguments or hyperparameters
  Def def{};                   // strings and arrays point into the registry's own storage
};
using LinkEntry = Entry<ctn_link_def>;
using OptimizerEntry = Entry<ctn_optimizer_def>;
using HookEntry = Entry<ctn_hook_def>;
using InitializerEntry = Entry<ctn_initializer_def>;

class Registry {
 public:
  static Registry& get();  // leaked on purpose: nothing runs at exit

  // Lock-free; NULL or -1 where there is none.
  const Op* op(int32_t id) const noexcept;
  int32_t op_count() const noexcept;
  const Op* find_op(std::string_view name) const;
  const Backend* backend(int32_t id) const noexcept;
  int32_t backend_count() const noexcept;
  const Backend* find_backend(std::string_view name) const;
  const LinkEntry* find_link(std::string_view name) const;
  const OptimizerEntry* find_optimizer(std::string_view name) const;
  const HookEntry* find_hook(std::string_view name) const;
  const InitializerEntry* find_initializer(std::string_view name) const;

  // Everything as JSON (docs/schema.md); made anew on each call.
  std::string json() const;

  // Registration, used by the loader: nothing is visible before commit(), nothing stays after
  // roll-back (destruction without commit).
  class Transaction;

 private:
  struct Impl;
  Impl* impl_;
  Registry();
};

// Loads plugins. Search order and manifests: docs/plugins.md.
void load_plugin_file(std::string_view absolute_path);
void add_plugin_dir(std::string_view absolute_path);
// Loads every plugin whose manifest says `autoload = yes` (op, link, optimizer sets); once.
void load_default_plugins(bool use_env);
// The backend, loading the plugin whose manifest provides "backend:NAME"; throws CTN_ENOTFOUND with
// every path tried and why.
const Backend& require_backend(std::string_view name, bool use_env);
// Names of backends for "auto", best first, with the environment's preference.
std::vector<std::string> backend_preference(bool use_env);
std::string plugin_report();
// The table plugins are handed (core/host.cc fills it).
const ctn_host* host_table();

// Small number of a dtype (CTN_BOOL8 ...), or -1.
int32_t dtype_index(ctn_dtype dtype) noexcept;
ctn_dtype dtype_of(int32_t index) noexcept;
// "float32"; "?" if unknown.
std::string_view dtype_name(int32_t index) noexcept;
int32_t dtype_from_name(std::string_view name) noexcept;  // -1 if unknown
inline constexpr uint8_t kDtypeBytes[CTN_DTYPE_COUNT] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8, 2};
inline constexpr uint32_t kFloating =
    1u << CTN_FLOAT16 | 1u << CTN_FLOAT32 | 1u << CTN_FLOAT64 | 1u << CTN_BFLOAT16;
inline bool is_floating(int32_t index) noexcept { return index >= 0 && (kFloating >> index & 1u); }

}  // namespace catena
