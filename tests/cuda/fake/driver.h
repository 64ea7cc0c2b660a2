// How a test steers the false driver: libcuda.so.1 exports this beside the driver's functions.
#pragma once

#include <cstdint>

// devices: how many there are, before cuInit (otherwise FAKE_CUDA_DEVICES of the environment, or
// 1). memory: bytes a device has. fail_alloc: the n-th allocation of device memory from now fails,
// and all after it until this is set again (0: none). fault: the n-th kernel from now, when it
// runs, breaks
extern "C" void fake_cuda_set(const char* what, int64_t n);
// A piece of work at the end of a stream, for the other false libraries: captured, it is done more
// than once; `drop` takes arg back.
extern "C" void fake_cuda_enqueue(void* stream, void (*work)(void*), void* arg,
                                  void (*drop)(void*));
// Whether the memory is a part of one block of the current device.
extern "C" int fake_cuda_owns(const void* p, uint64_t bytes);
// kernels: run so far. copies: bytes copied. allocations: blocks of device memory out. graphs:
// captured and executable ones there are. streams: that were made and not destroyed. waiting:
// pieces of work in queues.
extern "C" int64_t fake_cuda_get(const char* what);
