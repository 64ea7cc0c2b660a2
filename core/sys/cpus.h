// How many CPUs this process may use. Reads the kernel's view only, no environment variable.
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif
#pragma once

namespace catena {

// The calling thread's affinity mask, cut by the CPU quota of its control group (v1 or v2, rounded
// up); at least 1.
int allowed_cpus() noexcept;

// The quota alone, 0: none. `membership` is a file as /proc/self/cgroup, `mount` where the control
// groups' file systems are (/sys/fs/cgroup).
int quota_cpus(const char* membership, const char* mount) noexcept;

}  // namespace catena
