// Indexes of get_item, read once for views and for gathers.
#pragma once

#include "functions.h"

namespace catena::functions {

// start, start + step, ...: `size` positions along an axis.
struct Range {
  int64_t start = 0;
  int64_t size = 0;
  int64_t step = 1;
};

// One entry of an index with what it means for its axis of x.
struct Item {
  enum Kind { kSlice, kInt, kNewAxis, kArray } kind;
  int axis;            // of x; the first of them for an array of booleans
  Range range;         // slices and integers
  ctn_value value;     // integers and arrays as given
  bool apart = false;  // an ellipsis of no axes stands before it
};

Range resolve_slice(const ctn_slice& s, int64_t size);

// The entries of the attribute `slices`: a list, one entry, or integers.
std::vector<ctn_value> index_items(const ctn_value& slices);

// With the ellipsis spelled out and missing slices added: every axis of x occurs.
std::vector<Item> resolve_items(std::span<const ctn_value> given, std::span<const int64_t> shape);

}  // namespace catena::functions
