// A ctn_form as CUDA C: a pure function from data to text, so that it is tested without a GPU.
// Knows no driver and no compiler.
#pragma once

#include <catena/plugin.h>

#include <string>

namespace catena::cuda {

// Dimensions of the launch structs that kernels take. One dimension has a kernel of its own; what
// has more than kNearDims does not fit kernel parameters and lies in device memory.
inline constexpr int kNearDims = 8;
inline constexpr int kThreads = 256;
// Elements that a thread of `flat` has in flight: 16 bytes of each array, and not too many.
int unroll_of(const ctn_form& form);

// Whether one source has the kernels for up to kNearDims dimensions, or those for all others.
enum class Reach { kNear, kFar };

// Kernels of an elementwise form: ctn_flat (near only: at most one dimension) and ctn_walk; of a
// reduction: ctn_reduce and ctn_finish. Their parameter is Launch<N> (far: a pointer to one):
//   int64 size, kept, reduced, ndim, n_reduced, lanes, across, parts, chunk, partial
//   uint64 scalars[n_scalars]; pointers data[n_args]; int64 counts[n_args], shape[N];
//   uint64 inverse[N]: division.h's factor and, above it, shift of shape;
//   int64 strides[n_args][N] in bytes; n_scalars at least 1
// N is 1 for ctn_flat, kNearDims, or CTN_MAX_NDIM. program.cc fills it.
inline constexpr int kLaunchHead = 10;
std::string source_of(const ctn_form& form, Reach reach);

// What the two files of texts give.
extern const char* const kPreludeTypes;
extern const char* const kPreludeArithmetic;
extern const char* const kPreludeMath;
extern const char* const kElementwiseKernels;
extern const char* const kReductionKernels;

}  // namespace catena::cuda
