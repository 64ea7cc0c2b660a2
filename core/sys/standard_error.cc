// Standard error through write(2): no stream, no buffer, no lock of the C library.
#include "core/sys/standard_error.h"

#include <unistd.h>

#include <cerrno>

namespace catena {

void write_standard_error(std::string_view line) noexcept {
  const int before = errno;
  while (!line.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, line.data(), line.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    line.remove_prefix(static_cast<size_t>(n));
  }
  errno = before;
}

}  // namespace catena
