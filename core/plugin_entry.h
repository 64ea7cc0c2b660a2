// The two functions of a plugin, and all that they may answer. Knows neither files nor other
// plugins.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/plugin.h>

#include <string>
#include <string_view>

#include "core/transaction.h"

namespace catena {

// What a manifest says of the plugin; empty where there is none.
struct Expected {
  std::string_view name, kind;
};

// What the plugin says of itself, checked: a name, a kind, an ABI this runtime can serve. `origin`
// says in messages where it is from.
ctn_plugin_info ask_plugin(ctn_plugin_query_fn query, const std::string& origin,
                           const Expected& expected);

// Lets the plugin register in the transaction, which is then to be committed. Throws what went
// wrong.
void init_in(Registry::Transaction& transaction, ctn_plugin_init_fn init);

// "1.2.3"
std::string version_text(uint32_t version);

}  // namespace catena
