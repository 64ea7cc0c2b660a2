// Where this library lies, and who else may write to a place: what the loader asks the system.
// Opens nothing.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <string>
#include <string_view>

namespace catena {

// Directory of the file that holds this code (libcatena, or a program that links it statically);
// empty if the system does not say.
std::string library_dir();

enum class Place {
  kMissing,
  kOther,  // neither a directory nor a regular file
  kOpen,   // anybody may write to it
  kDirectory,
  kFile
};
// What is at `path`, links followed.
Place look_at(const std::string& path);

// The environment variable, or empty; always empty in a process that runs with raised privileges.
std::string_view safe_env(const char* name);

// Of this process; another one after fork().
int process_id() noexcept;

}  // namespace catena
