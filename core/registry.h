// The process-wide registry: ops, backends, kernels, links, optimizers, hooks, initializers, each a
// deep copy of what a plugin registered. Entries are never removed or moved, ids are consecutive,
// and reading takes no lock. Names nothing itself: everything in it comes from plugins.
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
struct Tables;

inline constexpr int kMaxBackends = 16;

// The sorts of entries that have names.
enum class Sort { kOp, kBackend, kLink, kOptimizer, kHook, kInitializer };

struct Backend {
  int32_t id = 0;
  std::string name, plugin;
  const Backend* parent = nullptr;
  ctn_backend_def def{};  // groups of members the plugin left NULL are its parent's
  // Whose `self` goes with each group; NULL where nobody up the line has the group.
  const Backend* memory_owner = nullptr;   // alloc, free, copy: never NULL
  const Backend* device_owner = nullptr;   // device_count, device_info: never NULL
  const Backend* compile_owner = nullptr;  // compile, launch, release
  const Backend* stream_owner = nullptr;   // sync, stream_*, event_*
  const Backend* layout_owner = nullptr;   // layout_bytes, reorder
  uint64_t off_bit = 0;                    // of Config::flags(): its own kernels are passed over
  std::string off_text;                    // why, for the log
};

struct Kernel {
  ctn_kernel_def def{};  // `dtypes` is not to be read, the mask is
  std::string plugin;
  const Backend* backend = nullptr;  // set once both op and backend are there
  uint32_t dtypes = ~0u;             // bit per CTN_BOOL8...: accepted dtypes of the first input
};

// Candidates for (op, backend), best first: own kernels by priority, then the parent's.
struct KernelList {
  std::vector<const Kernel*> items;
};

struct InputDef {
  std::string name;
  std::string type;     // dtype class as written, without the variable
  std::string var;      // type variable: inputs of an expression op that share it have one dtype
  uint32_t flags = 0;   // CTN_IN_*
  uint32_t dtypes = 0;  // bit per dtype number
};
struct OutputDef {
  std::string name;
  std::string type;
  uint32_t flags = 0;  // CTN_OUT_*
  // dtype of this input, or this dtype number; both -1: as infer or compose decides
  int32_t like = -1;
  int32_t dtype = -1;
};
struct AttrDef {
  std::string name;
  std::string doc;
  uint64_t kinds = 0;    // with CTN_REQUIRED
  ctn_value fallback{};  // pointers into the registry's own storage
};

struct Op {
  int32_t id = 0;
  std::string name, label, doc, page;
  uint32_t flags = 0;
  std::vector<InputDef> in;
  std::vector<OutputDef> out;
  std::vector<AttrDef> attrs;
  int32_t n_visible = 0;  // outputs without CTN_OUT_HIDDEN
  bool variadic = false;  // last input
  int32_t min_in = 0;     // inputs that must be given
  // Bit i: backward reads input (output) i; the last bit of a variadic op is set for all that
  // follow.
  uint64_t retain_in = 0, retain_out = 0;
  std::vector<std::string> check_texts;
  std::unique_ptr<const TypeChecks> checks;  // NULL if there are none
  std::shared_ptr<const expr::Row> row;      // expression ops
  std::vector<int32_t> scalar_attrs;         // attribute behind each scalar of the row
  ctn_op_def def{};    // texts point into the registry's own storage; its arrays are NULL
  std::string plugin;  // who registered it
  // indexed by backend id; replaced (never freed) when kernels are added
  std::array<std::atomic<const KernelList*>, kMaxBackends> kernels{};
};

// Why an op has no kernels: "an expression, ..."; NULL if it is a primitive, which has.
const char* why_no_kernels(const Op& op) noexcept;

// Links, optimizers, hooks and initializers share this shape.
template <class Def>
struct Entry {
  std::string name, doc, page, plugin;
  std::vector<AttrDef> attrs;  // constructor arguments or hyperparameters
  Def def{};                   // texts and arrays point into the registry's own storage
};
using LinkEntry = Entry<ctn_link_def>;
using OptimizerEntry = Entry<ctn_optimizer_def>;
using HookEntry = Entry<ctn_hook_def>;
using InitializerEntry = Entry<ctn_initializer_def>;

class Registry {
 public:
  static Registry& get();  // leaked on purpose: nothing runs at exit

  // Lock-free; NULL where there is none. While a plugin registers, its own thread also finds what
  // it has added so far; ids given out then are void if its init fails.
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

  // In order of registration, without internal ops.
  std::vector<std::string_view> names(Sort sort) const;

  // A line for each plugin with kernels that no call comes to, and why.
  std::string idle_kernels() const;

  // Everything as JSON (docs/schema-json.md); made anew on each call.
  std::string json() const;

  // Registration (core/transaction.h): nothing is visible to others before commit(), nothing stays
  // after roll-back, which is destruction without commit.
  class Transaction;

 private:
  struct Impl;
  const Tables& tables() const noexcept;
  Impl* impl_;
  Registry();
};

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
