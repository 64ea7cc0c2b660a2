// Host memory from the system or from a host's table.
#include "core/sys/host_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "core/error.h"

namespace catena {

namespace {

constexpr uint64_t kMapped = uint64_t{1} << 20;  // from here on own mappings
constexpr uint64_t kHuge = uint64_t{2} << 20;

uint64_t whole_pages(uint64_t bytes) noexcept {
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) & ~(page - 1);
}

// mmap aligns to pages only: take more and return both ends. A fresh page costs about 2 us here,
// one of 2 MiB a ninth of that per byte; where the kernel has no huge pages nothing is lost.
void* map_huge(uint64_t bytes) noexcept {
  if (bytes > UINT64_MAX / 2) return nullptr;
  const uint64_t size = whole_pages(bytes);
  const uint64_t room = size + kHuge;
  void* mapped = mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  char* start = static_cast<char*>(mapped);
  const uint64_t head = (kHuge - reinterpret_cast<uintptr_t>(start) % kHuge) % kHuge;
  if (head != 0) munmap(start, head);
  munmap(start + head + size, room - head - size);
  madvise(start + head, size, MADV_HUGEPAGE);
  return start + head;
}

void* system_alloc(void*, uint64_t bytes, uint64_t align) noexcept {
  if (bytes >= kMapped && align <= kHuge) return map_huge(bytes);
  void* p = nullptr;
  return posix_memalign(&p, align, bytes) == 0 ? p : nullptr;
}

void system_free(void*, void* p, uint64_t bytes, uint64_t align) noexcept {
  if (bytes >= kMapped && align <= kHuge) {
    munmap(p, whole_pages(bytes));
  } else {
    std::free(p);
  }
}

void* table_alloc(void* user, uint64_t bytes, uint64_t align) noexcept {
  const auto* table = static_cast<const ctn_allocator*>(user);
  void* p = nullptr;  // also where the table throws: it has none
  shielded([&] { p = table->alloc(table->user, bytes, align); });
  return p;
}

void table_free(void* user, void* p, uint64_t bytes, uint64_t align) noexcept {
  const auto* table = static_cast<const ctn_allocator*>(user);
  shielded([&] { table->free(table->user, p, bytes, align); });
}

}  // namespace

RawSource system_memory() noexcept { return {nullptr, system_alloc, system_free, true}; }

RawSource memory_of(const ctn_allocator& allocator) noexcept {
  return {const_cast<ctn_allocator*>(&allocator), table_alloc, table_free, true};
}

}  // namespace catena
