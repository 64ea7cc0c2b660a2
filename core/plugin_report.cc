// PluginReport: see plugin_report.h.
#include "core/plugin_report.h"

#include <algorithm>

namespace catena {
namespace {

// A plugin's own reason stands in those of the plugins that require it.
bool tell_the_same(const std::string& a, const std::string& b) {
  return a.find(b) != a.npos || b.find(a) != b.npos;
}

// The backend whose devices bring the plugin in; empty if there is none.
std::string_view backend_of(const Manifest& m) {
  for (const std::string_view word : m.provides)
    if (word.starts_with("backend:")) return word.substr(8);
  return {};
}

// What brings a backend in, and nothing that a program may miss by another name.
bool is_backend_alone(const Manifest& m) {
  return !backend_of(m).empty() &&
         std::all_of(m.provides.begin(), m.provides.end(), [](std::string_view word) {
           return word.starts_with("backend:") || word.starts_with("config:");
         });
}

}  // namespace

void PluginReport::tell(const std::string& path, std::string text) {
  if (std::erase_if(absent_, [&](const Item& a) { return a.path == path; })) publish();
  std::replace(text.begin(), text.end(), '\n', ' ');  // one line each
  const auto at = std::find_if(remarks_.begin(), remarks_.end(),
                               [&](const Remark& r) { return r.path == path; });
  if (at != remarks_.end()) {
    at->text = std::move(text);
  } else {
    remarks_.push_back({path, std::move(text)});
  }
}

void PluginReport::tell(const Remark& r) {
  tell(r.path, r.text);
  if (!r.is_absence) return;
  const bool names_itself = r.text.find(r.path) != r.text.npos;
  absent_.push_back({r.path, {}, names_itself ? r.text : r.path + ": " + r.text});
  publish();
}

void PluginReport::found(const Manifest& m) {
  if (std::any_of(remarks_.begin(), remarks_.end(),
                  [&](const Remark& r) { return r.path == m.file; }))
    return;
  const auto same =
      std::find_if(loaded_.begin(), loaded_.end(), [&](const Item& l) { return l.name == m.name; });
  if (same != loaded_.end()) {
    tell(m.file, "found when the plugin was loaded already, from " + same->path);
    return;
  }
  const std::string_view backend = backend_of(m);
  const std::string why = m.autoload ? "no context was made yet"
                          : backend.empty()
                              ? "autoload is no"
                              : "no device of " + std::string(backend) + " was asked for";
  tell(m.file, "found, not loaded: " + why + " (" + m.kind + " " + m.name + ")");
  if (m.autoload || is_backend_alone(m)) return;  // they come when they are needed
  absent_.push_back(
      {m.file, m.name, "plugin '" + m.name + "' (" + m.file + ") was found, not loaded: " + why});
  publish();
}

void PluginReport::refused(const std::string& path, const Error& why) {
  tell(path, std::string("refused: ") + why.what());
  absent_.push_back({path, {}, why.what()});
  publish();
}

void PluginReport::loaded(const std::string& path, const std::string& name,
                          const std::string& text) {
  tell(path, "loaded: " + text);
  loaded_.push_back({path, name, text});
  // The manifest that held it back: the library was asked for by its own path.
  const auto held =
      std::find_if(absent_.begin(), absent_.end(), [&](const Item& a) { return a.name == name; });
  if (held != absent_.end()) tell(std::string(held->path), "loaded: " + text);
}

void PluginReport::publish() {
  auto all = std::make_unique<Absences>();
  for (const Item& a : absent_) {
    const auto told = [&](const std::string& other) { return tell_the_same(other, a.text); };
    if (std::none_of(all->begin(), all->end(), told)) all->push_back(a.text);
  }
  kept_.push_back(std::move(all));
  latest_.store(kept_.back().get(), std::memory_order_release);
}

std::string PluginReport::text() const {
  std::string out;
  for (const Remark& r : remarks_) out += r.path + ": " + r.text + "\n";
  return out;
}

const PluginReport::Absences& PluginReport::absences() const noexcept {
  static const Absences* const none = new Absences;  // leaked: nothing runs at exit
  const Absences* latest = latest_.load(std::memory_order_acquire);
  return latest ? *latest : *none;
}

std::string without_told(std::string text, const std::vector<std::string>& told) {
  for (const std::string& t : told) {
    if (const size_t at = text.find(": " + t); at != text.npos)
      return text.substr(0, at) + ", which was refused";
  }
  return text;
}

}  // namespace catena
