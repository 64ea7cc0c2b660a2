// Replaces every operator new and delete, so that any pair of them fits. In a file of its own, so
// that no compiler sees both sides of a pair.
#include "failing_new.h"

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

thread_local int64_t left = 0;

void* memory(size_t bytes, size_t alignment) noexcept {
  if (bytes == 0) bytes = 1;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(bytes);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

void* memory_or_throw(size_t bytes, size_t alignment) {
  if (left > 0 && --left == 0) throw std::bad_alloc();
  if (void* p = memory(bytes, alignment)) return p;
  throw std::bad_alloc();
}

size_t number(std::align_val_t alignment) { return static_cast<size_t>(alignment); }

}  // namespace

void catena_test::fail_allocation(int64_t n) { left = n; }

using std::align_val_t, std::nothrow_t;

void* operator new(size_t n) { return memory_or_throw(n, 1); }
void* operator new[](size_t n) { return memory_or_throw(n, 1); }
void* operator new(size_t n, align_val_t a) { return memory_or_throw(n, number(a)); }
void* operator new[](size_t n, align_val_t a) { return memory_or_throw(n, number(a)); }
void* operator new(size_t n, const nothrow_t&) noexcept { return memory(n, 1); }
void* operator new[](size_t n, const nothrow_t&) noexcept { return memory(n, 1); }
void* operator new(size_t n, align_val_t a, const nothrow_t&) noexcept {
  return memory(n, number(a));
}
void* operator new[](size_t n, align_val_t a, const nothrow_t&) noexcept {
  return memory(n, number(a));
}

void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, align_val_t) noexcept { std::free(p); }
void operator delete(void* p, size_t, align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t, align_val_t) noexcept { std::free(p); }
void operator delete(void* p, const nothrow_t&) noexcept { std::free(p); }
void operator delete[](void* p, const nothrow_t&) noexcept { std::free(p); }
void operator delete(void* p, align_val_t, const nothrow_t&) noexcept { std::free(p); }
void operator delete[](void* p, align_val_t, const nothrow_t&) noexcept { std::free(p); }
