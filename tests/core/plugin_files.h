// The test plugins' files, and folders of manifests made for one test.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace catena_test {

// Of a module of tests/plugins: they lie beside the program.
inline std::string plugin_file(std::string_view name) {
  const auto program = std::filesystem::read_symlink("/proc/self/exe");
  return (program.parent_path() / "plugins" / (std::string(name) + ".so")).string();
}

// A folder that only we may write to, removed in the end. Libraries in it are links.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "catena-test-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("mkdtemp");
    path_ = std::filesystem::canonical(name).string();
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  void write(std::string_view name, std::string_view text) const {
    std::ofstream(file(name), std::ios::binary) << text;
  }
  // NAME.ctnplugin with the usual keys, `more` lines, and a link to the module beside it.
  void add(std::string_view name, std::string_view module, std::string_view more = "") const {
    write(std::string(name) + ".ctnplugin", "name = " + std::string(name) +
                                                "\nkind = mixed\nlibrary = " + std::string(module) +
                                                ".so\nabi = 0.1\n" + std::string(more));
    const std::string link = file(std::string(module) + ".so");
    if (!std::filesystem::is_symlink(link))
      std::filesystem::create_symlink(plugin_file(module), link);
  }

 private:
  std::string path_;
};

// An environment variable for the time of a test.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

}  // namespace catena_test
