// Entry points of the cpu backend: chooses the instruction set, registers the backend, then every
// file of kernels.
#include <catena/sdk/host.hpp>

#include <cpu/device.h>
#include <cpu/isa.h>
#include <cpu/kernels.h>

const ctn_plugin_info* CTN_CALL CTN_PLUGIN_QUERY(cpu)(uint32_t) {
  static constexpr ctn_plugin_info kInfo = {
      sizeof(ctn_plugin_info), CTN_ABI_VERSION, CTN_ABI_VERSION, 0x000100, {"cpu", 3},
      {"backend", 7},          {"MIT", 3},
  };
  return &kInfo;
}

ctn_status CTN_CALL CTN_PLUGIN_INIT(cpu)(const ctn_host* host, ctn_plugin self) {
  using namespace catena;
  sdk::host = host;
  ctn_status status = cpu::start_isa(host);
  if (status == CTN_OK) status = cpu::register_backend(host, self);
  for (const cpu::RegisterFn* file = cpu::kKernelFiles; *file != nullptr && status == CTN_OK;
       ++file) {
    status = (*file)(host, self);
  }
  return status;
}
