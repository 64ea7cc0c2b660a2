// See backend.h.
#include "backend.h"

#include <catena/catena.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

namespace catena_test {

namespace {
ctn_str str(std::string_view s) { return {s.data(), s.size()}; }
}  // namespace

const char* backend() {
  static const char* const name = [] {
    const char* const asked = std::getenv("CATENA_TEST_BACKEND");
    return asked && *asked ? asked : "cpu";
  }();
  return name;
}

bool backend_is_exact() {
  return !std::strcmp(backend(), "cpu") || !std::strcmp(backend(), "fake");
}

std::string missing_backend() {
  // A folder that is not there, or not in this tree, has no plugins.
  if (ctn_plugin_dir(str(TEST_BACKEND_DIR)) != CTN_OK && !std::strcmp(backend(), "fake"))
    return ctn_error_message();
  ctn_context_options options{};
  options.size = sizeof options;
  options.device = str(backend());
  ctn_context ctx = nullptr;
  if (ctn_context_create(&options, &ctx) != CTN_OK) return ctn_error_message();
  ctn_context_release(ctx);
  return {};
}

}  // namespace catena_test
