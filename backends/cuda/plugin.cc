// Entry points of the cuda backend. Opens nothing: without driver, GPU or library the backend is
// there, has no devices and says why.
#include <catena/sdk/host.hpp>

#include <cuda/backend.h>
#include <cuda/native.h>

const ctn_plugin_info* CTN_CALL CTN_PLUGIN_QUERY(cuda)(uint32_t) {
  static constexpr ctn_plugin_info kInfo = {
      sizeof(ctn_plugin_info), CTN_ABI_VERSION, CTN_ABI_VERSION, 0x000100, {"cuda", 4},
      {"backend", 7},          {"MIT", 3},
  };
  return &kInfo;
}

ctn_status CTN_CALL CTN_PLUGIN_INIT(cuda)(const ctn_host* host, ctn_plugin self) {
  catena::sdk::host = host;
  ctn_status status = catena::cuda::register_backend(host, self);
  for (const catena::cuda::RegisterFn* file = catena::cuda::kKernelFiles;
       *file != nullptr && status == CTN_OK; ++file) {
    status = (*file)(host, self);
  }
  return status;
}
