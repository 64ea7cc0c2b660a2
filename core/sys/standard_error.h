// The process's standard error, which belongs to the host: for lines that the environment asked
// for.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <string_view>

namespace catena {

// In one piece, so that lines of several threads do not mix. What cannot be written is lost; errno
// stays as it was.
void write_standard_error(std::string_view line) noexcept;

}  // namespace catena
