// Parameters: leaves that know how their array is made once its shape is known. Knows initializers
// by their table alone.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <span>
#include <string>
#include <string_view>

#include "core/variable.h"

namespace catena {

// The initializer class of that name; NULL for an empty one, which stands for "all NaN".
const InitializerEntry* find_initializer(std::string_view name);
// Fills an array by an initializer class; `given` is positional and may be short.
void initialize_array(Array& a, const InitializerEntry* initializer,
                      std::span<const ctn_value> given);
// A fresh array of a parameter, filled by its initializer; the parameter does not change.
Ref<Array> initial_array(const Variable& p, std::span<const int64_t> shape);
// Values for p in two steps, so that many parameters can change or none: an array that fits p
// (same shape, else CTN_ESHAPE naming `where`), on its device, in its dtype; then, without needing
// memory, p takes it: by keeping it or, where others see its memory, by copying into that.
Ref<Array> stage_array(const Variable& p, Array& source, const std::string& where);
void take_staged(Variable& p, Array& staged);
// The same for a persistent value: what replaces it.
Ref<Array> stage_array(Array& own, Array& source, const std::string& where);
// Makes a parameter of any leaf.
void adopt_parameter(Variable& v);
// A parameter like p without array and gradient.
Ref<Variable> clone_parameter(const Variable& p);
// Changes where p's array will be made, without moving the one it has.
inline void set_parameter_device(Variable& p, Device& device) {
  p.extra->parameter->device = &device;
}

}  // namespace catena
