// What every file of the function set includes: the SDK, the positions and callbacks that the
// schema files give, and the few helpers that several files share. Knows no backend.
#pragma once

#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <algorithm>
#include <span>
#include <vector>

#include "functions_table.h"

namespace catena::functions {

// x in another dtype; x itself if it has that one.
sdk::Var cast_to(sdk::Ref x, ctn_dtype dtype);

// Strides (elements) under which the memory of `from` has the shape `to` in the same order of
// elements; false where only a copy can have it. Both have the same number of elements.
bool view_strides(const sdk::Tensor& from, const sdk::Dims& to, sdk::Dims* strides);

// The shape asked for with its -1 filled in, checked against the number of elements.
sdk::Dims resolve_shape(const sdk::Tensor& x, std::span<const int64_t> shape);

// a * b of sizes; CTN_EINVAL where 64 bits do not hold it.
int64_t times(int64_t a, int64_t b);

// Axes of a reduction: those named (None: all), counted from 0, in rising order, each once.
sdk::Dims reduced_axes(const sdk::Attrs& attrs, int axis_attr, int ndim);

}  // namespace catena::functions
