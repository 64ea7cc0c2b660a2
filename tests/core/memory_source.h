// A raw source for tests of the memory pool: counts what is out, can refuse, and checks that blocks
// come back as they were given.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>

#include "core/memory.h"

namespace catena_test {

struct CountingSource {
  std::mutex mutex;
  std::map<void*, uint64_t> out;
  uint64_t bytes = 0;
  uint64_t peak = 0;
  uint64_t calls = 0;
  uint64_t refuse_above = UINT64_MAX;  // bytes out
  int mistakes = 0;                    // of the pool
  uint64_t align = 0;                  // of the last request

  catena::RawSource source(bool host = true) { return {this, alloc, free, host}; }

  static void* alloc(void* self, uint64_t bytes, uint64_t align) noexcept {
    auto& s = *static_cast<CountingSource*>(self);
    std::lock_guard guard(s.mutex);
    ++s.calls;
    s.align = align;
    if (bytes > s.refuse_above || s.bytes > s.refuse_above - bytes) return nullptr;
    void* p = nullptr;
    if (posix_memalign(&p, align, bytes) != 0) return nullptr;
    s.out[p] = bytes;
    s.bytes += bytes;
    if (s.bytes > s.peak) s.peak = s.bytes;
    return p;
  }

  static void free(void* self, void* p, uint64_t bytes, uint64_t) noexcept {
    auto& s = *static_cast<CountingSource*>(self);
    std::lock_guard guard(s.mutex);
    const auto found = s.out.find(p);
    if (found == s.out.end() || found->second != bytes) {
      ++s.mistakes;
      return;
    }
    s.bytes -= bytes;
    s.out.erase(found);
    std::free(p);
  }
};

// Deterministic numbers for choosing sizes (Knuth's MMIX generator).
struct Dice {
  uint64_t state;
  uint64_t operator()(uint64_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
  }
};

}  // namespace catena_test
