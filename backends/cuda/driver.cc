// See driver.h.
#include <catena/sdk.hpp>

#include <cuda/driver.h>
#include <cuda/library.h>

#include <unistd.h>

#include <atomic>

namespace catena::cuda {
namespace {

constinit std::atomic<pid_t> g_started{0};  // the process that started the driver

#define CATENA_TEXT(name) #name
#define CATENA_NAME(name) CATENA_TEXT(name)

// Why the table could not be filled; empty if it was.
std::string fill(Driver& d) {
  Library library = open_library({"libcuda.so.1"}, "is the NVIDIA driver installed?");
  if (!library.handle) return library.why;
#define CATENA_FILL(name)                                                                \
  d.name = reinterpret_cast<decltype(&::name)>(find_symbol(library, CATENA_NAME(name))); \
  if (!d.name) return library.why + ": the driver is older than CUDA " + header_version();
  const auto header_version = [] {
    return std::to_string(CUDA_VERSION / 1000) + "." + std::to_string(CUDA_VERSION % 1000 / 10);
  };
  CATENA_CUDA_DRIVER(CATENA_FILL)
#undef CATENA_FILL
  return "";
}

std::string text_of(const Driver& d, CUresult result) {
  const char *name = nullptr, *text = nullptr;
  if (d.cuGetErrorName(result, &name) != CUDA_SUCCESS || !name)
    return "CUDA error " + std::to_string(static_cast<int>(result));
  if (d.cuGetErrorString(result, &text) != CUDA_SUCCESS || !text) return name;
  return std::string(name) + " (" + text + ")";
}

std::string start(Driver& d) {
  if (std::string why = fill(d); !why.empty()) return why;
  g_started.store(getpid(), std::memory_order_release);
  if (const CUresult r = d.cuInit(0); r != CUDA_SUCCESS)
    return "the NVIDIA driver does not start: " + text_of(d, r);
  if (const CUresult r = d.cuDriverGetVersion(&d.version); r != CUDA_SUCCESS)
    return "the NVIDIA driver has no version: " + text_of(d, r);
  if (const CUresult r = d.cuDeviceGetCount(&d.devices); r != CUDA_SUCCESS)
    return "the NVIDIA driver counts no devices: " + text_of(d, r);
  if (d.devices < 1) return "the NVIDIA driver finds no GPU";
  return "";
}

}  // namespace

const Driver& driver() {
  static const Driver* const d = [] {
    auto* made = new Driver;
    made->why = start(*made);
    made->usable = made->why.empty();
    if (!made->usable) made->devices = 0;
    return made;
  }();
  return *d;
}

bool in_forked_child() noexcept {
  const pid_t started = g_started.load(std::memory_order_acquire);
  return started != 0 && started != getpid();
}

std::string error_text(CUresult result) { return text_of(driver(), result); }

void check(CUresult result, std::string_view doing) {
  if (result == CUDA_SUCCESS) [[likely]]
    return;
  const bool memory = result == CUDA_ERROR_OUT_OF_MEMORY;
  sdk::fail(memory ? CTN_ENOMEM : CTN_EDEVICE, doing, ": ", error_text(result));
}

}  // namespace catena::cuda
