// What backends found out by timing (configuration key `autotune`), so that it can be saved,
// shipped and replayed: texts by a scope (what the timing holds for) and a key (the call). Knows
// neither what they mean nor who asks.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/types.h>

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace catena {

// The decisions of one context. Thread-safe; texts that were handed out stay as long as this does.
class Tuning {
 public:
  // Empty where nothing was decided.
  std::string_view find(std::string_view scope, std::string_view key) const;
  // Replaces one that is there. Throws CTN_EINVAL for texts that no line of a file can hold.
  void add(std::string_view scope, std::string_view key, std::string_view choice);

  // docs/tuning.md has the format. What is loaded replaces what is there; all or nothing.
  void save(const ctn_io& io, const std::string& path) const;
  void load(const ctn_io& io, const std::string& path);

 private:
  using Key = std::pair<std::string, std::string>;  // scope, key
  using KeyView = std::pair<std::string_view, std::string_view>;
  struct Less {
    using is_transparent = void;
    bool operator()(const auto& a, const auto& b) const { return KeyView(a) < KeyView(b); }
  };
  using Choices = std::map<Key, std::string, Less>;
  static Choices parse(std::string_view text, const std::string& path);
  std::string_view keep(std::string_view choice);  // with mutex_ held

  mutable std::mutex mutex_;
  std::set<std::string, std::less<>> texts_;  // of choices: few, and never dropped
  std::map<Key, std::string_view, Less> choices_;
};

}  // namespace catena
