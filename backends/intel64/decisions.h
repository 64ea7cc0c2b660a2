// What timing decided, kept with the context so that it can be saved and replayed: for this
// machine, this oneDNN and the context's number of threads. Knows no kernel.
#pragma once

#include <catena/plugin.h>

#include <string>
#include <string_view>

namespace catena::intel64 {

// Empty where nothing was decided.
std::string_view find_decision(ctn_context ctx, std::string_view key);
void add_decision(ctn_context ctx, std::string_view key, std::string_view choice);

}  // namespace catena::intel64
