// A false NVRTC: "compiles" CUDA C with the host's g++ into a shared object, which the false driver
// loads as a module. An image is the word FAKECUDA, the number of bytes, and the object. Where the
// environment's FAKE_CUDA_SOURCES names a directory, sources are written there instead, and the
// modules of 0 bytes hold kernels that do nothing.
#include <nvrtc.h>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

extern char** environ;

struct _nvrtcProgram {
  std::string source, log, image;
};

namespace {

std::string read_file(const std::string& name) {
  std::string out;
  if (FILE* f = std::fopen(name.c_str(), "rb")) {
    char buffer[65536];
    for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, f)) > 0;) out.append(buffer, n);
    std::fclose(f);
  }
  return out;
}

bool write_file(const std::string& name, const std::string& text) {
  FILE* f = std::fopen(name.c_str(), "wb");
  if (!f) return false;
  const bool whole = std::fwrite(text.data(), 1, text.size(), f) == text.size();
  return std::fclose(f) == 0 && whole;
}

// For every kernel a function that takes parameters as cuLaunchKernel does, and their size.
std::string entries(const std::string& source) {
  std::string out =
      "extern \"C\" { Index3 threadIdx, blockIdx, blockDim, gridDim; "
      "void (*emulated_barrier)(int); "
      "}\n";
  const std::string mark = "extern \"C\" __global__ void ";
  for (size_t at = source.find(mark); at != std::string::npos; at = source.find(mark, at + 1)) {
    const size_t name_at = at + mark.size(), open = source.find('(', name_at);
    const std::string name = source.substr(name_at, open - name_at);
    const size_t last = source.find(" l)", open);
    const std::string type = source.substr(open + 1, last - open - 1);
    out += "extern \"C\" void run_" + name + "(void* p) { " + name + "(*(" + type + "*)p); }\n";
    out +=
        "extern \"C\" { extern const unsigned long size_" + name + " = sizeof(" + type + "); }\n";
  }
  const bool barrier = source.find("__syncthreads") != std::string::npos ||
                       source.find("__shfl") != std::string::npos;
  return out + "extern \"C\" { extern const int has_barrier = " + (barrier ? "1" : "0") + "; }\n";
}

int run(const std::vector<std::string>& words, const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& w : words) argv.push_back(const_cast<char*>(w.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = -1;
  if (failed || waitpid(pid, &status, 0) != pid) return -1;
  return status;
}

void set_image(_nvrtcProgram& p, const std::string& code) {
  const uint64_t bytes = code.size();
  p.image = "FAKECUDA";
  p.image.append(reinterpret_cast<const char*>(&bytes), sizeof bytes);
  p.image += code;
}

// Named after what it is, so that each is there once.
void keep_source(_nvrtcProgram& p, const std::string& directory) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : p.source) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  if (write_file(directory + "/" + std::to_string(hash) + ".cu", p.source))
    set_image(p, "");
  else
    p.log = "cannot write to " + directory;
}

void compile(_nvrtcProgram& p) {
  if (const char* directory = std::getenv("FAKE_CUDA_SOURCES")) return keep_source(p, directory);
  std::string base = std::filesystem::temp_directory_path() / "fake-nvrtc-XXXXXX";
  if (!mkdtemp(base.data())) {
    p.log = "no directory for temporary files";
    return;
  }
  const std::string source = base + "/k.cc", object = base + "/k.so", log = base + "/log";
  write_file(source, p.source + entries(p.source));
  const int status = run(
      {"g++", "-x", "c++", "-std=c++17", "-O1", "-w", "-fPIC", "-shared", "-fno-gnu-unique",
       "-ffp-contract=off", "-fno-math-errno", "-include", FAKE_WORDS, source, "-o", object, "-lm"},
      log);
  if (status == 0) set_image(p, read_file(object));
  p.log = read_file(log);
  for (const std::string& name : {source, object, log}) unlink(name.c_str());
  rmdir(base.c_str());
}

}  // namespace

#define EXPORT __attribute__((visibility("default")))
extern "C" {

EXPORT const char* nvrtcGetErrorString(nvrtcResult r) {
  return r == NVRTC_SUCCESS ? "NVRTC_SUCCESS" : "NVRTC_ERROR_COMPILATION";
}
EXPORT nvrtcResult nvrtcVersion(int* major, int* minor) {
  *major = 0;  // of no real one
  *minor = 1;
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcGetNumSupportedArchs(int* n) {
  *n = 2;
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcGetSupportedArchs(int* archs) {
  archs[0] = 75;
  archs[1] = 90;
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcCreateProgram(nvrtcProgram* out, const char* source, const char*, int,
                                      const char* const*, const char* const*) {
  *out = new _nvrtcProgram{source, "", ""};
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcDestroyProgram(nvrtcProgram* p) {
  delete *p;
  *p = nullptr;
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcCompileProgram(nvrtcProgram p, int, const char* const*) {
  compile(*p);
  return p->image.empty() ? NVRTC_ERROR_COMPILATION : NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram p, size_t* n) {
  *n = p->log.size();
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcGetProgramLog(nvrtcProgram p, char* to) {
  std::memcpy(to, p->log.data(), p->log.size());
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcGetCUBINSize(nvrtcProgram p, size_t* n) {
  *n = p->image.size();
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcGetCUBIN(nvrtcProgram p, char* to) {
  std::memcpy(to, p->image.data(), p->image.size());
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcGetPTXSize(nvrtcProgram p, size_t* n) { return nvrtcGetCUBINSize(p, n); }
EXPORT nvrtcResult nvrtcGetPTX(nvrtcProgram p, char* to) { return nvrtcGetCUBIN(p, to); }
}
