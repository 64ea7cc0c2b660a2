// Loading: canonical path, one file per name, open, ask, compare versions, initialise, commit.
// Whatever fails is rolled back and remembered; a library that was opened stays open.
#include "core/loader.h"

#include <algorithm>
#include <atomic>
#include <boost/dll/shared_library.hpp>
#include <boost/filesystem.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "core/file.h"
#include "core/manifest.h"
#include "core/plugin_entry.h"
#include "core/plugin_search.h"
#include "core/sys/place.h"
#include "core/transaction.h"

namespace catena {
namespace {

namespace fs = boost::filesystem;

// A library whose init was called: that happens once.
struct File {
  bool loaded = false;
  Error reason{CTN_ENOMEM, "memory was short when the plugin was loaded"};  // why not
};

// Leaked: libraries stay open and nothing runs at exit.
struct State {
  std::mutex mutex;
  std::atomic<int> process = 0;              // that has the mutex
  std::vector<std::string> dirs;             // of add_plugin_dir, newest first
  std::map<std::string, File> files;         // by canonical path
  std::map<std::string, std::string> names;  // of loaded plugins: where each came from
  std::set<std::string> tried;               // manifests load_default_plugins has been through
  std::vector<std::unique_ptr<boost::dll::shared_library>> libraries;
  std::vector<Remark> report;  // latest text of each path
  std::atomic<uint64_t> generation{1};
  std::atomic<uint64_t> defaults_done[2] = {0, 0};  // generation, without and with environment
};

State& state() {
  static State* const s = new State;
  return *s;
}

constinit thread_local bool loading = false;

// Held while anything is loaded. A plugin that tries to load from its own init is refused: it would
// wait for itself. So is a child that was forked while another thread loaded: it would wait for
// ever.
class Turn {
 public:
  Turn() {
    if (loading || Registry::Transaction::running()) {
      fail(CTN_EINVAL, "plugins cannot be loaded from inside a plugin's initialisation");
    }
    const int self = process_id();
    if (const int holder = state().process.load(); holder != 0 && holder != self) {
      fail(CTN_EUNSUPPORTED, "plugins were being loaded when this process was forked");
    }
    lock_ = std::unique_lock(state().mutex);
    state().process.store(self);
    loading = true;
  }
  ~Turn() {
    loading = false;
    state().process.store(0);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  std::unique_lock<std::mutex> lock_;
};

void remark(const std::string& path, std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');  // one line each
  std::vector<Remark>& all = state().report;
  const auto at =
      std::find_if(all.begin(), all.end(), [&](const Remark& r) { return r.path == path; });
  if (at != all.end()) {
    at->text = std::move(text);
  } else {
    all.push_back({path, std::move(text)});
  }
}

SearchResult search(const std::vector<std::string>& dirs, bool use_env) {
  SearchResult found = search_plugins(dirs, use_env);
  for (const Remark& r : found.remarks) remark(r.path, r.text);
  for (const Manifest& m : found.manifests) {
    const auto known = std::find_if(state().report.begin(), state().report.end(),
                                    [&](const Remark& r) { return r.path == m.file; });
    if (known == state().report.end()) remark(m.file, "found: " + m.kind + " " + m.name);
  }
  return found;
}

std::string canonical(std::string_view path) {
  if (path.empty() || path[0] != '/' || path.find('\0') != path.npos) {
    fail(CTN_EINVAL, "plugin path " + quoted(path) + " is not absolute");
  }
  boost::system::error_code error;
  const fs::path real = fs::canonical(fs::path(std::string(path)), error);
  if (error) fail(CTN_ENOTFOUND, "plugin " + std::string(path) + ": " + error.message());
  return real.string();
}

void check_place(const std::string& file) {
  if (look_at(file) != Place::kFile) {
    fail(CTN_EINVAL, "plugin " + file + " is no regular file, or anybody may write to it");
  }
  const std::string dir = file.substr(0, std::max<size_t>(file.rfind('/'), 1));
  if (look_at(dir) == Place::kOpen) {
    fail(CTN_EINVAL, "plugin " + file + ": anybody may write to its directory");
  }
}

// The throwing overload: its text has the reason of dlerror().
const boost::dll::shared_library& open_library(const std::string& file) {
  auto library = std::make_unique<boost::dll::shared_library>();
  state().libraries.reserve(state().libraries.size() + 1);
  try {
    library->load(fs::path(file),
                  boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
  } catch (const boost::system::system_error& e) {
    fail(CTN_EINVAL, "plugin " + file + " cannot be opened: " + e.what());
  }
  state().libraries.push_back(std::move(library));
  return *state().libraries.back();
}

template <class Function>
Function* symbol(const boost::dll::shared_library& library, const char* name,
                 const std::string& file) {
  if (!library.has(name)) fail(CTN_EINVAL, "plugin " + file + " does not export " + name);
  return &library.get<Function>(name);
}

void check_name_is_free(const ctn_plugin_info& info, const std::string& origin) {
  const std::string name(view(info.name));
  const auto there = state().names.find(name);
  if (there != state().names.end()) {
    fail(CTN_EINVAL, "plugin '" + name + "' is loaded already from " + there->second + "; " +
                         origin + " has the same name");
  }
}

// The loader's turn is the caller's. *started tells whether init was called.
void initialise(const ctn_plugin_info& info, ctn_plugin_init_fn init, const std::string& origin,
                bool* started) {
  const std::string name(view(info.name));
  const auto entry = state().names.emplace(name, origin).first;
  try {
    Registry::Transaction transaction(name);
    *started = true;
    init_in(transaction, init);
    transaction.commit();
  } catch (const std::exception& e) {
    state().names.erase(entry);
    const auto* ours = dynamic_cast<const Error*>(&e);
    fail(ours ? ours->code() : CTN_ENOMEM,
         "plugin '" + name + "' (" + origin + ") failed to initialise: " + e.what());
  }
}

std::string loaded_text(const ctn_plugin_info& info) {
  return "loaded: " + std::string(view(info.kind)) + " " + std::string(view(info.name)) + " " +
         version_text(info.version);
}

// ---- libraries and manifests

void open_and_init(const std::string& file, std::string_view expected_name) {
  check_place(file);
  const boost::dll::shared_library& library = open_library(file);
  auto* query =
      symbol<std::remove_pointer_t<ctn_plugin_query_fn>>(library, "ctn_plugin_query", file);
  auto* init = symbol<std::remove_pointer_t<ctn_plugin_init_fn>>(library, "ctn_plugin_init", file);
  const ctn_plugin_info info = ask_plugin(query, file, expected_name);
  check_name_is_free(info, file);
  File& entry = state().files[file];
  bool started = false;
  try {
    initialise(info, init, file, &started);
    entry.loaded = true;
  } catch (const Error& e) {
    entry.reason = e;
    if (!started) state().files.erase(file);
    throw;
  } catch (...) {
    if (!started) state().files.erase(file);
    throw;
  }
  remark(file, loaded_text(info));
}

void load_library(std::string_view path, std::string_view expected_name) {
  const std::string file = canonical(path);
  const auto known = state().files.find(file);
  if (known != state().files.end()) {
    if (known->second.loaded) return;
    throw known->second.reason;
  }
  try {
    open_and_init(file, expected_name);
  } catch (const Error& e) {
    remark(file, std::string("refused: ") + e.what());
    throw;
  }
}

void load_manifest(const Manifest& m, const SearchResult& found, std::vector<std::string>& line) {
  if (std::find(line.begin(), line.end(), m.name) != line.end()) {
    fail(CTN_EINVAL, "plugin '" + m.name + "' (" + m.file + ") requires itself");
  }
  line.push_back(m.name);
  check_abi("plugin '" + m.name + "' (" + m.file + ")", m.abi, m.abi_min);
  for (const std::string& need : m.needs) {
    if (state().names.contains(need)) continue;
    const auto at = std::find_if(found.manifests.begin(), found.manifests.end(),
                                 [&](const Manifest& other) { return other.name == need; });
    if (at == found.manifests.end()) {
      fail(CTN_ENOTFOUND, "plugin '" + m.name + "' (" + m.file + ") requires plugin '" + need +
                              "', which was not found");
    }
    load_manifest(*at, found, line);
  }
  load_library(m.library, m.name);
  line.pop_back();
}

// The same from outside, with the outcome in the report.
void load_found(const Manifest& m, const SearchResult& found) {
  try {
    std::vector<std::string> line;
    load_manifest(m, found, line);
    remark(m.file, "loaded: " + m.kind + " " + m.name);
  } catch (const Error& e) {
    remark(m.file, std::string("refused: ") + e.what());
    throw;
  }
}

std::string places(const SearchResult& found) {
  std::string out = "; searched: ";
  for (const std::string& dir : found.dirs) out += (&dir == found.dirs.data() ? "" : ", ") + dir;
  if (found.dirs.empty()) out += "no directory";
  for (const Remark& r : found.remarks) out += "; " + r.path + ": " + r.text;
  return out;
}

}  // namespace

void init_plugin(ctn_plugin_query_fn query, ctn_plugin_init_fn init, std::string_view origin) {
  const Turn turn;
  const std::string from(origin);
  const ctn_plugin_info info = ask_plugin(query, from, {});
  check_name_is_free(info, from);
  bool started = false;
  initialise(info, init, from, &started);
  remark(from, loaded_text(info));
}

void load_plugin_file(std::string_view absolute_path) {
  const Turn turn;
  if (!absolute_path.ends_with(kManifestSuffix)) return load_library(absolute_path, {});
  const Manifest m = read_manifest(canonical(absolute_path));
  std::vector<std::string> dirs = {m.file.substr(0, std::max<size_t>(m.file.rfind('/'), 1))};
  dirs.insert(dirs.end(), state().dirs.begin(), state().dirs.end());
  load_found(m, search(dirs, false));  // what it requires may lie beside it
}

void add_plugin_dir(std::string_view absolute_path) {
  const Turn turn;
  const std::string dir = canonical(absolute_path);
  const Place place = look_at(dir);
  if (place != Place::kDirectory) {
    fail(CTN_EINVAL, "plugin directory " + dir +
                         (place == Place::kOpen ? ": anybody may write to it" : " is none"));
  }
  std::vector<std::string>& dirs = state().dirs;
  dirs.reserve(dirs.size() + 1);
  std::erase(dirs, dir);
  dirs.insert(dirs.begin(), dir);
  state().generation.fetch_add(1);
}

std::vector<std::string> load_default_plugins(bool use_env) {
  std::atomic<uint64_t>& done = state().defaults_done[use_env ? 1 : 0];
  if (done.load(std::memory_order_acquire) == state().generation.load()) return {};
  const Turn turn;
  const uint64_t generation = state().generation.load();
  const SearchResult found = search(state().dirs, use_env);
  std::vector<std::string> failures;
  for (const Manifest& m : found.manifests) {
    if (!m.autoload || !state().tried.insert(m.file).second) continue;
    try {
      load_found(m, found);
    } catch (const Error& e) {
      failures.emplace_back(e.what());
    }
  }
  done.store(generation, std::memory_order_release);
  return failures;
}

const Backend& require_backend(std::string_view name, bool use_env) {
  if (const Backend* b = Registry::get().find_backend(name)) return *b;
  if (!is_plugin_name(name)) fail(CTN_EINVAL, "backend name " + quoted(name));
  const Turn turn;
  if (const Backend* b = Registry::get().find_backend(name)) return *b;
  const SearchResult found = search(state().dirs, use_env);
  const std::string what = "backend '" + std::string(name) + "'";
  std::string reasons;
  for (const Manifest& m : found.manifests) {
    if (!m.provides_backend(name)) continue;
    try {
      load_found(m, found);
      if (const Backend* b = Registry::get().find_backend(name)) return *b;
      reasons +=
          "; plugin '" + m.name + "' (" + m.library + ") was loaded, but did not register it";
    } catch (const Error& e) {
      reasons += std::string("; ") + e.what();
    }
  }
  if (reasons.empty()) reasons = "; no manifest provides it";
  fail(CTN_ENOTFOUND, what + " cannot be had" + reasons + places(found));
}

std::vector<std::string> backend_preference(bool use_env) {
  std::vector<std::pair<int32_t, std::string>> all;
  const auto add = [&](int32_t priority, std::string_view name) {
    if (std::none_of(all.begin(), all.end(), [&](const auto& a) { return a.second == name; })) {
      all.emplace_back(priority, name);
    }
  };
  const Registry& registry = Registry::get();
  for (int32_t i = 0; i < registry.backend_count(); ++i) {
    add(registry.backend(i)->def.priority, registry.backend(i)->name);
  }
  {
    const Turn turn;
    for (const Manifest& m : search(state().dirs, use_env).manifests) {
      for (const std::string_view word : m.provides) {
        if (word.starts_with("backend:")) add(m.priority, word.substr(8));
      }
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::string> out;
  for (const std::string_view word : split(use_env ? safe_env("CATENA_BACKEND") : "", ',')) {
    if (const std::string_view name = trimmed(word); is_plugin_name(name)) out.emplace_back(name);
  }
  for (const auto& [priority, name] : all) {
    if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
  }
  return out;
}

std::string plugin_report() {
  const std::optional<Turn> turn = loading ? std::nullopt : std::optional<Turn>(std::in_place);
  std::string out;
  for (const Remark& r : state().report) out += r.path + ": " + r.text + "\n";
  return out;
}

}  // namespace catena
