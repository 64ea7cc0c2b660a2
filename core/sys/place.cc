// dladdr, stat, secure_getenv, getpid.
#include "core/sys/place.h"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

namespace catena {

std::string library_dir() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&library_dir), &info) == 0 || !info.dli_fname) return {};
  // A name without a slash is that of a program found along PATH: resolving it would look in the
  // current directory.
  std::string name(info.dli_fname);
  if (name.find('/') == name.npos) return {};
  const std::unique_ptr<char, void (*)(void*)> real(realpath(name.c_str(), nullptr), std::free);
  if (!real) return {};
  name = real.get();
  return name.substr(0, name.rfind('/'));
}

Place look_at(const std::string& path) {
  struct stat s {};
  if (stat(path.c_str(), &s) != 0) return Place::kMissing;
  if (!S_ISDIR(s.st_mode) && !S_ISREG(s.st_mode)) return Place::kOther;
  if ((s.st_mode & S_IWOTH) != 0) return Place::kOpen;
  return S_ISDIR(s.st_mode) ? Place::kDirectory : Place::kFile;
}

std::string_view safe_env(const char* name) {
  const char* value = secure_getenv(name);
  return value ? std::string_view(value) : std::string_view();
}

int process_id() noexcept { return getpid(); }

}  // namespace catena
