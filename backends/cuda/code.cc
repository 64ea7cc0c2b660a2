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

CUmodule load_module(Device& d, const std::string& source) {
  const std::string code = code_for(d, source);
  const Current current(d);
  CUmodule module = nullptr;
  d.check(driver().cuModuleLoadDataEx(&module, code.data(), 0, nullptr, nullptr),
          "loading a kernel");
  return module;
}

CUfunction find_function(Device& d, CUmodule module, const char* name) {
  CUfunction f = nullptr;
  d.check(driver().cuModuleGetFunction(&f, module, name), "finding a kernel");
  return f;
}

}  // namespace catena::cuda
