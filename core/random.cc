// Philox 4x32-10 and what is made of its words. Loops run over whole blocks, lane by lane, so that
// the compiler vectorises them; there is no contraction, so every CPU gives the same bits.
#include "core/random.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/error.h"
#include "core/random_math.h"

namespace catena {

namespace {

constexpr uint64_t kMultiply0 = 0xD2511F53;
constexpr uint64_t kMultiply1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;  // golden ratio
constexpr uint32_t kWeyl1 = 0xBB67AE85;  // sqrt(3) - 1
constexpr int kRounds = 10;

// A batch is made by loops of fixed length, which are vectorised at every level of optimisation;
// for less than a quarter of one it is cheaper to go block by block.
constexpr int kBlocks = 64;
constexpr int kWords = 2 * kBlocks;  // each makes one number
constexpr uint64_t kFewBlocks = 16;

// Words of the blocks first, first + 1, ...
void fill_batch(uint64_t first, uint64_t seed, uint64_t* words) noexcept {
  uint32_t x0[kBlocks];
  uint32_t x1[kBlocks];
  uint32_t x2[kBlocks] = {};
  uint32_t x3[kBlocks] = {};
  for (int i = 0; i < kBlocks; ++i) {
    const uint64_t block =
        (first + static_cast<uint64_t>(i)) & INT64_MAX;  // 2^64 words, then again
    x0[i] = static_cast<uint32_t>(block);
    x1[i] = static_cast<uint32_t>(block >> 32);
  }
  auto key0 = static_cast<uint32_t>(seed);
  auto key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kBlocks; ++i) {
      const uint64_t p0 = kMultiply0 * x0[i];
      const uint64_t p1 = kMultiply1 * x2[i];
      x0[i] = static_cast<uint32_t>(p1 >> 32) ^ x1[i] ^ key0;
      x1[i] = static_cast<uint32_t>(p1);
      x2[i] = static_cast<uint32_t>(p0 >> 32) ^ x3[i] ^ key1;
      x3[i] = static_cast<uint32_t>(p0);
    }
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  for (int i = 0; i < kBlocks; ++i) {
    words[2 * i] = uint64_t{x1[i]} << 32 | x0[i];
    words[2 * i + 1] = uint64_t{x3[i]} << 32 | x2[i];
  }
}

// BITS need nothing made of their words.
void make_batch(int32_t kind, const uint64_t* words, double* out) noexcept {
  switch (kind) {
    case CTN_RANDOM_UNIFORM:
      for (int i = 0; i < kWords; ++i) out[i] = uniform(words[i]);
      break;
    case CTN_RANDOM_NORMAL:
      for (int i = 0; i < kBlocks; ++i) normal_pair(words[2 * i], words[2 * i + 1], out + 2 * i);
      break;
    case CTN_RANDOM_GUMBEL:
      for (int i = 0; i < kWords; ++i) out[i] = gumbel(words[i]);
      break;
    default: break;
  }
}

void make_block(int32_t kind, const uint64_t* words, double* out) noexcept {
  switch (kind) {
    case CTN_RANDOM_UNIFORM:
      out[0] = uniform(words[0]);
      out[1] = uniform(words[1]);
      break;
    case CTN_RANDOM_NORMAL: normal_pair(words[0], words[1], out); break;
    case CTN_RANDOM_GUMBEL:
      out[0] = gumbel(words[0]);
      out[1] = gumbel(words[1]);
      break;
    default: break;
  }
}

void fill_block(uint64_t block, uint64_t seed, uint64_t* words) noexcept {
  block &= INT64_MAX;
  const auto x =
      philox_4x32({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0, 0},
                  {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  words[0] = uint64_t{x[1]} << 32 | x[0];
  words[1] = uint64_t{x[3]} << 32 | x[2];
}

}  // namespace

std::array<uint32_t, 4> philox_4x32(std::array<uint32_t, 4> x,
                                    std::array<uint32_t, 2> key) noexcept {
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t p0 = kMultiply0 * x[0];
    const uint64_t p1 = kMultiply1 * x[2];
    x = {static_cast<uint32_t>(p1 >> 32) ^ x[1] ^ key[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ x[3] ^ key[1], static_cast<uint32_t>(p0)};
    key = {key[0] + kWeyl0, key[1] + kWeyl1};
  }
  return x;
}

void Philox::seed(uint64_t seed) noexcept { state_ = {seed, 0, -1}; }

PhiloxState Philox::take(int32_t kind, int64_t n) {
  if (kind < CTN_RANDOM_UNIFORM || kind > CTN_RANDOM_GUMBEL)
    fail(CTN_EINVAL, "there is no kind " + std::to_string(kind) + " of random numbers");
  if (n < 0) fail(CTN_EINVAL, "cannot draw " + std::to_string(n) + " random numbers");
  if (n == 0) return state_;
  // A normal number depends on both words of its block: none of them may have been shown already.
  if (kind != state_.kind) state_.position += state_.position & 1;
  state_.kind = kind;
  const PhiloxState begin = state_;
  state_.position += static_cast<uint64_t>(n);
  return begin;
}

void Philox::draw(int32_t kind, void* dst, int64_t n) {
  const PhiloxState begin = take(kind, n);
  uint64_t position = begin.position;
  uint64_t words[kWords];
  double numbers[kWords];
  char* to = static_cast<char*>(dst);
  auto rest = static_cast<uint64_t>(n);
  while (rest > 0) {
    const uint64_t skip = position & 1;
    const uint64_t take = std::min<uint64_t>(rest, kWords - skip);
    const uint64_t first = position / 2;
    const uint64_t blocks = (skip + take + 1) / 2;
    if (blocks > kFewBlocks) {
      fill_batch(first, begin.seed, words);
      make_batch(kind, words, numbers);
    } else {
      for (uint64_t b = 0; b < blocks; ++b) {
        fill_block(first + b, begin.seed, words + 2 * b);
        make_block(kind, words + 2 * b, numbers + 2 * b);
      }
    }
    const void* from = kind == CTN_RANDOM_BITS ? static_cast<const void*>(words) : numbers;
    std::memcpy(to, static_cast<const char*>(from) + 8 * skip, 8 * take);
    to += 8 * take;
    position += take;
    rest -= take;
  }
}

}  // namespace catena
