// Sleeping until another thread changes a word, and the time of day for bounded spinning.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <atomic>
#include <cstdint>

namespace catena {

// Sleeps while `word` is `value`; may return early for no reason.
void wait_word(std::atomic<uint32_t>& word, uint32_t value) noexcept;
void wake_word(std::atomic<uint32_t>& word, int32_t sleepers) noexcept;

// Nanoseconds of a clock that only goes forward.
int64_t monotonic_ns() noexcept;

}  // namespace catena
