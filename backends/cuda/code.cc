// See code.h.
#include <cuda/cache.h>
#include <cuda/code.h>
#include <cuda/nvrtc.h>

namespace catena::cuda {
namespace {

std::string code_for(const Device& d, const std::string& source) {
  if (!nvrtc_why().empty()) sdk::fail(CTN_EUNSUPPORTED, "cuda: ", nvrtc_why());
  const std::string key = code_key(d.major, d.minor, source);
  std::string code = cache_get(key);
  if (!code.empty()) return code;
  code = nvrtc_compile(source, d.major, d.minor).code;
  cache_put(key, code);
  return code;
}

}  // namespace

std::string code_key(int major, int minor, const std::string& source) {
  std::string key = "NVRTC " + nvrtc_version() + "\n";
  for (const std::string& o : nvrtc_options(major, minor)) key += o + "\n";
  return key + source;
}

Module::Module(Device& d, const std::string& source) : device_(d) {
  const std::string code = code_for(d, source);
  const Current current(d);
  d.check(driver().cuModuleLoadDataEx(&module_, code.data(), 0, nullptr, nullptr),
          "loading a kernel");
}

Module::~Module() {
  CUcontext popped = nullptr;
  if (!module_ || driver().cuCtxPushCurrent(device_.context) != CUDA_SUCCESS) return;
  driver().cuModuleUnload(module_);
  driver().cuCtxPopCurrent(&popped);
}

CUfunction Module::find(const char* name) const {
  const Current current(device_);
  CUfunction f = nullptr;
  device_.check(driver().cuModuleGetFunction(&f, module_, name), "finding a kernel");
  return f;
}

}  // namespace catena::cuda
