// Registration of a file's kernels for this backend, from a list of rows.
#pragma once

#include <catena/plugin.h>

#include <initializer_list>
#include <string_view>

namespace catena::cpu {

struct KernelRow {
  std::string_view op;
  uint32_t flags;  // CTN_KERNEL_*
  ctn_status(CTN_CALL* run)(void* self, const ctn_run* run);
};

inline ctn_status add_kernels(const ctn_host* host, ctn_plugin plugin,
                              std::initializer_list<KernelRow> rows) {
  for (const KernelRow& row : rows) {
    ctn_kernel_def def{};
    def.size = sizeof def;
    def.flags = row.flags;
    def.op = {row.op.data(), row.op.size()};
    def.backend = {"cpu", 3};
    def.run = row.run;
    const ctn_status status = host->add_kernel(plugin, &def);
    if (status != CTN_OK) return status;
  }
  return CTN_OK;
}

}  // namespace catena::cpu
