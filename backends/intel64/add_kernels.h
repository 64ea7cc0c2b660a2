// Registration of a file's kernels for this backend, from a list of rows. All are for float32; what
// they decline is the parent's work.
#pragma once

#include <catena/sdk/kernel.hpp>

#include <initializer_list>
#include <string_view>

namespace catena::intel64 {

struct KernelRow {
  std::string_view op;
  uint32_t flags;  // CTN_KERNEL_*
  decltype(ctn_kernel_def::supports) supports;
  decltype(ctn_kernel_def::plan) plan;
  decltype(ctn_kernel_def::run) run;
  decltype(ctn_kernel_def::drop) drop;
  int32_t priority = 0;
  decltype(ctn_kernel_def::absorb) absorb = nullptr;
};

inline ctn_status add_kernels(const ctn_host* host, ctn_plugin plugin,
                              std::initializer_list<KernelRow> rows) {
  static constexpr ctn_dtype kFloat32 = {CTN_DT_FLOAT, 32, 1};
  for (const KernelRow& row : rows) {
    ctn_kernel_def def{};
    def.size = sizeof def;
    def.flags = row.flags;
    def.op = sdk::str(row.op);
    def.backend = sdk::str("intel64");
    def.dtypes = &kFloat32;
    def.n_dtypes = 1;
    def.supports = row.supports;
    def.plan = row.plan;
    def.priority = row.priority;
    def.run = row.run;
    def.drop = row.drop;
    def.absorb = row.absorb;
    const ctn_status status = host->add_kernel(plugin, &def);
    if (status != CTN_OK) return status;
  }
  return CTN_OK;
}

}  // namespace catena::intel64
