// Compiled kernels on disk, shared by all processes of a user. Losing it costs time, nothing else:
// no fault of the file system is an error. Knows no compiler.
#pragma once

#include <string>

namespace catena::cuda {

// What was kept under `key` (a text of any length), or empty.
std::string cache_get(const std::string& key);
// Appears under its name whole or not at all.
void cache_put(const std::string& key, const std::string& code);

// $CATENA_CACHE_DIR, else $XDG_CACHE_HOME/catena, else $HOME/.cache/catena; empty: there is none.
std::string cache_directory();

}  // namespace catena::cuda
