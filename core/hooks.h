// Function hooks of a context: who is called around every op. Knows no op.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include "core/variable.h"

namespace catena {

void run_hooks(Context& ctx, int32_t when, int32_t op, std::span<Variable* const> values);
uint64_t add_hook(Context& ctx, const ctn_function_hook& hook);
void remove_hook(Context& ctx, uint64_t id);

}  // namespace catena
