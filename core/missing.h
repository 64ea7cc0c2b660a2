// Errors for names that nobody registered: what was meant perhaps, and what there is to know of the
// plugins that may have it. Knows no name itself.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <string>
#include <string_view>
#include <vector>

#include "core/registry.h"

namespace catena {

// "; did you mean 'relu'?": the names closest to `name`, at most three; empty where none is close.
std::string did_you_mean(std::string_view name, const std::vector<std::string_view>& known);

// Throws CTN_ENOTFOUND: "there is no op 'relo'; did you mean 'relu'?", with why plugins that were
// found are not loaded, or that none has been asked for yet.
[[noreturn]] void fail_missing(Sort sort, std::string_view name);

}  // namespace catena
