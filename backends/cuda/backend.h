// CUDA as a backend: the table of device, memory, expressions and streams that the runtime is
// given.
#pragma once

#include <catena/plugin.h>

namespace catena::cuda {

ctn_status register_backend(const ctn_host* host, ctn_plugin plugin);

}  // namespace catena::cuda
