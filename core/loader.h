// Finding, opening and initialising plugins. What is loaded stays loaded: a library is never
// unmapped and a name never changes its file. docs/plugins.md has search order, manifests and
// variables.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/plugin.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/plugin_report.h"
#include "core/registry.h"

namespace catena {

// All of these may be called from any thread; loading is serialised. Inside a plugin's init, what
// would load something is CTN_EINVAL. `use_env`: whether environment variables are read.

// Loads a library (or, by the path of its manifest, the library that names); a no-op if that file
// is loaded already.
void load_plugin_file(std::string_view absolute_path);
// Adds a directory in front of those searched so far.
void add_plugin_dir(std::string_view absolute_path);
// Loads every plugin whose manifest says `autoload = yes`. A plugin that fails does not stop the
// others: the result has one line for each that failed in this call. Cheap when nothing is new.
[[nodiscard]] std::vector<std::string> load_default_plugins(bool use_env);
// The backend, loading the plugin whose manifest provides "backend:NAME" if need be; otherwise
// throws CTN_ENOTFOUND with every place searched and why each candidate failed.
const Backend& require_backend(std::string_view name, bool use_env);
// Loads every plugin whose manifest provides the word ("config:use_ideep"). One that fails does not
// stop the others: a line for each that did.
[[nodiscard]] std::vector<std::string> load_providers(std::string_view word, bool use_env);
// Names of backends for "auto", best first: those CATENA_BACKEND lists, then by priority all that
// are registered or that a manifest provides.
std::vector<std::string> backend_preference(bool use_env);
// What was found, loaded and refused and why, one line each.
std::string plugin_report();
// Why plugins that were found are not loaded, each reason once. Takes no lock.
const PluginReport::Absences& plugin_absences() noexcept;
// Whether the default plugins were loaded, or are being loaded by this thread.
bool default_plugins_asked_for() noexcept;

// Loading without a file, for plugins that are linked in. `origin` says in messages where it is
// from.
void init_plugin(ctn_plugin_query_fn query, ctn_plugin_init_fn init, std::string_view origin);

}  // namespace catena
