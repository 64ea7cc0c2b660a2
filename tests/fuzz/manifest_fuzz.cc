// libFuzzer target (./run fuzz manifest): any bytes as a manifest. It may fail with CTN_EFORMAT or
// CTN_EVERSION, nothing else; what it accepts keeps the promises of manifest.h.
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "core/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace catena;
  try {
    const Manifest m =
        parse_manifest({reinterpret_cast<const char*>(data), size}, "/plugins/some.ctnplugin");
    if (!is_plugin_name(m.name) || !m.library.starts_with("/plugins/")) std::abort();
    if (m.library.find("/../") != m.library.npos || m.library.ends_with("/..")) std::abort();
    for (const std::string& need : m.needs) {
      if (!is_plugin_name(need)) std::abort();
    }
    check_abi(m.name, m.abi, m.abi_min);
  } catch (const Error& e) {
    if (e.code() != CTN_EFORMAT && e.code() != CTN_EVERSION) std::abort();
  }
  return 0;
}
