// Copies between memory of any strides: what joins, slices and packing have in common.
#pragma once

#include <catena/sdk.hpp>

#include <span>

namespace catena::cpu {

// dst[...] = src[...] over `shape`; strides in bytes, elements of `item` bytes (1, 2, 4 or 8).
void copy_strided(ctn_exec exec, std::span<const int64_t> shape, int64_t item, char* dst,
                  std::span<const int64_t> dst_strides, const char* src,
                  std::span<const int64_t> src_strides);

// bytes of zeros.
void fill_zero(ctn_exec exec, void* dst, int64_t bytes);

}  // namespace catena::cpu
