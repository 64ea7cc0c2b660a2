// Saving and loading of models and optimizers as NumPy .npz files, compatible with Chainer's.
#pragma once

#include <catena/cpp/optimizer.hpp>

namespace catena::inline cpp::serializers {

// Atomic: the file is replaced whole or not at all.
inline void save_npz(std::string_view path, const Link& link, bool compress = true) {
  check(ctn_save_npz_link(link.get(), detail::str(path), compress));
}
inline void save_npz(std::string_view path, const Optimizer& optimizer, bool compress = true) {
  check(ctn_save_npz_optimizer(optimizer.get(), detail::str(path), compress));
}
inline void load_npz(std::string_view path, Link& link, std::string_view prefix = {},
                     bool strict = true) {
  check(ctn_load_npz_link(link.get(), detail::str(path), detail::str(prefix), strict));
}
inline void load_npz(std::string_view path, Optimizer& optimizer, std::string_view prefix = {},
                     bool strict = true) {
  check(ctn_load_npz_optimizer(optimizer.get(), detail::str(path), detail::str(prefix), strict));
}

}  // namespace catena::inline cpp::serializers
