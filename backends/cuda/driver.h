// The CUDA driver as a table of the functions used, filled at run time, and what its errors become.
// Knows no device of ours and no kernel.
#pragma once

#include <cuda.h>

#include <string>
#include <string_view>

namespace catena::cuda {

// The names are macros of cuda.h for the versions of the functions that the header declares.
#define CATENA_CUDA_DRIVER(X) \
  X(cuInit)                   \
  X(cuGetErrorName)           \
  X(cuGetErrorString)         \
  X(cuDriverGetVersion)       \
  X(cuDeviceGetCount)         \
  X(cuDeviceGet)              \
  X(cuDeviceGetName)          \
  X(cuDeviceTotalMem)         \
  X(cuDeviceGetAttribute)     \
  X(cuDevicePrimaryCtxRetain) \
  X(cuCtxPushCurrent)         \
  X(cuCtxPopCurrent)          \
  X(cuMemGetInfo)             \
  X(cuMemsetD8Async)          \
  X(cuMemAlloc)               \
  X(cuMemFree)                \
  X(cuMemHostAlloc)           \
  X(cuMemFreeHost)            \
  X(cuMemcpyHtoDAsync)        \
  X(cuMemcpyDtoHAsync)        \
  X(cuMemcpyDtoDAsync)        \
  X(cuMemcpyPeerAsync)        \
  X(cuStreamCreate)           \
  X(cuStreamDestroy)          \
  X(cuStreamSynchronize)      \
  X(cuStreamWaitEvent)        \
  X(cuStreamBeginCapture)     \
  X(cuStreamEndCapture)       \
  X(cuGraphInstantiate)       \
  X(cuGraphLaunch)            \
  X(cuGraphDestroy)           \
  X(cuGraphExecDestroy)       \
  X(cuEventCreate)            \
  X(cuEventDestroy)           \
  X(cuEventRecord)            \
  X(cuEventSynchronize)       \
  X(cuModuleLoadDataEx)       \
  X(cuModuleUnload)           \
  X(cuModuleGetFunction)      \
  X(cuLaunchKernel)

struct Driver {
#define CATENA_MEMBER(name) decltype(&::name) name = nullptr;
  CATENA_CUDA_DRIVER(CATENA_MEMBER)
#undef CATENA_MEMBER
  bool usable = false;  // opened, initialised, with at least one device
  int devices = 0;
  int version = 0;  // 13000 for 13.0
  std::string why;  // not usable: all of it, for a person
};

// Opened and initialised by the first call, in whichever thread; stays as it is.
const Driver& driver();

// Whether this process was forked from one that had started the driver, which ends its use.
bool in_forked_child() noexcept;

// "CUDA_ERROR_LAUNCH_FAILED (unspecified launch failure)"
std::string error_text(CUresult result);

// Throws sdk::Error: CTN_ENOMEM for lack of memory, CTN_EDEVICE otherwise. `doing` opens the text.
void check(CUresult result, std::string_view doing);

}  // namespace catena::cuda
