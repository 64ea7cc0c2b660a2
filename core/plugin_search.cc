// Looking through directories for manifests, in an order that depends on nothing but their names.
#include "core/plugin_search.h"

#include <algorithm>
#include <boost/filesystem.hpp>

#include "core/error.h"
#include "core/sys/place.h"

namespace catena {
namespace {

namespace fs = boost::filesystem;

constexpr size_t kMostManifests = 4096;  // of one directory

std::vector<std::string> built_in_dirs() {
  std::vector<std::string> out;
  const std::string own = library_dir();
  if (!own.empty()) out.push_back(own + "/catena/plugins-" + std::to_string(CTN_ABI_MAJOR));
#ifdef CTN_PLUGIN_DIR
  out.emplace_back(CTN_PLUGIN_DIR);
#endif
  return out;
}

std::vector<std::string> all_dirs(const std::vector<std::string>& own, bool use_env) {
  std::vector<std::string> out = own;
  const std::string_view path = use_env ? safe_env("CATENA_PLUGIN_PATH") : std::string_view();
  const std::vector<std::string> built_in = built_in_dirs();
  const std::vector<std::string> rest = path.empty() ? built_in : expand_path(path, built_in);
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

std::vector<std::string> manifest_files(const std::string& dir, SearchResult& result) {
  std::vector<std::string> out;
  boost::system::error_code error;
  fs::directory_iterator at(dir, error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    const std::string file = at->path().string();
    if (!file.ends_with(kManifestSuffix)) continue;
    if (out.size() == kMostManifests) {
      result.remarks.push_back({dir, "more manifests than " + std::to_string(kMostManifests)});
      break;
    }
    out.push_back(file);
  }
  if (error) result.remarks.push_back({dir, "cannot be read: " + error.message()});
  std::sort(out.begin(), out.end());
  return out;
}

void take_manifest(const std::string& file, std::string_view rule, SearchResult& result) {
  try {
    Manifest m = read_manifest(file);
    const auto same = std::find_if(result.manifests.begin(), result.manifests.end(),
                                   [&](const Manifest& other) { return other.name == m.name; });
    if (same != result.manifests.end()) {
      result.remarks.push_back({file, "hidden by " + same->file});
    } else if (!is_allowed(rule, m.name)) {
      result.remarks.push_back({file, "excluded by CATENA_PLUGINS", true});
    } else {
      result.manifests.push_back(std::move(m));
    }
  } catch (const Error& e) {
    result.remarks.push_back({file, e.what(), true});
  }
}

// Whether the directory is to be looked at; says why where it is not.
bool is_searchable(const std::string& dir, SearchResult& result) {
  if (dir.empty() || dir[0] != '/') {
    result.remarks.push_back({dir, "not searched: the path is not absolute"});
    return false;
  }
  switch (look_at(dir)) {
    case Place::kDirectory: return true;
    case Place::kOpen:
      result.remarks.push_back({dir, "not searched: anybody may write to it"});
      return false;
    default: result.remarks.push_back({dir, "not searched: no such directory"}); return false;
  }
}

}  // namespace

SearchResult search_plugins(const std::vector<std::string>& own, bool use_env) {
  SearchResult result;
  const std::string_view rule = use_env ? safe_env("CATENA_PLUGINS") : std::string_view();
  std::vector<std::string> seen;
  for (const std::string& dir : all_dirs(own, use_env)) {
    if (std::find(seen.begin(), seen.end(), dir) != seen.end()) continue;
    seen.push_back(dir);
    if (!is_searchable(dir, result)) continue;
    result.dirs.push_back(dir);
    for (const std::string& file : manifest_files(dir, result)) take_manifest(file, rule, result);
  }
  return result;
}

bool is_allowed(std::string_view rule, std::string_view name) {
  bool is_list = false;
  bool listed = false;
  for (std::string_view word : split(rule, ',')) {
    word = trimmed(word);
    if (word.starts_with('-')) {
      if (word.substr(1) == name) return false;
    } else if (!word.empty()) {
      is_list = true;
      listed |= word == name;
    }
  }
  return !is_list || (listed && trimmed(rule) != "none");
}

std::vector<std::string> expand_path(std::string_view value,
                                     const std::vector<std::string>& built_in) {
  std::vector<std::string> out;
  const auto add = [&](std::string_view part) {
    for (const std::string_view dir : split(part, ':')) out.emplace_back(dir);
  };
  const size_t mark = value.find("::");
  add(value.substr(0, mark));
  if (mark != value.npos) {
    out.insert(out.end(), built_in.begin(), built_in.end());
    add(value.substr(mark + 2));
  }
  return out;
}

}  // namespace catena
