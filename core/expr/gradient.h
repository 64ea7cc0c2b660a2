// The three steps of a row's gradient: derive it or select it from what is stated, both over every
// argument it might read, then cut it down to those it does read. Knows no text.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <memory>
#include <string>

#include "core/expr/row_data.h"

namespace catena::expr {

inline bool has(uint64_t mask, int32_t bit) { return (mask >> bit & 1) != 0; }
// Inputs that may get a gradient.
uint64_t candidates(const RowData& row);
[[noreturn]] void no_gradient(const RowData& row, const std::string& why);

// Arguments are numbered inputs, outputs, gradients of outputs; effects name inputs. Both throw
// CTN_EGRAD where there is no gradient for an input of `needed`. An output whose bit in `given` is
// clear has no gradient.
Graph derive_gradient(const RowData& row, uint64_t needed, uint64_t given);
Graph select_stated(const RowData& row, uint64_t needed, uint64_t given);

// The row of such a graph.
std::unique_ptr<RowData> compact_gradient(const RowData& row, const Graph& wide);

}  // namespace catena::expr
