// The files of kernels: each has one function that registers what it offers. plugin.cc calls them
// in this order.
#pragma once

#include <catena/plugin.h>

namespace catena::cpu {

using RegisterFn = ctn_status (*)(const ctn_host* host, ctn_plugin plugin);

// One line a file: ctn_status register_<file>(const ctn_host*, ctn_plugin), here and in the list.
ctn_status register_conv(const ctn_host* host, ctn_plugin plugin);
ctn_status register_embed(const ctn_host* host, ctn_plugin plugin);
ctn_status register_loss(const ctn_host* host, ctn_plugin plugin);
ctn_status register_lrn(const ctn_host* host, ctn_plugin plugin);
ctn_status register_matmul(const ctn_host* host, ctn_plugin plugin);
ctn_status register_move(const ctn_host* host, ctn_plugin plugin);
ctn_status register_noise(const ctn_host* host, ctn_plugin plugin);
ctn_status register_norm(const ctn_host* host, ctn_plugin plugin);
ctn_status register_pooling(const ctn_host* host, ctn_plugin plugin);
ctn_status register_softmax(const ctn_host* host, ctn_plugin plugin);

inline constexpr RegisterFn kKernelFiles[] = {
    register_conv, register_embed, register_loss, register_lrn,     register_matmul,
    register_move, register_noise, register_norm, register_pooling, register_softmax,
    nullptr,  // ends the list
};

}  // namespace catena::cpu
