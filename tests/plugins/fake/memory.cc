// See memory.h. Blocks end where a page does, and the next page belongs to nobody, so that work
// that runs over the end of a block dies too, as does what comes after a block was given back.
#include "memory.h"

#include <sys/mman.h>

#include <map>
#include <mutex>

#include "control.h"

namespace fake {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kWhole = kSpan * kMostDevices;

struct Memory {
  std::mutex mutex;
  char* shown = nullptr;                            // never readable
  char* real = nullptr;                             // readable where a block is out
  std::map<uint64_t, uint64_t> gaps[kMostDevices];  // offset in the device: bytes
};

Memory& memory() {
  static Memory* const m = new Memory;
  return *m;
}

char* address_space() {
  void* const p =
      mmap(nullptr, kWhole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : static_cast<char*>(p);
}

uint64_t pages(uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// Puts a gap back, joined with its neighbours.
void add_gap(std::map<uint64_t, uint64_t>& gaps, uint64_t offset, uint64_t bytes) {
  const auto next = gaps.lower_bound(offset);
  if (next != gaps.end() && next->first == offset + bytes) {
    bytes += next->second;
    gaps.erase(next);
  }
  const auto after = gaps.lower_bound(offset);
  if (after != gaps.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == offset) {
      before->second += bytes;
      return;
    }
  }
  gaps.emplace(offset, bytes);
}

}  // namespace

bool reserve_memory() {
  Memory& m = memory();
  m.shown = address_space();
  m.real = address_space();
  for (auto& gaps : m.gaps) gaps.emplace(0, kSpan);
  return m.shown && m.real;
}

void* take_memory(int32_t device, uint64_t bytes, uint64_t align) {
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  auto& gaps = m.gaps[device];
  const uint64_t readable = pages(bytes), need = readable + kPage;
  for (auto at = gaps.begin(); at != gaps.end(); ++at) {
    const auto [offset, room] = *at;
    if (room < need) continue;
    const uint64_t first = static_cast<uint64_t>(device) * kSpan + offset;
    if (mprotect(m.real + first, readable, PROT_READ | PROT_WRITE) != 0) return nullptr;
    gaps.erase(at);
    if (room > need) gaps.emplace(offset + need, room - need);
    return m.shown + first + ((readable - bytes) & ~(align - 1));
  }
  return nullptr;
}

void give_memory(int32_t device, void* p, uint64_t bytes) {
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  const auto at = static_cast<uint64_t>(static_cast<char*>(p) - m.shown);
  const uint64_t first = at / kPage * kPage, readable = pages(bytes);
  madvise(m.real + first, readable, MADV_DONTNEED);
  mprotect(m.real + first, readable, PROT_NONE);
  add_gap(m.gaps[device], first - static_cast<uint64_t>(device) * kSpan, readable + kPage);
}

void* behind(const void* p) {
  const Memory& m = memory();
  const auto* const at = static_cast<const char*>(p);
  if (at < m.shown || at >= m.shown + kWhole) return nullptr;
  return m.real + (at - m.shown);
}

}  // namespace fake
