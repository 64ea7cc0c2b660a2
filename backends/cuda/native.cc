// See native.h.
#include <cuda/native.h>

#include <algorithm>

namespace catena::cuda {
namespace {

constexpr int64_t kMostBlocks = int64_t{1} << 20;

}  // namespace

CUfunction Native::find(Device& d, const Entry& entry) {
  const std::lock_guard lock(mutex_);
  CUfunction& f = functions_[{d.index, entry.function}];
  if (f) return f;
  std::string source = std::string(kPreludeTypes) + kPreludeArithmetic + kPreludeMath;
  source += "enum { kThreads = " + std::to_string(kThreads) + " };\n";
  source += text_;
  source += std::string("extern \"C\" __global__ void entry(const ") + entry.parameter + " l) { " +
            entry.function + "(l); }\n";
  const CUmodule module = load_module(d, source);
  const Current current(d);
  f = find_function(d, module, "entry");
  return f;
}

void queue(Device& d, CUfunction f, int64_t n, const void* p) {
  const int64_t blocks = (n + kThreads - 1) / kThreads;
  void* parameters[] = {const_cast<void*>(p)};
  const Current current(d);
  d.check(
      driver().cuLaunchKernel(f, static_cast<unsigned>(std::clamp<int64_t>(blocks, 1, kMostBlocks)),
                              1, 1, kThreads, 1, 1, 0, d.stream, parameters, nullptr),
      "launch");
}

void fill_zero(Device& d, void* p, int64_t bytes) {
  if (bytes == 0) return;
  const Current current(d);
  d.check(driver().cuMemsetD8Async(reinterpret_cast<CUdeviceptr>(p), 0, static_cast<size_t>(bytes),
                                   d.stream),
          "fill");
}

ctn_status add_kernels(const ctn_host* host, ctn_plugin plugin,
                       std::initializer_list<KernelRow> rows) {
  for (const KernelRow& row : rows) {
    ctn_kernel_def def{};
    def.size = sizeof def;
    def.flags = row.flags;
    def.op = {row.op.data(), row.op.size()};
    def.backend = {"cuda", 4};
    def.run = row.run;
    def.supports = row.supports;
    def.plan = row.plan;
    def.drop = row.drop;
    def.priority = row.priority;
    const ctn_status status = host->add_kernel(plugin, &def);
    if (status != CTN_OK) return status;
  }
  return CTN_OK;
}

}  // namespace catena::cuda
