// Which plugins there are: the directories in order, their manifests, and what the environment
// allows. Reads files, opens no library.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <string>
#include <string_view>
#include <vector>

#include "core/manifest.h"

namespace catena {

// Something found that is not used, and why: a directory, a manifest.
struct Remark {
  std::string path;
  std::string text;
  bool is_absence = false;  // a plugin that programs may miss
};

struct SearchResult {
  std::vector<std::string> dirs;    // searched, in order
  std::vector<Manifest> manifests;  // first of each name that may be loaded, in order
  std::vector<Remark> remarks;
};

// `own` comes first; docs/plugins.md has the rest of the order. With use_env, CATENA_PLUGIN_PATH
// and CATENA_PLUGINS are read.
SearchResult search_plugins(const std::vector<std::string>& own, bool use_env);

// The rule of CATENA_PLUGINS: "none", a list of names, or of "-name" for all others.
bool is_allowed(std::string_view rule, std::string_view name);
// The directories a value of CATENA_PLUGIN_PATH stands for; "::" inserts `built_in`.
std::vector<std::string> expand_path(std::string_view value,
                                     const std::vector<std::string>& built_in);

}  // namespace catena
