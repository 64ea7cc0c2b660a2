// fail_block: see failing_block.h.
#include "failing_block.h"

#include "core/context.h"

namespace catena_test {
namespace {

int64_t g_left = 0;

bool fails(void*) {
  if (g_left > 1) --g_left;
  return g_left == 1;
}

}  // namespace

void fail_block(ctn_context ctx, int64_t n) {
  g_left = n + 1;
  catena::to_context(ctx)->ledger().set_fault(n ? fails : nullptr, nullptr);
}

}  // namespace catena_test
