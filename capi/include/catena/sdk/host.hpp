// The runtime's function table as one pointer per plugin. Everything in catena::sdk is hidden, so
// that two plugins in one process never share (or overwrite) each other's inline variables.
#ifndef CATENA_SDK_HOST_HPP
#define CATENA_SDK_HOST_HPP

#include <catena/plugin.h>

#include <string_view>

#if defined(_WIN32)
#define CTN_SDK_HIDDEN
#else
#define CTN_SDK_HIDDEN __attribute__((visibility("hidden")))
#endif

namespace catena {
namespace sdk CTN_SDK_HIDDEN {

// Set it first thing in ctn_plugin_init.
inline constinit const ctn_host* host = nullptr;

inline const ctn_api& api() { return *host->api; }

constexpr ctn_str str(std::string_view s) { return {s.data(), s.size()}; }
constexpr std::string_view view(ctn_str s) {
  return s.p ? std::string_view(s.p, s.n) : std::string_view();
}

}  // namespace CTN_SDK_HIDDEN
}  // namespace catena

#endif
