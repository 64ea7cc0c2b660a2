// See nvrtc.h.
#include <catena/sdk.hpp>

#include <cuda/library.h>
#include <cuda/nvrtc.h>

#include <dlfcn.h>
#include <nvrtc.h>

#include <algorithm>

namespace catena::cuda {
namespace {

#define CATENA_CUDA_NVRTC(X)   \
  X(nvrtcVersion)              \
  X(nvrtcGetErrorString)       \
  X(nvrtcGetNumSupportedArchs) \
  X(nvrtcGetSupportedArchs)    \
  X(nvrtcCreateProgram)        \
  X(nvrtcDestroyProgram)       \
  X(nvrtcCompileProgram)       \
  X(nvrtcGetProgramLogSize)    \
  X(nvrtcGetProgramLog)        \
  X(nvrtcGetCUBINSize)         \
  X(nvrtcGetCUBIN)             \
  X(nvrtcGetPTXSize)           \
  X(nvrtcGetPTX)

struct Nvrtc {
#define CATENA_MEMBER(name) decltype(&::name) name = nullptr;
  CATENA_CUDA_NVRTC(CATENA_MEMBER)
#undef CATENA_MEMBER
  std::string why, version;
  std::vector<int> archs;  // 75, 80 ...: ascending
};

// NVRTC looks for its library of built-in functions by name, as the system searches: what is in
// another directory, beside NVRTC itself, is found once it is open. Where there is none, NVRTC says
// so when it compiles.
void open_builtins(const std::string& nvrtc, const std::string& version) {
  const size_t slash = nvrtc.rfind('/');
  if (slash == std::string::npos) return;
  const std::string file = nvrtc.substr(0, slash) + "/libnvrtc-builtins.so." + version;
  dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
}

std::string start(Nvrtc& n) {
  Library library =
      open_library({"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"},
                   "NVRTC of the CUDA toolkit compiles the kernels; CUDA_PATH may say where it is");
  if (!library.handle) return library.why;
#define CATENA_FILL(name)                                                    \
  n.name = reinterpret_cast<decltype(&::name)>(find_symbol(library, #name)); \
  if (!n.name) return library.why + ": it is too old";
  CATENA_CUDA_NVRTC(CATENA_FILL)
#undef CATENA_FILL
  int major = 0, minor = 0, count = 0;
  if (n.nvrtcVersion(&major, &minor) != NVRTC_SUCCESS ||
      n.nvrtcGetNumSupportedArchs(&count) != NVRTC_SUCCESS || count < 1)
    return library.name + " does not say what it can do";
  n.version = std::to_string(major) + "." + std::to_string(minor);
  open_builtins(library.name, n.version);
  n.archs.resize(static_cast<size_t>(count));
  if (n.nvrtcGetSupportedArchs(n.archs.data()) != NVRTC_SUCCESS)
    return library.name + " does not say which GPUs it knows";
  std::sort(n.archs.begin(), n.archs.end());
  return "";
}

const Nvrtc& nvrtc() {
  static const Nvrtc* const n = [] {
    auto* made = new Nvrtc;
    made->why = start(*made);
    return made;
  }();
  return *n;
}

// What NVRTC is asked for: the architecture itself where it knows it, otherwise the newest virtual
// one below, which the driver compiles further.
std::string target(int major, int minor) {
  const int wanted = major * 10 + minor;
  const std::vector<int>& known = nvrtc().archs;
  if (std::find(known.begin(), known.end(), wanted) != known.end())
    return "sm_" + std::to_string(wanted);
  const auto above = std::upper_bound(known.begin(), known.end(), wanted);
  if (above == known.begin())
    sdk::fail(CTN_EUNSUPPORTED, "NVRTC ", nvrtc().version,
              " makes no code for GPUs of compute capability ", major, ".", minor);
  return "compute_" + std::to_string(*(above - 1));
}

class Program {
 public:
  explicit Program(const std::string& source) {
    check(nvrtc().nvrtcCreateProgram(&p_, source.c_str(), "catena.cu", 0, nullptr, nullptr),
          "making a program");
  }
  ~Program() { nvrtc().nvrtcDestroyProgram(&p_); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void compile(const std::vector<std::string>& options, const std::string& source) {
    std::vector<const char*> texts;
    for (const std::string& o : options) texts.push_back(o.c_str());
    const nvrtcResult r =
        nvrtc().nvrtcCompileProgram(p_, static_cast<int>(texts.size()), texts.data());
    if (r == NVRTC_SUCCESS) return;
    sdk::fail(CTN_EINTERNAL, "NVRTC ", nvrtc().version, ": ", nvrtc().nvrtcGetErrorString(r), "\n",
              log(), "\nin the source\n", source);
  }

  template <class SizeFn, class GetFn>
  std::string get(SizeFn size_of, GetFn get_into) {
    size_t n = 0;
    check(size_of(p_, &n), "asking for the size of its code");
    std::string out(n, '\0');
    check(get_into(p_, out.data()), "asking for its code");
    return out;
  }

 private:
  std::string log() {
    size_t n = 0;
    if (nvrtc().nvrtcGetProgramLogSize(p_, &n) != NVRTC_SUCCESS || n == 0) return "";
    std::string out(n, '\0');
    return nvrtc().nvrtcGetProgramLog(p_, out.data()) == NVRTC_SUCCESS ? out : "";
  }
  static void check(nvrtcResult r, const char* doing) {
    if (r != NVRTC_SUCCESS)
      sdk::fail(CTN_EINTERNAL, "NVRTC: ", doing, ": ", nvrtc().nvrtcGetErrorString(r));
  }

  nvrtcProgram p_ = nullptr;
};

}  // namespace

const std::string& nvrtc_why() { return nvrtc().why; }
const std::string& nvrtc_version() { return nvrtc().version; }

std::vector<std::string> nvrtc_options(int major, int minor) {
  return {"--gpu-architecture=" + target(major, minor),
          "--std=c++17",
          "--fmad=false",
          "--prec-div=true",
          "--prec-sqrt=true",
          "--ftz=false"};
}

Image nvrtc_compile(const std::string& source, int major, int minor,
                    const std::vector<std::string>& more) {
  const Nvrtc& n = nvrtc();
  if (!n.why.empty()) sdk::fail(CTN_EUNSUPPORTED, "cuda: ", n.why);
  Program program(source);
  std::vector<std::string> options = nvrtc_options(major, minor);
  options.insert(options.end(), more.begin(), more.end());
  program.compile(options, source);
  Image image;
  image.of = target(major, minor);
  const bool exact = image.of.starts_with("sm_");
  image.code = exact ? program.get(n.nvrtcGetCUBINSize, n.nvrtcGetCUBIN)
                     : program.get(n.nvrtcGetPTXSize, n.nvrtcGetPTX);
  return image;
}

}  // namespace catena::cuda
