// The layouts of this backend as numbers: which oneDNN format an array is in. Shapes are the
// array's own; filters of a grouped convolution have one axis more for oneDNN.
#pragma once

#include <intel64/onednn.h>

#include <catena/plugin.h>

#include <cstdint>
#include <span>

namespace catena::intel64 {

// Plain data, C order.
inline constexpr uint64_t kPlain = 0;

// Images (N, C, H, W) with the channels in blocks; kPlain where blocks would be padded.
uint64_t image_layout(int64_t channels);

// Filters (O, I, H, W) in blocks of both channels, those of O innermost.
uint64_t filter_layout();
// The same with the channels of I innermost; for blocks of 16.
uint64_t turned_filter_layout();
// The layout of filters of `groups` groups that oneDNN chose; kPlain if it has no number here.
uint64_t filter_layout(const Md& chosen, std::span<const int64_t> shape, int64_t groups);
// Whether the filters of one block lie behind those of the one before; what they have for one block
// of channels.
bool has_filters_outermost(uint64_t layout);
bool has_channels_outermost(uint64_t layout);

// The array in that layout. Throws sdk::Error for a number that is not of this backend.
Md describe(std::span<const int64_t> shape, ctn_dtype dtype, uint64_t layout);
// The same where the layout is left to oneDNN or plain; filters of a grouped convolution.
Md describe_filters(std::span<const int64_t> shape, int64_t groups, bool open);

ctn_status CTN_CALL layout_bytes(void* self, const ctn_dltensor* t, uint64_t layout,
                                 uint64_t* bytes);
ctn_status CTN_CALL layout_blocks(void* self, uint64_t layout, int32_t* axis, int64_t* block);
ctn_status CTN_CALL reorder(void* self, ctn_exec exec, const ctn_tensor* src,
                            const ctn_tensor* dst);

}  // namespace catena::intel64
