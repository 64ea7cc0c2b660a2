// What is told of plugins: the latest line for every path, and why some that were found are not
// loaded. Reads no file and loads nothing.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/manifest.h"
#include "core/plugin_search.h"

namespace catena {

// Changed under the loader's lock; absences() takes none.
class PluginReport {
 public:
  // Replaces what was told of the path.
  void tell(const std::string& path, std::string text);
  void tell(const Remark& r);
  // Of a manifest of which nothing was told yet: that it was found, and why it is not loaded.
  void found(const Manifest& m);
  void refused(const std::string& path, const Error& why);
  // `path`: of a library, or whatever else the plugin came from.
  void loaded(const std::string& path, const std::string& name, const std::string& text);

  std::string text() const;  // a line for each path
  // Why plugins that are not loaded are not, each reason once.
  using Absences = std::vector<std::string>;
  const Absences& absences() const noexcept;

 private:
  struct Item {
    std::string path, name, text;  // name: empty for what was refused
  };
  void publish();

  std::vector<Remark> remarks_;
  std::vector<Item> loaded_;
  std::vector<Item> absent_;
  std::vector<std::unique_ptr<const Absences>> kept_;  // all there were: readers hold no lock
  std::atomic<const Absences*> latest_ = nullptr;      // NULL: none yet
};

// A text whose reason is one of those told already, without the reason.
std::string without_told(std::string text, const std::vector<std::string>& told);

}  // namespace catena
