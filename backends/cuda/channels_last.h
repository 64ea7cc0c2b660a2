// Layouts of this backend: images and filters with their channels innermost, (N, H, W, C), as
// tensor cores read them. Knows no kernel.
#pragma once

#include <catena/plugin.h>

namespace catena::cuda {

inline constexpr uint64_t kPlain = 0;
inline constexpr uint64_t kChannelsLast = 1;  // of 4 axes, the second one goes to the end

ctn_status CTN_CALL layout_bytes(void* self, const ctn_dltensor* t, uint64_t layout,
                                 uint64_t* bytes);
ctn_status CTN_CALL reorder(void* self, ctn_exec exec, const ctn_tensor* src,
                            const ctn_tensor* dst);

}  // namespace catena::cuda
