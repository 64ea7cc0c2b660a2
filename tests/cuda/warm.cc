// cuda-warm DIR MAJOR.MINOR: compiles the sources in DIR (*.cu) with NVRTC and puts the code where
// the backend's cache looks for it, so that a machine without a compiler's time to spare finds it.
// Needs no driver. Prints each failure, then "N passed, N failed, 0 skipped".
#include <catena/sdk.hpp>

#include <cuda/cache.h>
#include <cuda/code.h>
#include <cuda/nvrtc.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace {

bool warm(const std::string& source, int major, int minor) {
  const std::string key = catena::cuda::code_key(major, minor, source);
  if (!catena::cuda::cache_get(key).empty()) return true;
  const std::string code = catena::cuda::nvrtc_compile(source, major, minor).code;
  catena::cuda::cache_put(key, code);
  return catena::cuda::cache_get(key) == code;
}

}  // namespace

int main(int argc, char** argv) {
  int major = 0, minor = 0;
  if (argc != 3 || std::sscanf(argv[2], "%d.%d", &major, &minor) != 2) {
    std::fprintf(stderr, "usage: cuda-warm DIR MAJOR.MINOR\n");
    return 2;
  }
  int passed = 0, failed = 0;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    if (entry.path().extension() != ".cu") continue;
    std::ifstream file(entry.path());
    const std::string source(std::istreambuf_iterator<char>(file), {});
    try {
      const bool kept = warm(source, major, minor);
      ++(kept ? passed : failed);
      if (!kept) std::printf("%s: not kept in the cache\n", entry.path().c_str());
    } catch (const catena::sdk::Error& e) {
      ++failed;
      std::printf("%s: %s\n", entry.path().c_str(), e.what());
    }
  }
  std::printf("%d passed, %d failed, 0 skipped\n", passed, failed);
  return failed != 0 || passed == 0;
}
