// Names that nobody registered: see missing.h.
#include "core/missing.h"

#include <algorithm>
#include <numeric>

#include "core/file.h"
#include "core/loader.h"

namespace catena {
namespace {

constexpr size_t kMostSuggested = 3;
constexpr size_t kMostAbsent = 3;
constexpr size_t kLongestName = 64;  // beyond it nobody asks what was meant

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Edits (a letter more, less or another) that make a of b; letters differ by more than their case.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t corner = row[0];
    row[0] = i;
    for (size_t k = 1; k <= b.size(); ++k) {
      const size_t replaced = corner + (lower(a[i - 1]) != lower(b[k - 1]));
      corner = row[k];
      row[k] = std::min({row[k] + 1, row[k - 1] + 1, replaced});
    }
  }
  return row.back();
}

const char* word(Sort sort) {
  switch (sort) {
    case Sort::kOp: return "op";
    case Sort::kBackend: return "backend";
    case Sort::kLink: return "link";
    case Sort::kOptimizer: return "optimizer";
    case Sort::kHook: return "optimizer hook";
    case Sort::kInitializer: return "initializer";
  }
  return "entry";
}

std::string absent_plugins() {
  const PluginReport::Absences& all = plugin_absences();
  std::string out;
  for (size_t i = 0; i < std::min(all.size(), kMostAbsent); ++i) out += "; " + all[i];
  if (all.size() > kMostAbsent)
    out += "; and " + std::to_string(all.size() - kMostAbsent) + " more (ctn_plugin_report)";
  return out;
}

}  // namespace

std::string did_you_mean(std::string_view name, const std::vector<std::string_view>& known) {
  if (name.empty() || name.size() > kLongestName) return {};
  size_t best = name.size() < 5 ? 1 : 2;  // more edits make another word
  std::vector<std::string_view> close;
  for (const std::string_view candidate : known) {
    const size_t d = distance(name, candidate);
    if (d > best || std::find(close.begin(), close.end(), candidate) != close.end()) continue;
    if (d < best) close.clear();
    best = d;
    close.push_back(candidate);
  }
  std::string out;
  for (size_t i = 0; i < std::min(close.size(), kMostSuggested); ++i)
    out += (i ? " or " : "; did you mean ") + quoted(close[i]);
  return out.empty() ? out : out + "?";
}

void fail_missing(Sort sort, std::string_view name) {
  std::string text = std::string("there is no ") + word(sort) + " " + quoted(name);
  if (!default_plugins_asked_for())
    fail(CTN_ENOTFOUND, text +
                            ": the plugins that have them are loaded when the first context is " +
                            "made, or ctn_schema_json is called");
  fail(CTN_ENOTFOUND, text + did_you_mean(name, Registry::get().names(sort)) + absent_plugins());
}

}  // namespace catena
