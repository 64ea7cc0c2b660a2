// What the library says of itself: see registry.h.
#include "registry.h"

#include <algorithm>
#include <catena/cpp/error.hpp>

namespace tool {
namespace {

using catena::check;

constexpr const char* kHeldBack = "found, not loaded";
constexpr const char* kBackend = "no device of ";  // why a backend's plugin is held back

Finding parsed(const std::string& line) {
  Finding f;
  for (const char* state : {"loaded", "refused", "idle", kHeldBack}) {
    const std::string mark = ": " + std::string(state) + ": ";
    const size_t at = line.find(mark);
    if (at != line.npos) return {line.substr(0, at), state, line.substr(at + mark.size())};
  }
  const size_t at = std::min(line.find(": "), line.size());
  f.path = line.substr(0, at);
  f.text = line.substr(std::min(at + 2, line.size()));
  return f;
}

std::vector<Finding> report() {
  ctn_str lines{};
  check(ctn_plugin_report(&lines));
  std::vector<Finding> list;
  const std::string text(lines.p, lines.n);
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    list.push_back(parsed(text.substr(at, end - at)));
    at = end + 1;
  }
  return list;
}

void load_everything() {
  ctn_str unused{};
  check(ctn_schema_json(&unused));  // loads what a first context does and looks for the rest
  for (const Finding& f : report()) {
    // As a context would that asks for its device. Others stay out, as they do for programs.
    if (f.state != kHeldBack || !f.text.starts_with(kBackend)) continue;
    // A plugin that cannot be loaded is no failure of ours: the report has the reason.
    static_cast<void>(ctn_plugin_load({f.path.data(), f.path.size()}));
  }
}

}  // namespace

std::vector<Finding> findings() {
  load_everything();
  return report();
}

std::string refusals(const std::vector<Finding>& all) {
  size_t n = 0;
  std::string reasons;
  for (const Finding& f : all) {
    if (f.state != "refused" || !f.path.ends_with(".ctnplugin")) continue;
    ++n;
    // What another plugin was refused for stands in the text of one that requires it.
    const bool told = std::any_of(all.begin(), all.end(), [&](const Finding& other) {
      return other.state == "refused" && other.text != f.text &&
             f.text.find(other.text) != f.text.npos;
    });
    if (!told) reasons += "\n  " + f.text;
  }
  if (n == 0) return {};
  return (n == 1 ? "1 plugin was refused" : std::to_string(n) + " plugins were refused") + reasons;
}

std::string schema_text() {
  load_everything();
  ctn_str text{};
  check(ctn_schema_json(&text));
  return {text.p, text.n};
}

Json schema() { return Json::parse(schema_text()); }

}  // namespace tool
