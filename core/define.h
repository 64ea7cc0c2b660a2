// From the definitions a plugin hands over to entries of the registry: every member is checked,
// every text and array copied into the arena. Looks nothing up: whether names are free or known is
// the transaction's business.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/plugin.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/arena.h"
#include "core/registry.h"

namespace catena {

std::unique_ptr<Op> define(const ctn_op_def* def, Arena& arena);
std::unique_ptr<Kernel> define(const ctn_kernel_def* def, Arena& arena);
std::unique_ptr<Backend> define(const ctn_backend_def* def, Arena& arena);
std::unique_ptr<LinkEntry> define(const ctn_link_def* def, Arena& arena);
std::unique_ptr<OptimizerEntry> define(const ctn_optimizer_def* def, Arena& arena);
std::unique_ptr<HookEntry> define(const ctn_hook_def* def, Arena& arena);
std::unique_ptr<InitializerEntry> define(const ctn_initializer_def* def, Arena& arena);

// Fills the groups of members that `backend` left out from its parent (NULL: it has none), or
// throws where one is needed and nobody has it.
void inherit(Backend& backend, const Backend* parent);

// "int", "floats" ...; "?" if unknown.
std::string_view kind_name(int32_t kind) noexcept;

// ---- shared by the definitions

inline constexpr int32_t kMostItems = 64;       // inputs, outputs, attributes, checks, states
inline constexpr size_t kMostText = 16 * 1024;  // bytes of one text
inline constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz0123456789_";
inline constexpr std::string_view kLowerDot = "abcdefghijklmnopqrstuvwxyz0123456789_.";
inline constexpr std::string_view kWord =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

// Whether `name` has 1 to `most` characters of `set`.
bool is_name(std::string_view name, std::string_view set, size_t most = 64) noexcept;
// The name, or CTN_EINVAL. `what` says whose: "op name".
std::string checked_name(ctn_str name, std::string_view set, const std::string& what);
// The text in the arena, or CTN_EINVAL if it is too long, no UTF-8 or NULL with a length.
ctn_str checked_text(ctn_str text, Arena& arena, const std::string& what);
// CTN_EINVAL unless 0 <= n <= kMostItems and items is there when n > 0.
void check_array(const void* items, int32_t n, const std::string& what);
// The attributes of `who`, defaults checked against kinds and copied.
std::vector<AttrDef> define_attrs(const ctn_attr_def* attrs, int32_t n, Arena& arena,
                                  const std::string& who);
// CTN_EINVAL if a name occurs twice.
void check_distinct(const std::vector<std::string_view>& names, const std::string& who);

}  // namespace catena
