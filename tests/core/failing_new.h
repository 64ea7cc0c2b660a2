// Memory that runs out on request: the n-th operator new of this thread fails.
#pragma once

#include <cstdint>

namespace catena_test {

// The n-th allocation from now on throws std::bad_alloc, once; 0: none. Forms of new that answer
// null do not count: who calls them does without.
void fail_allocation(int64_t n);

}  // namespace catena_test
