// The default random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers:
// as easy as 1, 2, 3. SC 2011), a bijection of a counter under a key, so any device can draw the
// same.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

#include <catena/types.h>

#include <array>
#include <cstdint>

namespace catena {

// The bare function: ten rounds over a 128-bit counter.
std::array<uint32_t, 4> philox_4x32(std::array<uint32_t, 4> counter,
                                    std::array<uint32_t, 2> key) noexcept;

// All there is to know of a stream, to save it and to go on exactly there.
struct PhiloxState {
  uint64_t seed;
  uint64_t position;  // words taken or passed over
  int32_t kind;       // of the last draw, -1: none yet
};

// A stream of 64-bit words. Block b is philox_4x32({b, b >> 32, 0, 0}, {seed, seed >> 32}); its
// words are x1:x0 and x3:x2. Every number of every kind takes one word, so draws of one kind give
// the same values however they are split into calls; the first draw of another kind starts at a new
// block.
//   BITS     the word w
//   UNIFORM  (w >> 11) * 2^-53, in [0, 1)
//   NORMAL   Box-Muller over the uniforms u, v of a block's two words:
//            sqrt(-2 log(1 - u)) * cos(2 pi v) for the first, ... * sin(2 pi v) for the second
//   GUMBEL   -log(-log(((w >> 12) + 0.5) * 2^-52))
// log, sin and cos are our own, so the bits do not depend on the C library or the CPU.
// Not thread-safe: the owner holds a lock.
class Philox {
 public:
  explicit Philox(uint64_t seed) noexcept : state_{seed, 0, -1} {}
  explicit Philox(const PhiloxState& state) noexcept : state_(state) {}

  // kind CTN_RANDOM_* (anything else is CTN_EINVAL); dst: double[n] or, for BITS, uint64_t[n].
  void draw(int32_t kind, void* dst, int64_t n);
  // As draw, but whoever asks makes the numbers himself: where they begin.
  PhiloxState take(int32_t kind, int64_t n);
  // Starts again at block 0.
  void seed(uint64_t seed) noexcept;

  const PhiloxState& state() const noexcept { return state_; }

 private:
  PhiloxState state_;
};

}  // namespace catena
