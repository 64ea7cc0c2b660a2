// Copies between strides on a device, for kernels that join, split or fill. See move_text.cc for
// what runs there.
#pragma once

#include <cuda/native.h>

#include <span>

namespace catena::cuda {

// dst[...] = src[...] over `shape`; strides in bytes, elements of `item` bytes (1, 2, 4 or 8).
void copy_strided(Device& d, std::span<const int64_t> shape, int64_t item, void* dst,
                  std::span<const int64_t> dst_strides, const void* src,
                  std::span<const int64_t> src_strides);

}  // namespace catena::cuda
