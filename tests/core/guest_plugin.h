// What the tests of hosts that call back share: two ops, registered on first use, and looks inside.
#pragma once

#include <catena/plugin.h>

#include "net_support.h"

namespace catena_test {

// guest.twice: y = x + x, differentiable. guest.split: attribute parts, that many views.
// guest.many: y = x + a0 + 2 * a1 + ... + 32 * a31.
int32_t guest_op(const char* name);
Var twice(ctn_context ctx, ctn_variable x);
// A float32 leaf that wants a gradient.
Var wanting(ctn_context ctx, const std::vector<int64_t>& shape, const std::vector<double>& values);
// Bytes of live objects.
uint64_t used(ctn_context ctx);
// Threads with a configuration of their own.
size_t overlays(ctn_context ctx);
// What host->parallel_for does for kernels of the context.
ctn_status run_parallel(ctn_context ctx, int64_t n, int64_t grain, ctn_range_fn fn);
// Registers one definition from a plugin of its own, which never stays.
template <class Def>
ctn_status define_in_plugin(const Def& def);

}  // namespace catena_test
