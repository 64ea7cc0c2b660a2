// A false CUDA driver over host memory, for tests of the plugin without a GPU. Work is queued and
// done when somebody waits for it, as late as a driver might; device memory cannot be touched
// except by that work; a call without a current context, or on a device that broke, fails as CUDA's
// does.
#include "driver.h"

#include <cuda.h>
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "grid.h"

#define EXPORT __attribute__((visibility("default")))

struct CUctx_st {
  int device;
};
struct CUevent_st {
  int64_t recorded = 0, reached = 0;  // how often
  CUstream stream = nullptr;          // where it was recorded last
};
using Work = std::function<void()>;
struct CUstream_st {
  int device;
  std::deque<Work> work;
  bool capturing = false, spoilt = false;
  std::vector<Work> captured = {};
};
struct CUgraph_st {
  std::vector<Work> work;
};
struct CUgraphExec_st {
  std::vector<Work> work;
};
struct CUmod_st {
  void* library;
  fake::Words words;
};
struct CUfunc_st {
  CUmodule module;
  void (*run)(void*);
  size_t bytes;
};

namespace {

constexpr int kMost = 4;
constexpr uint64_t kArena = uint64_t{1} << 30, kPage = uint64_t{2} << 20;

struct Gpu {
  CUctx_st context{};
  bool broken = false;
  uint64_t used = 0;
  uint64_t small = 0, shared = 0;  // bytes in small blocks, and in the pages that these share
};

struct State {
  std::recursive_mutex mutex;
  int devices = 1;
  uint64_t memory = uint64_t{256} << 20;
  int64_t fail_alloc = 0, fault = 0, kernels = 0, copies = 0, graphs = 0;
  bool started = false, failing = false, pages = false;
  Gpu gpus[kMost];
  char* arena = nullptr;
  std::map<uint64_t, uint64_t> blocks;  // offset -> bytes, in the arena
  std::map<uint64_t, int> owners;       // offset -> device
  std::map<const char*, size_t> pinned;
  std::map<std::pair<CUmodule, std::string>, CUfunc_st> functions;
  std::vector<CUstream> streams;
  int open = 0;  // depth of work that may touch the arena
};
State& state() {
  static State* const s = [] {
    auto* made = new State;
    if (const char* n = std::getenv("FAKE_CUDA_DEVICES")) made->devices = std::atoi(n);
    made->pages = std::getenv("FAKE_CUDA_PAGES");
    return made;
  }();
  return *s;
}
using Lock = std::lock_guard<std::recursive_mutex>;

thread_local std::vector<CUcontext> t_current;

// Device memory is there only while device work runs.
class Touch {
 public:
  Touch() {
    if (state().open++ == 0 && state().arena)
      mprotect(state().arena, kArena, PROT_READ | PROT_WRITE);
  }
  ~Touch() {
    if (--state().open == 0 && state().arena) mprotect(state().arena, kArena, PROT_NONE);
  }
};

CUresult current(int* device = nullptr) {
  if (!state().started) return CUDA_ERROR_NOT_INITIALIZED;
  if (t_current.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  const int d = t_current.back()->device;
  if (device) *device = d;
  return state().gpus[d].broken ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_SUCCESS;
}

// What gives things back works on a broken device too.
bool no_context() { return !state().started || t_current.empty(); }

// Work is for streams of the current device.
CUresult current_of(CUstream s) {
  int d = 0;
  if (const CUresult r = current(&d); r != CUDA_SUCCESS) return r;
  return s->device == d ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

void queue(CUstream s, Work work) {
  if (s->capturing)
    s->captured.push_back(std::move(work));
  else
    s->work.push_back(std::move(work));
}

// Whoever waits for a stream that captures spoils what it captures.
bool spoils(CUstream s) {
  s->spoilt = s->spoilt || s->capturing;
  return s->capturing;
}

void drain(CUstream s) {
  const Touch touch;
  while (!s->work.empty()) {
    auto work = std::move(s->work.front());
    s->work.pop_front();
    work();
  }
}
// s: where the event was recorded at that time.
void reach(CUstream s, CUevent e, int64_t time) {
  while (e->reached < time && s && !s->work.empty()) {
    auto work = std::move(s->work.front());
    s->work.pop_front();
    const Touch touch;
    work();
  }
}

bool is_pinned(const void* p) {
  const auto* at = static_cast<const char*>(p);
  const auto found = state().pinned.upper_bound(at);
  if (found == state().pinned.begin()) return false;
  const auto block = std::prev(found);
  return at < block->first + block->second;
}

bool owns(CUdeviceptr p, uint64_t bytes) {
  State& s = state();
  const uint64_t at = p - reinterpret_cast<uintptr_t>(s.arena);
  const auto found = s.blocks.upper_bound(at);
  if (found == s.blocks.begin()) return false;
  const auto block = std::prev(found);
  return at + bytes <= block->first + block->second;
}

// Memory that a block takes. With FAKE_CUDA_PAGES as of a real driver: large blocks take whole
// pages, small ones share some, which come back when the last of them goes.
uint64_t whole_pages(uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }
bool take(Gpu& g, uint64_t bytes) {
  const bool small = state().pages && bytes < kPage;
  uint64_t more = state().pages ? whole_pages(bytes) : bytes;
  if (small) more = whole_pages(g.small + bytes) - std::min(g.shared, whole_pages(g.small + bytes));
  if (g.used + more > state().memory) return false;
  g.used += more;
  if (small) {
    g.small += bytes;
    g.shared += more;
  }
  return true;
}
void give(Gpu& g, uint64_t bytes) {
  if (!state().pages)
    g.used -= bytes;
  else if (bytes >= kPage)
    g.used -= whole_pages(bytes);
  else if ((g.small -= bytes) == 0)
    g.used -= std::exchange(g.shared, 0);
}

void copy_now(void* dst, const void* src, uint64_t n) {
  std::memcpy(dst, src, n);
  state().copies += static_cast<int64_t>(n);
}

}  // namespace

extern "C" EXPORT int fake_cuda_owns(const void* p, uint64_t bytes) {
  const Lock lock(state().mutex);
  int d = 0;
  const State& s = state();
  const auto at = static_cast<CUdeviceptr>(reinterpret_cast<uintptr_t>(p));
  if (current(&d) != CUDA_SUCCESS || !owns(at, bytes)) return 0;
  const auto block = std::prev(s.owners.upper_bound(at - reinterpret_cast<uintptr_t>(s.arena)));
  return block->second == d;
}

extern "C" EXPORT void fake_cuda_set(const char* what, int64_t n) {
  const Lock lock(state().mutex);
  const std::string key(what);
  if (key == "devices") state().devices = static_cast<int>(n);
  if (key == "memory") state().memory = static_cast<uint64_t>(n);
  if (key == "fail_alloc") {
    state().fail_alloc = n;
    state().failing = false;
  }
  if (key == "fault") state().fault = n;
  if (key == "heal") {
    for (Gpu& g : state().gpus) g.broken = false;
    state().fault = 0;
  }
}
extern "C" EXPORT void fake_cuda_enqueue(void* stream, void (*work)(void*), void* arg,
                                         void (*drop)(void*)) {
  const Lock lock(state().mutex);
  queue(static_cast<CUstream>(stream),
        [work, own = std::shared_ptr<void>(arg, drop)] { work(own.get()); });
}
extern "C" EXPORT int64_t fake_cuda_get(const char* what) {
  const Lock lock(state().mutex);
  const std::string key(what);
  if (key == "kernels") return state().kernels;
  if (key == "copies") return state().copies;
  if (key == "graphs") return state().graphs;
  if (key == "streams") return static_cast<int64_t>(state().streams.size());
  if (key == "allocations") return static_cast<int64_t>(state().blocks.size());
  int64_t waiting = 0;
  for (const CUstream s : state().streams) waiting += static_cast<int64_t>(s->work.size());
  return waiting;
}

extern "C" {

EXPORT CUresult cuInit(unsigned) {
  const Lock lock(state().mutex);
  State& s = state();
  if (s.devices < 0) return CUDA_ERROR_NO_DEVICE;
  s.started = true;
  if (!s.arena) {
    void* p = mmap(nullptr, kArena, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
    s.arena = static_cast<char*>(p);
  }
  for (int d = 0; d < kMost; ++d) s.gpus[d].context.device = d;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuGetErrorName(CUresult r, const char** text) {
  *text = r == CUDA_ERROR_ILLEGAL_ADDRESS   ? "CUDA_ERROR_ILLEGAL_ADDRESS"
          : r == CUDA_ERROR_OUT_OF_MEMORY   ? "CUDA_ERROR_OUT_OF_MEMORY"
          : r == CUDA_ERROR_INVALID_CONTEXT ? "CUDA_ERROR_INVALID_CONTEXT"
          : r == CUDA_ERROR_INVALID_VALUE   ? "CUDA_ERROR_INVALID_VALUE"
          : r == CUDA_ERROR_NO_DEVICE       ? "CUDA_ERROR_NO_DEVICE"
                                            : nullptr;
  return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
EXPORT CUresult cuGetErrorString(CUresult r, const char** text) {
  *text = r == CUDA_ERROR_ILLEGAL_ADDRESS ? "an illegal memory access was encountered"
          : r == CUDA_ERROR_OUT_OF_MEMORY ? "out of memory"
          : r == CUDA_ERROR_NO_DEVICE     ? "no CUDA-capable device is detected"
                                          : "an error";
  return CUDA_SUCCESS;
}
EXPORT CUresult cuDriverGetVersion(int* v) {
  *v = CUDA_VERSION;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGetCount(int* n) {
  *n = state().devices;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGet(CUdevice* d, int index) {
  *d = index;
  return index < state().devices ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
EXPORT CUresult cuDeviceGetName(char* name, int n, CUdevice) {
  std::strncpy(name, "False GPU", static_cast<size_t>(n));
  return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceTotalMem(size_t* bytes, CUdevice) {
  *bytes = state().memory;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGetAttribute(int* v, CUdevice_attribute which, CUdevice) {
  *v = which == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? 9 : 0;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* c, CUdevice d) {
  *c = &state().gpus[d].context;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuCtxPushCurrent(CUcontext c) {
  t_current.push_back(c);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuCtxPopCurrent(CUcontext* c) {
  if (t_current.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  *c = t_current.back();
  t_current.pop_back();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemGetInfo(size_t* free, size_t* total) {
  const Lock lock(state().mutex);
  int d = 0;
  if (const CUresult r = current(&d); r != CUDA_SUCCESS) return r;
  *total = state().memory;
  *free = state().memory - state().gpus[d].used;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemAlloc(CUdeviceptr* out, size_t bytes) {
  const Lock lock(state().mutex);
  State& s = state();
  int d = 0;
  if (const CUresult r = current(&d); r != CUDA_SUCCESS) return r;
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (s.fail_alloc > 0 && s.fail_alloc-- == 1) s.failing = true;
  if (s.failing) return CUDA_ERROR_OUT_OF_MEMORY;
  uint64_t at = 0;  // first fit, on 256 bytes with a gap behind each block
  for (const auto& [offset, size] : s.blocks) {
    if (offset >= at + bytes + 256) break;
    at = (offset + size + 256 + 255) & ~uint64_t{255};
  }
  if (at + bytes > kArena || !take(s.gpus[d], bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  s.blocks[at] = bytes;
  s.owners[at] = d;
  *out = reinterpret_cast<uintptr_t>(s.arena) + at;
  const Touch touch;
  std::memset(s.arena + at, 0xff, bytes);  // NaN: must be written before it is read
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemFree(CUdeviceptr p) {
  const Lock lock(state().mutex);
  if (no_context()) return CUDA_ERROR_INVALID_CONTEXT;
  State& s = state();
  const uint64_t at = p - reinterpret_cast<uintptr_t>(s.arena);
  const auto block = s.blocks.find(at);
  if (block == s.blocks.end()) return CUDA_ERROR_INVALID_VALUE;
  give(s.gpus[s.owners[at]], block->second);
  if (block->second >= 8192)
    madvise(s.arena + ((at + 4095) & ~uint64_t{4095}), (block->second - 4096) & ~uint64_t{4095},
            MADV_DONTNEED);
  s.owners.erase(at);
  s.blocks.erase(block);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemsetD8Async(CUdeviceptr p, unsigned char value, size_t n, CUstream s) {
  const Lock lock(state().mutex);
  if (const CUresult r = current_of(s); r != CUDA_SUCCESS) return r;
  if (!owns(p, n)) return CUDA_ERROR_INVALID_VALUE;
  queue(s, [=] { std::memset(reinterpret_cast<void*>(p), value, n); });
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemsetD32Async(CUdeviceptr p, unsigned value, size_t n, CUstream s) {
  const Lock lock(state().mutex);
  if (const CUresult r = current_of(s); r != CUDA_SUCCESS) return r;
  if (!owns(p, 4 * n) || p % 4 != 0) return CUDA_ERROR_INVALID_VALUE;
  queue(s, [=] { std::fill_n(reinterpret_cast<unsigned*>(p), n, value); });
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemHostAlloc(void** p, size_t bytes, unsigned) {
  const Lock lock(state().mutex);
  if (const CUresult r = current(); r != CUDA_SUCCESS) return r;
  auto* made = new char[bytes];
  state().pinned[made] = bytes;
  *p = made;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFreeHost(void* p) {
  const Lock lock(state().mutex);
  if (no_context()) return CUDA_ERROR_INVALID_CONTEXT;
  if (state().pinned.erase(static_cast<char*>(p)) != 1) return CUDA_ERROR_INVALID_VALUE;
  delete[] static_cast<char*>(p);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemcpyHtoDAsync(CUdeviceptr dst, const void* src, size_t n, CUstream s) {
  const Lock lock(state().mutex);
  if (const CUresult r = current_of(s); r != CUDA_SUCCESS) return r;
  if (!owns(dst, n)) return CUDA_ERROR_INVALID_VALUE;
  auto* to = reinterpret_cast<void*>(dst);
  if (is_pinned(src)) {
    queue(s, [=] { copy_now(to, src, n); });
  } else {
    const auto* from = static_cast<const char*>(src);
    queue(s, [to, bytes = std::string(from, n)] { copy_now(to, bytes.data(), bytes.size()); });
  }
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemcpyDtoHAsync(void* dst, CUdeviceptr src, size_t n, CUstream s) {
  const Lock lock(state().mutex);
  if (const CUresult r = current_of(s); r != CUDA_SUCCESS) return r;
  if (!owns(src, n)) return CUDA_ERROR_INVALID_VALUE;
  const auto* from = reinterpret_cast<const void*>(src);
  queue(s, [=] { copy_now(dst, from, n); });
  if (!is_pinned(dst) && spoils(s)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (!is_pinned(dst)) drain(s);
  return current();
}
EXPORT CUresult cuMemcpyDtoDAsync(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream s) {
  const Lock lock(state().mutex);
  if (const CUresult r = current_of(s); r != CUDA_SUCCESS) return r;
  if (!owns(dst, n) || !owns(src, n)) return CUDA_ERROR_INVALID_VALUE;
  queue(s, [=] { copy_now(reinterpret_cast<void*>(dst), reinterpret_cast<const void*>(src), n); });
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemcpyPeerAsync(CUdeviceptr dst, CUcontext, CUdeviceptr src, CUcontext, size_t n,
                                  CUstream s) {
  return cuMemcpyDtoDAsync(dst, src, n, s);
}

EXPORT CUresult cuStreamCreate(CUstream* s, unsigned) {
  const Lock lock(state().mutex);
  int d = 0;
  if (const CUresult r = current(&d); r != CUDA_SUCCESS) return r;
  *s = new CUstream_st{d, {}};
  state().streams.push_back(*s);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamDestroy(CUstream s) {
  const Lock lock(state().mutex);
  if (no_context()) return CUDA_ERROR_INVALID_CONTEXT;
  drain(s);
  std::erase(state().streams, s);
  delete s;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamSynchronize(CUstream s) {
  const Lock lock(state().mutex);
  if (const CUresult r = current(); r != CUDA_SUCCESS) return r;
  if (spoils(s)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  drain(s);
  return current();
}
EXPORT CUresult cuStreamBeginCapture(CUstream s, CUstreamCaptureMode) {
  const Lock lock(state().mutex);
  if (const CUresult r = current_of(s); r != CUDA_SUCCESS) return r;
  if (s->capturing) return CUDA_ERROR_ILLEGAL_STATE;
  s->capturing = true;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamEndCapture(CUstream s, CUgraph* graph) {
  const Lock lock(state().mutex);
  if (no_context()) return CUDA_ERROR_INVALID_CONTEXT;
  if (!s->capturing) return CUDA_ERROR_ILLEGAL_STATE;
  s->capturing = false;
  std::vector<Work> work = std::move(s->captured);
  s->captured.clear();
  if (std::exchange(s->spoilt, false)) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  *graph = new CUgraph_st{std::move(work)};
  ++state().graphs;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphInstantiate(CUgraphExec* exec, CUgraph graph, unsigned long long) {
  const Lock lock(state().mutex);
  if (const CUresult r = current(); r != CUDA_SUCCESS) return r;
  *exec = new CUgraphExec_st{graph->work};
  ++state().graphs;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphLaunch(CUgraphExec exec, CUstream s) {
  const Lock lock(state().mutex);
  if (const CUresult r = current_of(s); r != CUDA_SUCCESS) return r;
  for (const Work& work : exec->work) queue(s, work);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphDestroy(CUgraph graph) {
  const Lock lock(state().mutex);
  --state().graphs;
  delete graph;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphExecDestroy(CUgraphExec exec) {
  const Lock lock(state().mutex);
  if (no_context()) return CUDA_ERROR_INVALID_CONTEXT;
  --state().graphs;
  delete exec;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamWaitEvent(CUstream s, CUevent e, unsigned) {
  const Lock lock(state().mutex);
  if (const CUresult r = current_of(s); r != CUDA_SUCCESS) return r;
  queue(s, [from = e->stream, e, time = e->recorded] { reach(from, e, time); });
  return CUDA_SUCCESS;
}
EXPORT CUresult cuEventCreate(CUevent* e, unsigned) {
  const Lock lock(state().mutex);
  if (const CUresult r = current(); r != CUDA_SUCCESS) return r;
  *e = new CUevent_st;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuEventDestroy(CUevent e) {
  static auto* gone = new std::vector<CUevent>;  // queues may still name them
  const Lock lock(state().mutex);
  gone->push_back(e);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuEventRecord(CUevent e, CUstream s) {
  const Lock lock(state().mutex);
  if (const CUresult r = current_of(s); r != CUDA_SUCCESS) return r;
  const int64_t time = ++e->recorded;
  e->stream = s;
  queue(s, [e, time] { e->reached = time; });
  return CUDA_SUCCESS;
}
EXPORT CUresult cuEventSynchronize(CUevent e) {
  const Lock lock(state().mutex);
  if (const CUresult r = current(); r != CUDA_SUCCESS) return r;
  reach(e->stream, e, e->recorded);
  return current();
}

EXPORT CUresult cuModuleLoadDataEx(CUmodule* m, const void* image, unsigned, CUjit_option*,
                                   void**) {
  const Lock lock(state().mutex);
  if (const CUresult r = current(); r != CUDA_SUCCESS) return r;
  const auto* bytes = static_cast<const char*>(image);
  if (std::memcmp(bytes, "FAKECUDA", 8) != 0) return CUDA_ERROR_INVALID_IMAGE;
  uint64_t n = 0;
  std::memcpy(&n, bytes + 8, sizeof n);
  if (n == 0) {  // of kernels that do nothing
    *m = new CUmod_st{};
    return CUDA_SUCCESS;
  }
  std::string path = std::filesystem::temp_directory_path() / "fake-cuda-XXXXXX";
  const int file = mkstemp(path.data());
  if (file < 0) return CUDA_ERROR_OPERATING_SYSTEM;
  const bool whole = write(file, bytes + 16, n) == static_cast<ssize_t>(n);
  close(file);
  void* library = whole ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  unlink(path.c_str());
  if (!library) return CUDA_ERROR_INVALID_IMAGE;
  const auto index = [&](const char* name) {
    return static_cast<fake::Index3*>(dlsym(library, name));
  };
  *m = new CUmod_st{library,
                    {index("threadIdx"), index("blockIdx"), index("blockDim"), index("gridDim"),
                     reinterpret_cast<void (**)(int)>(dlsym(library, "emulated_barrier")),
                     *static_cast<const int*>(dlsym(library, "has_barrier")) != 0}};
  return CUDA_SUCCESS;
}
EXPORT CUresult cuModuleUnload(CUmodule m) {
  const Lock lock(state().mutex);
  if (const CUresult r = current(); r != CUDA_SUCCESS) return r;
  if (m->library) dlclose(m->library);
  std::erase_if(state().functions, [m](const auto& f) { return f.first.first == m; });
  delete m;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuModuleGetFunction(CUfunction* f, CUmodule m, const char* name) {
  const Lock lock(state().mutex);
  if (!m->library) {
    *f = &(state().functions[{m, name}] = {m, nullptr, 0});
    return CUDA_SUCCESS;
  }
  void* run = dlsym(m->library, (std::string("run_") + name).c_str());
  void* size = dlsym(m->library, (std::string("size_") + name).c_str());
  if (!run || !size) return CUDA_ERROR_NOT_FOUND;
  CUfunc_st& entry = state().functions[{m, name}];
  entry = {m, reinterpret_cast<void (*)(void*)>(run), *static_cast<const unsigned long*>(size)};
  *f = &entry;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                               unsigned by, unsigned bz, unsigned, CUstream s, void** parameters,
                               void**) {
  const Lock lock(state().mutex);
  int d = 0;
  if (const CUresult r = current(&d); r != CUDA_SUCCESS) return r;
  if (s->device != d) return CUDA_ERROR_INVALID_HANDLE;
  if (gx == 0 || gy == 0 || gz != 1 || gy > 65535 || bx * by * bz > 1024 || by != 1 || bz != 1 ||
      f->bytes > 4096)
    return CUDA_ERROR_INVALID_VALUE;
  queue(s, [=, bytes = std::string(static_cast<const char*>(parameters[0]), f->bytes)] {
    State& st = state();
    if (st.gpus[d].broken) return;
    if (st.fault > 0 && --st.fault == 0) {
      st.gpus[d].broken = true;
      return;
    }
    ++st.kernels;
    if (!f->run) return;
    std::vector<uint64_t> aligned((bytes.size() + 7) / 8);
    std::memcpy(aligned.data(), bytes.data(), bytes.size());
    if (!fake::run_grid(f->module->words, f->run, aligned.data(), {gx, gy, gz}, {bx, by, bz}))
      st.gpus[d].broken = true;
  });
  return CUDA_SUCCESS;
}
}
