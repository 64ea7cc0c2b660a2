// The default ctn_io: files through POSIX calls. The only place of the core that opens, renames or
// removes files; it knows nothing of what is in them.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <string>
#include <string_view>

#include "catena/types.h"

namespace catena {

// A constant table: `user` is NULL, every call is thread-safe, none allocates. Only regular files
// are read. A missing file is CTN_ENOTFOUND, everything else CTN_EIO (CTN_EINVAL for a path with a
// NUL, CTN_ENOMEM when the system says so).
const ctn_io& posix_io() noexcept;

// Whether `io` is that table or a copy of it.
bool is_posix_io(const ctn_io& io) noexcept;

// Why the last failed call of posix_io() on this thread failed, e.g. "No space left on device".
std::string posix_io_reason();

// `target` + ".tmp-<pid>-<16 hex digits>": in the same directory, unlike every earlier one.
std::string temp_path_for(std::string_view target);

// Removes what killed processes left of temp_path_for(target). A writer holds a lock (flock) on its
// file while it lives, so a live one is never taken, whatever its pid and container; where the file
// system has no locks the pid decides. Best effort: errors leave the file there.
void remove_stale_temps(std::string_view target) noexcept;

}  // namespace catena
