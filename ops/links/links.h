// What every file of the link set includes: the SDK, the positions and callbacks that the schema
// files give, and helpers for parameters and for functions given as values. Knows no backend.
#pragma once

#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <span>
#include <string_view>

#include "links_table.h"

namespace catena::links {

// Adds a parameter whose initializer is `init` (see initializers.toml) or, if that is none, `name`
// with `argument`. Its dtype is the initializer's argument of that kind, else float32, whatever an
// array that gives the values has; `dtype` (may be NULL) overrides. Without a shape it stays
// uninitialised.
void add_param(sdk::LinkRef link, std::string_view name, const ctn_value& init,
               std::string_view fallback, sdk::Value argument, const sdk::Dims* shape,
               const ctn_dtype* dtype = nullptr);

// Calls what a value stands for: the name of an op, a list of a name and attributes, a link or a
// callback. One result.
sdk::Var call_function(const ctn_value& function, sdk::Vars in);

// A parameter of the link, or none.
sdk::Var optional_param(sdk::LinkRef link, std::string_view name, bool present);

}  // namespace catena::links
