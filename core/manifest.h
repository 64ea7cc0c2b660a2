// Manifests: what a plugin is, known without running its code. docs/plugins.md has the keys.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace catena {

inline constexpr std::string_view kManifestSuffix = ".ctnplugin";

struct Manifest {
  std::string file;     // path of the manifest
  std::string name;     // [a-z0-9_]{1,32}
  std::string kind;     // "backend", "ops" or "mixed"
  std::string library;  // absolute: the manifest's directory and the relative path it names
  uint32_t abi = 0;     // major << 16 | minor it was built for
  uint32_t abi_min = 0;
  int32_t priority = 0;
  bool autoload = false;
  std::vector<std::string> provides;  // "backend:cpu", "op:*"
  std::vector<std::string> needs;     // plugins loaded before it

  bool provides_backend(std::string_view backend) const;
  bool provides_word(std::string_view word) const;  // as it stands in the manifest
};

// Throws CTN_EFORMAT with file, line and reason. `file` is absolute.
Manifest parse_manifest(std::string_view text, const std::string& file);
Manifest read_manifest(const std::string& file);

// [a-z0-9_]{1,32}
bool is_plugin_name(std::string_view name);
// "0.1"
std::string abi_text(uint32_t abi);
// Throws CTN_EVERSION in words unless this runtime can run the plugin. `who` names it and its file.
void check_abi(const std::string& who, uint32_t built, uint32_t least);
// The words of a text between spaces (or another separator).
std::vector<std::string_view> split(std::string_view text, char separator = ' ');
std::string_view trimmed(std::string_view text);

}  // namespace catena
