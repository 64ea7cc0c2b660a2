// Decisions: see decisions.h.
#include <intel64/decisions.h>
#include <intel64/onednn.h>

#include <cpuid.h>

#include <algorithm>
#include <cstring>

namespace catena::intel64 {

namespace {

// "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz"; what is not printable in it becomes a space.
std::string processor() {
  char text[49] = {};
  for (unsigned k = 0; k < 3; ++k) {
    unsigned r[4] = {};
    if (!__get_cpuid(0x80000002 + k, &r[0], &r[1], &r[2], &r[3])) return "unknown processor";
    std::memcpy(text + 16 * k, r, sizeof r);
  }
  std::string name(text);
  std::ranges::replace_if(
      name, [](char c) { return c < 0x20 || c > 0x7e; }, ' ');
  return name.substr(std::min(name.find_first_not_of(' '), name.size()));
}

std::string scope_of(ctn_context ctx) {
  static const auto* machine = new std::string(
      sdk::text("intel64; ", instruction_set(), "; oneDNN ", onednn_version(), "; ", processor()));
  return sdk::text(*machine, "; threads ", sdk::api().context_threads(ctx));
}

}  // namespace

std::string_view find_decision(ctn_context ctx, std::string_view key) {
  ctn_str choice{};
  sdk::check(sdk::host->tuning_find(ctx, sdk::str(scope_of(ctx)), sdk::str(key), &choice));
  return sdk::view(choice);
}

void add_decision(ctn_context ctx, std::string_view key, std::string_view choice) {
  sdk::check(sdk::host->tuning_add(ctx, sdk::str(scope_of(ctx)), sdk::str(key), sdk::str(choice)));
}

}  // namespace catena::intel64
