// The few expressions the core itself needs: copy and cast, fill, sum of gradients, non-finite
// test. They are forms without names in the registry; knows no op.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include "core/array.h"
#include "core/launch.h"

namespace catena {

// dst[...] = src, cast; src broadcasts to dst. Same device.
void copy_into(Array& dst, Array& src);
void fill(Array& dst, const ctn_value& value);
// dst += src, same shape and dtype.
void add_into(Array& dst, Array& src);
Ref<Array> add_arrays(Array& a, Array& b);
// a *= factor
void scale_into(Array& a, double factor);
// C-order index of the first NaN, or -1. Integers have none.
int64_t first_nan(Array& a);

}  // namespace catena
