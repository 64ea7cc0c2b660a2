// The cpu as a backend: one device whose memory is the host's, and expressions run by expr/.
#pragma once

#include <catena/plugin.h>

namespace catena::cpu {

// Registers backend "cpu". `host` stays in use for the life of the process.
ctn_status register_backend(const ctn_host* host, ctn_plugin plugin);

}  // namespace catena::cpu
