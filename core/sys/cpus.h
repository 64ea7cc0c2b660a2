// How many CPUs this process may use. Reads the kernel's view only, no environment variable.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

namespace catena {

// The calling thread's affinity mask, cut by the CPU quota of its control group (v1 or v2, rounded
// up); at least 1.
int allowed_cpus() noexcept;

}  // namespace catena
