// Thread numbers: see thread_number.h.
#include "core/sys/thread_number.h"

#include <atomic>

namespace catena {

uint64_t thread_number() noexcept {
  constinit static std::atomic<uint64_t> next{1};
  constinit static thread_local uint64_t t_number = 0;
  if (t_number == 0) t_number = next.fetch_add(1, std::memory_order_relaxed);
  return t_number;
}

}  // namespace catena
