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
#include "core/plugin_report.h"
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
  PluginReport report;
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

SearchResult search(const std::vector<std::string>& dirs, bool use_env) {
  SearchResult found = search_plugins(dirs, use_env);
  for (const Remark& r : found.remarks) state().report.tell(r);
  for (const Manifest& m : found.manifests) state().report.found(m);
  return found;
}

// `what` it is said to be: "plugin" or "plugin directory".
std::string canonical(std::string_view path, const std::string& what = "plugin") {
  if (path.empty() || path[0] != '/' || path.find('\0') != path.npos) {
    fail(CTN_EINVAL, what + " " + quoted(path) + ": the path is not absolute");
  }
  boost::system::error_code error;
  const fs::path real = fs::canonical(fs::path(std::string(path)), error);
  if (error) fail(CTN_ENOTFOUND, what + " " + std::string(path) + ": " + error.message());
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

// What dlerror() said. Boost puts it between words of its own and an errno that says nothing.
std::string open_reason(std::string_view text, const std::string& file) {
  constexpr std::string_view kMark = "(dlerror system message: ";
  const size_t from = text.find(kMark);
  const size_t to = text.rfind("): ");
  if (from == text.npos || to == text.npos || to < from) return std::string(text);
  text = text.substr(from + kMark.size(), to - from - kMark.size());
  if (text.starts_with(file + ": ")) text.remove_prefix(file.size() + 2);
  return std::string(text);
}

const boost::dll::shared_library& open_library(const std::string& file) {
  auto library = std::make_unique<boost::dll::shared_library>();
  state().libraries.reserve(state().libraries.size() + 1);
  try {
    library->load(fs::path(file),
                  boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
  } catch (const boost::system::system_error& e) {
    fail(CTN_EINVAL, "plugin " + file + " cannot be opened: " + open_reason(e.what(), file));
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
  return std::string(view(info.kind)) + " " + std::string(view(info.name)) + " " +
         version_text(info.version);
}

// ---- libraries and manifests

void open_and_init(const std::string& file, const Expected& expected) {
  check_place(file);
  const boost::dll::shared_library& library = open_library(file);
  auto* query =
      symbol<std::remove_pointer_t<ctn_plugin_query_fn>>(library, "ctn_plugin_query", file);
  auto* init = symbol<std::remove_pointer_t<ctn_plugin_init_fn>>(library, "ctn_plugin_init", file);
  const ctn_plugin_info info = ask_plugin(query, file, expected);
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
  state().report.loaded(file, std::string(view(info.name)), loaded_text(info));
}

void load_library(std::string_view path, const Expected& expected) {
  const std::string file = canonical(path);
  const auto known = state().files.find(file);
  if (known != state().files.end()) {
    if (known->second.loaded) return;
    throw known->second.reason;
  }
  try {
    open_and_init(file, expected);
  } catch (const Error& e) {
    state().report.refused(file, e);
    throw;
  }
}

void load_found(const Manifest& m, const SearchResult& found, std::vector<std::string>& line);

void load_required(const Manifest& m, const std::string& need, const SearchResult& found,
                   std::vector<std::string>& line) {
  if (state().names.contains(need)) return;
  const std::string who = "plugin '" + m.name + "' (" + m.file + ") requires plugin '" + need + "'";
  const auto at = std::find_if(found.manifests.begin(), found.manifests.end(),
                               [&](const Manifest& other) { return other.name == need; });
  if (at == found.manifests.end()) fail(CTN_ENOTFOUND, who + ", which was not found");
  try {
    load_found(*at, found, line);
  } catch (const Error& e) {
    fail(e.code(), who + ": " + e.what());
  }
}

void load_manifest(const Manifest& m, const SearchResult& found, std::vector<std::string>& line) {
  if (std::find(line.begin(), line.end(), m.name) != line.end()) {
    fail(CTN_EINVAL, "plugin '" + m.name + "' (" + m.file + ") requires itself");
  }
  line.push_back(m.name);
  check_abi("plugin '" + m.name + "' (" + m.file + ")", m.abi, m.abi_min);
  for (const std::string& need : m.needs) load_required(m, need, found, line);
  load_library(m.library, {m.name, m.kind});
  line.pop_back();
}

// The same with the outcome in the report. `line`: the plugins that wait for this one.
void load_found(const Manifest& m, const SearchResult& found, std::vector<std::string>& line) {
  try {
    load_manifest(m, found, line);
    state().report.tell(m.file, "loaded: " + m.kind + " " + m.name);
  } catch (const Error& e) {
    state().report.refused(m.file, e);
    throw;
  }
}

void load_found(const Manifest& m, const SearchResult& found) {
  std::vector<std::string> line;
  load_found(m, found, line);
}

std::string places(const SearchResult& found) {
  std::string out = "; searched: ";
  for (const std::string& dir : found.dirs) out += (&dir == found.dirs.data() ? "" : ", ") + dir;
  if (found.dirs.empty()) out += "no directory";
  for (const Remark& r : found.remarks) out += "; " + r.path + ": " + r.text;
  return out;
}

// "; known: cpu, intel64": those that are registered, and those that manifests provide.
std::string known_backends(const SearchResult& found) {
  const std::vector<std::string_view> registered = Registry::get().names(Sort::kBackend);
  std::set<std::string_view> known(registered.begin(), registered.end());
  for (const Manifest& m : found.manifests)
    for (const std::string_view word : m.provides)
      if (word.starts_with("backend:")) known.insert(word.substr(8));
  std::string out;
  for (const std::string_view name : known)
    out += (out.empty() ? "; known: " : ", ") + std::string(name);
  return out;
}

[[noreturn]] void refuse_backend_name(std::string_view name, bool use_env) {
  const Turn turn;
  fail(CTN_EINVAL, "there is no backend " + quoted(name) +
                       ": a device is called NAME or NAME:ID, " +
                       "where NAME is made of a to z, 0 to 9 and _" +
                       known_backends(search(state().dirs, use_env)));
}

}  // namespace

void init_plugin(ctn_plugin_query_fn query, ctn_plugin_init_fn init, std::string_view origin) {
  const Turn turn;
  const std::string from(origin);
  const ctn_plugin_info info = ask_plugin(query, from, {});
  check_name_is_free(info, from);
  bool started = false;
  initialise(info, init, from, &started);
  state().report.loaded(from, std::string(view(info.name)), loaded_text(info));
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
  const std::string dir = canonical(absolute_path, "plugin directory");
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
      failures.push_back(without_told(e.what(), failures));
    }
  }
  done.store(generation, std::memory_order_release);
  return failures;
}

const Backend& require_backend(std::string_view name, bool use_env) {
  if (const Backend* b = Registry::get().find_backend(name)) return *b;
  if (!is_plugin_name(name)) refuse_backend_name(name, use_env);
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
  if (reasons.empty()) reasons = "; no manifest provides it" + known_backends(found);
  fail(CTN_ENOTFOUND, what + " cannot be had" + reasons + places(found));
}

std::vector<std::string> load_providers(std::string_view word, bool use_env) {
  const Turn turn;
  const SearchResult found = search(state().dirs, use_env);
  std::vector<std::string> failures;
  for (const Manifest& m : found.manifests) {
    if (!m.provides_word(word)) continue;
    try {
      load_found(m, found);
    } catch (const Error& e) {
      failures.push_back(e.what());
    }
  }
  return failures;
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

bool default_plugins_asked_for() noexcept {
  const State& s = state();
  return loading || s.defaults_done[0] != 0 || s.defaults_done[1] != 0;
}

const PluginReport::Absences& plugin_absences() noexcept { return state().report.absences(); }

std::string plugin_report() {
  const std::optional<Turn> turn = loading ? std::nullopt : std::optional<Turn>(std::in_place);
  return state().report.text() + Registry::get().idle_kernels();
}

}  // namespace catena
