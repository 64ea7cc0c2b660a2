// The files of kernels: each has one function that registers what it offers. plugin.cc calls them
// in this order.
#pragma once

#include <catena/plugin.h>

namespace catena::cpu {

using RegisterFn = ctn_status (*)(const ctn_host* host, ctn_plugin plugin);

// One line a file: ctn_status register_<file>(const ctn_host*, ctn_plugin), here and in the list.
ctn_status register_move(const ctn_host* host, ctn_plugin plugin);

inline constexpr RegisterFn kKernelFiles[] = {
    register_move,
    nullptr,  // ends the list
};

}  // namespace catena::cpu
