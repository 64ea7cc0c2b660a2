// The files of kernels: each has one function that registers what it offers. plugin.cc calls them
// in this order.
#pragma once

#include <catena/plugin.h>

namespace catena::intel64 {

using RegisterFn = ctn_status (*)(const ctn_host* host, ctn_plugin plugin);

// One line a file: ctn_status register_<file>(const ctn_host*, ctn_plugin), here and in the list.
ctn_status register_conv(const ctn_host* host, ctn_plugin plugin);
ctn_status register_conv_weights(const ctn_host* host, ctn_plugin plugin);
ctn_status register_join(const ctn_host* host, ctn_plugin plugin);
ctn_status register_lrn(const ctn_host* host, ctn_plugin plugin);
ctn_status register_noise(const ctn_host* host, ctn_plugin plugin);
ctn_status register_norm(const ctn_host* host, ctn_plugin plugin);
ctn_status register_pooling(const ctn_host* host, ctn_plugin plugin);

inline constexpr RegisterFn kKernelFiles[] = {
    register_conv,  register_conv_weights, register_join,    register_lrn,
    register_noise, register_norm,         register_pooling, nullptr,  // the end
};

}  // namespace catena::intel64
