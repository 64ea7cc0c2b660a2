// See library.h. Only dlopen and dlsym; nothing is ever closed.
#include <cuda/library.h>

#include <dlfcn.h>

#include <cstdlib>
#include <vector>

namespace catena::cuda {
namespace {

constexpr const char* kDirectories[] = {"/usr/local/cuda/lib64", "/usr/local/cuda/lib",
                                        "/usr/local/nvidia/lib64", "/usr/lib/wsl/lib"};

// "" stands for the system's own search.
std::vector<std::string> directories() {
  std::vector<std::string> all = {""};
  if (const char* toolkit = secure_getenv("CUDA_PATH"); toolkit && *toolkit == '/') {
    all.push_back(std::string(toolkit) + "/lib64/");
    all.push_back(std::string(toolkit) + "/lib/");
  }
  for (const char* d : kDirectories) all.push_back(std::string(d) + "/");
  return all;
}

}  // namespace

Library open_library(std::initializer_list<const char*> names, const char* hint) {
  Library out;
  for (const char* name : names) {
    for (const std::string& dir : directories()) {
      const std::string file = dir + name;
      out.handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
      if (out.handle) {
        out.name = file;
        out.why.clear();
        return out;
      }
      // What is there and cannot be opened says more than what is not there.
      const char* error = dlerror();
      const std::string text = error ? error : file + ": unknown error";
      if (out.why.empty() || text.find("No such file") == std::string::npos) out.why = text;
    }
  }
  out.why += std::string("; ") + hint;
  return out;
}

void* find_symbol(Library& library, const char* symbol) {
  void* f = dlsym(library.handle, symbol);
  if (!f) library.why = library.name + " has no function " + symbol;
  return f;
}

}  // namespace catena::cuda
