// A context whose n-th block of memory fails, cached or not.
#pragma once

#include <catena/catena.h>

namespace catena_test {

// The n-th block from now on fails and all after it, until called with 0.
void fail_block(ctn_context ctx, int64_t n);

}  // namespace catena_test
