// Which names a part of a kernel's text may use: tables of parameters for the parser. Knows no
// grammar.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <string>
#include <vector>

#include "core/expr/parse.h"
#include "core/expr/row_data.h"

namespace catena::expr {

// Makes the nodes that names stand for in `graph`. Throws CTN_EINVAL for a name used twice.
class Names {
 public:
  Names(const RowData& row, Graph& graph, const char* part) : row_(row), g_(graph), part_(part) {}

  void add(Name name);
  void inputs();
  void outputs();  // to be assigned; those read and written in place have their old value
  void scalars();
  void argument(int32_t index, const ArgDecl& arg);          // to be read
  void source(const char* name, int op, int32_t index = 0);  // an int64: INDEX, SIZE, SCALAR

  std::vector<Name> take() { return std::move(names_); }

 private:
  int leaf(int op, Type type, int32_t index) {
    return g_.emit({static_cast<uint16_t>(op), type, index});
  }

  const RowData& row_;
  Graph& g_;
  const char* part_;
  std::vector<Name> names_;
};

}  // namespace catena::expr
