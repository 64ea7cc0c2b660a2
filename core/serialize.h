// Links and optimizers in npz files, under the names Chainer gives. Saving is atomic, loading
// changes everything or nothing. Knows no class by name; the format is npz.h's.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <functional>
#include <span>
#include <string_view>

#include "core/optimizer.h"
#include "core/stream.h"

namespace catena {

// `prefix` stands in front of all names; a '/' is added where it lacks one.
void save_link(Link& link, const Place& to, bool compress);
void load_link(Link& link, const Place& from, std::string_view prefix, bool strict);
void save_optimizer(Optimizer& optimizer, const Place& to, bool compress);
void load_optimizer(Optimizer& optimizer, const Place& from, std::string_view prefix, bool strict);

struct NamedArray {
  std::string_view name;
  Array* array;  // NULL: None
};
void save_arrays(Context& ctx, const Place& to, std::span<const NamedArray> arrays, bool compress);
// In the file's order; texts are left out.
void load_arrays(Context& ctx, const Place& from,
                 const std::function<void(std::string_view name, Array* array)>& visit);

}  // namespace catena
