// Replaces operator new. In a file of its own, so that no compiler sees both sides of a pair.
#include "failing_new.h"

#include <cstdlib>
#include <new>

namespace {

thread_local int64_t left = 0;

}  // namespace

void catena_test::fail_allocation(int64_t n) { left = n; }

void* operator new(size_t bytes) {
  if (left > 0 && --left == 0) throw std::bad_alloc();
  if (void* p = std::malloc(bytes == 0 ? 1 : bytes)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
