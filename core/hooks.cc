// Function hooks: see hooks.h. A hook sees the calls of the thread that added it, as Chainer's do.
#include "core/hooks.h"

#include <algorithm>

#include "core/sys/thread_number.h"

namespace catena {
namespace {

// Copied, as the hook runs without the lock and may remove itself. False if it is gone.
bool find_hook(Context& ctx, uint64_t id, ctn_function_hook& out) {
  std::lock_guard lock(ctx.hook_mutex);
  const auto at = std::ranges::find(ctx.hooks, id, &Context::Hook::id);
  if (at == ctx.hooks.end()) return false;
  out = at->hook;
  return true;
}

}  // namespace

void run_hooks(Context& ctx, int32_t when, int32_t op, std::span<Variable* const> values) {
  std::vector<uint64_t> mine;  // in order of addition
  {
    std::lock_guard lock(ctx.hook_mutex);
    for (const Context::Hook& h : ctx.hooks)
      if (h.thread == thread_number()) mine.push_back(h.id);
  }
  if (mine.empty()) return;
  const std::vector<ctn_variable> list(values.begin(), values.end());
  ctn_function_hook hook;
  for (const uint64_t id : mine)
    if (find_hook(ctx, id, hook))  // not removed by one before it
      hook.call(hook.user, when, op, list.data(), static_cast<int32_t>(list.size()));
}

uint64_t add_hook(Context& ctx, const ctn_function_hook& hook) {
  if (!hook.call) fail(CTN_EINVAL, "function hook: call is NULL");
  static std::atomic<uint64_t> next{1};
  const uint64_t id = next.fetch_add(1);
  std::lock_guard lock(ctx.hook_mutex);
  ctx.hooks.push_back({id, thread_number(), hook});
  ctx.hook_count.store(static_cast<int32_t>(ctx.hooks.size()));
  return id;
}

void remove_hook(Context& ctx, uint64_t id) {
  std::lock_guard lock(ctx.hook_mutex);
  const auto gone = std::remove_if(ctx.hooks.begin(), ctx.hooks.end(),
                                   [&](const Context::Hook& h) { return h.id == id; });
  if (gone == ctx.hooks.end()) fail(CTN_ENOTFOUND, "no function hook has id " + std::to_string(id));
  ctx.hooks.erase(gone, ctx.hooks.end());
  ctx.hook_count.store(static_cast<int32_t>(ctx.hooks.size()));
}

}  // namespace catena
