// The kernels of the fake device: those of the cpu backend, linked into this module a second time,
// which register themselves with a table that hands their calls to the queue.
#pragma once

#include <catena/plugin.h>

namespace fake {

// Registers the cpu's kernels for the backend `fake` and puts its expressions into `def`.
ctn_status borrow_cpu(const ctn_host* host, ctn_plugin plugin, ctn_backend_def* def);

}  // namespace fake
