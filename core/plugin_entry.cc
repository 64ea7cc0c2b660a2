// Calling ctn_plugin_query and ctn_plugin_init.
#include "core/plugin_entry.h"

#include "core/adopt.h"
#include "core/file.h"
#include "core/manifest.h"

namespace catena {
namespace {

const ctn_plugin_info* query_guarded(ctn_plugin_query_fn query, const std::string& origin) {
  try {
    return query(CTN_ABI_VERSION);
  } catch (...) {
    fail(CTN_EINTERNAL, "plugin " + origin + ": ctn_plugin_query let an exception out");
  }
}

}  // namespace

ctn_plugin_info ask_plugin(ctn_plugin_query_fn query, const std::string& origin,
                           const Expected& expected) {
  const ctn_plugin_info* given = query_guarded(query, origin);
  if (!given) {
    fail(CTN_EVERSION, "plugin " + origin + ": ctn_plugin_query returned NULL for ABI " +
                           abi_text(CTN_ABI_VERSION) + ", which says that it cannot run on it");
  }
  const ctn_plugin_info info = adopt(given, ("ctn_plugin_info of " + origin).c_str());
  const std::string name(view(info.name));
  if (!is_plugin_name(name)) {
    fail(CTN_EINVAL, "plugin " + origin + ": its name " + quoted(name) + " is not [a-z0-9_]{1,32}");
  }
  const std::string who =
      "plugin '" + name + "' " + version_text(info.version) + " (" + origin + ")";
  check_abi(who, info.abi_built, info.abi_min);
  if (!expected.name.empty() && name != expected.name) {
    fail(CTN_EINVAL, "plugin " + origin + " calls itself '" + name + "', its manifest '" +
                         std::string(expected.name) + "'");
  }
  const std::string_view kind = view(info.kind);
  if (kind != "backend" && kind != "ops" && kind != "mixed") {
    fail(CTN_EINVAL, who + ": its kind " + quoted(kind) + " is not backend, ops or mixed");
  }
  if (!expected.kind.empty() && kind != expected.kind) {
    fail(CTN_EINVAL, who + " says that its kind is " + std::string(kind) + ", its manifest " +
                         std::string(expected.kind));
  }
  return info;
}

void init_in(Registry::Transaction& transaction, ctn_plugin_init_fn init) {
  ctn_status status = CTN_OK;
  forget_text();
  try {
    status = init(host_table(), transaction.handle());
  } catch (...) {
    fail(CTN_EINTERNAL, "ctn_plugin_init let an exception out");
  }
  check_status(status, "ctn_plugin_init");
}

std::string version_text(uint32_t version) {
  return std::to_string(version >> 16) + "." + std::to_string(version >> 8 & 0xff) + "." +
         std::to_string(version & 0xff);
}

}  // namespace catena
