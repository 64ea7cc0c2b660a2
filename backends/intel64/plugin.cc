// Entry points of the intel64 backend: the cpu backend with kernels of oneDNN and layouts that stay
// from op to op.
#include <catena/sdk/error.hpp>
#include <catena/sdk/host.hpp>

#include <intel64/kernels.h>
#include <intel64/layouts.h>
#include <intel64/locks.h>
#include <intel64/onednn.h>

#include <string>

namespace catena::intel64 {

namespace {

const std::string* g_name = nullptr;  // of the device: "oneDNN 2.6.3"

ctn_status CTN_CALL device_count(void*, int32_t* n, ctn_str*) {
  *n = 1;
  return CTN_OK;
}

ctn_status CTN_CALL device_info(void*, int32_t, ctn_device_info* out) {
  out->flags = CTN_BACKEND_HOST_MEMORY | CTN_BACKEND_FORK_SAFE;
  out->name = sdk::str(*g_name);
  out->mem_total = out->mem_free = 0;
  return CTN_OK;
}

ctn_status register_backend(const ctn_host* host, ctn_plugin plugin) {
  ctn_backend_def def{};
  def.size = sizeof def;
  def.flags = CTN_BACKEND_HOST_MEMORY | CTN_BACKEND_FORK_SAFE;
  def.name = sdk::str("intel64");
  def.parent = sdk::str("cpu");
  def.priority = 200;
  def.device_count = device_count;
  def.device_info = device_info;
  def.config_key = sdk::str("use_ideep");
  def.layout_bytes = layout_bytes;
  def.layout_blocks = layout_blocks;
  def.reorder = reorder;
  return host->add_backend(plugin, &def);
}

}  // namespace

}  // namespace catena::intel64

const ctn_plugin_info* CTN_CALL CTN_PLUGIN_QUERY(intel64)(uint32_t) {
  static constexpr ctn_plugin_info kInfo = {
      sizeof(ctn_plugin_info), CTN_ABI_VERSION, CTN_ABI_VERSION, 0x000100,
      {"intel64", 7},          {"backend", 7},  {"MIT", 3},
  };
  return &kInfo;
}

ctn_status CTN_CALL CTN_PLUGIN_INIT(intel64)(const ctn_host* host, ctn_plugin self) {
  using namespace catena;
  sdk::host = host;
  ctn_status status = sdk::guarded([] {
    intel64::hold_locks_over_forks();
    intel64::start_onednn();
    intel64::g_name = new std::string(
        sdk::text(intel64::instruction_set(), ", oneDNN ", intel64::onednn_version()));
  });
  if (status == CTN_OK) status = intel64::register_backend(host, self);
  for (const intel64::RegisterFn* file = intel64::kKernelFiles;
       *file != nullptr && status == CTN_OK; ++file)
    status = (*file)(host, self);
  return status;
}
