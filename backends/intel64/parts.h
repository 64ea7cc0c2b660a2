// Work on images in parts that several threads may take: how many images make a part follows from
// the shape alone, where results would depend on it, so that they do not on the number of threads.
#pragma once

#include <catena/sdk/kernel.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <thread>

namespace catena::intel64 {

struct Parts {
  int64_t images = 0;  // of all parts together
  int64_t each = 1;    // of a part; the last may have fewer
  int64_t count() const { return (images + each - 1) / each; }
  int64_t size(int64_t k) const { return std::min(each, images - k * each); }
  int64_t rest() const { return images % each; }  // of a last part that is smaller, or 0
};

// Up to `most` parts. Where images are small there are 1, 2, 4 ... of them, an equal share for each
// thread. None but the last has so few positions (of the smaller image) that a primitive would run
// at a fraction of its speed, unless that is all there are.
inline Parts cut_images(int64_t images, int64_t positions, int64_t most) {
  constexpr uint64_t kLeastPositions = 49;
  const auto fast = static_cast<uint64_t>(images * positions) / kLeastPositions;
  const auto parts =
      std::min(most, static_cast<int64_t>(std::bit_floor(std::max<uint64_t>(1, fast))));
  return {images, std::max<int64_t>(1, (images + parts - 1) / parts)};
}

// Gradients of filters are added up over parts of images, which pays for more positions than these:
// products of one filter's element in the time that a float goes to memory and back.
inline constexpr int64_t kPositionsOfFloat = 500;

// body(k, scratch) for k of [0, n) on the runtime's threads; scratch: `bytes` of the part's own. A
// part that finds all scratch taken, since the host's executor runs more parts at once than it has
// threads or since there is not memory for all threads, waits for one that ends.
template <class Body>
void for_parts(const sdk::Run& run, int64_t n, size_t bytes, Body&& body) {
  constexpr int64_t kMostSlots = 64;
  int64_t slots = std::min({n, int64_t{run.threads()}, kMostSlots});
  const size_t step = (bytes + 63) / 64 * 64;
  char* memory = nullptr;
  while (bytes != 0 && !memory) {
    try {
      memory = run.scratch<char>(slots * static_cast<int64_t>(step));
    } catch (const sdk::Error& e) {
      if (e.status() != CTN_ENOMEM || slots == 1) throw;
      slots = (slots + 1) / 2;
    }
  }
  const uint64_t all = ~uint64_t{0} >> (kMostSlots - slots);
  std::atomic<uint64_t> taken{0};
  sdk::parallel_for(run, n, 1, [&](int64_t k, int64_t) {
    if (!memory) return body(k, static_cast<char*>(nullptr));
    uint64_t seen = taken.load(std::memory_order_relaxed), slot = 0;
    do {
      while ((slot = ~seen & (seen + 1) & all) == 0) {
        std::this_thread::yield();
        seen = taken.load(std::memory_order_relaxed);
      }
    } while (!taken.compare_exchange_weak(seen, seen | slot, std::memory_order_acquire));
    struct Return {
      std::atomic<uint64_t>& taken;
      uint64_t slot;
      ~Return() { taken.fetch_and(~slot, std::memory_order_release); }
    } back{taken, slot};
    body(k, memory + static_cast<size_t>(__builtin_ctzll(slot)) * step);
  });
}

}  // namespace catena::intel64
