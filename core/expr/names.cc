// See names.h.
#include "core/expr/names.h"

namespace catena::expr {

void Names::add(Name name) {
  for (const Name& other : names_) {
    if (other.name == name.name) {
      fail(CTN_EINVAL, row_.what + ": " + part_ + ": the name " + quoted(name.name) +
                           " is taken by something else");
    }
  }
  names_.push_back(std::move(name));
}

void Names::argument(int32_t index, const ArgDecl& arg) {
  Name name{arg.name, arg.type};
  if (arg.role == CTN_ROLE_RAW) {
    name.raw = index;
  } else {
    name.value = leaf(CTN_X_ARG, arg.type, index);
  }
  add(std::move(name));
}

void Names::inputs() {
  for (int32_t i = 0; i < row_.n_in; ++i) argument(i, row_.in(i));
}

void Names::outputs() {
  for (int32_t j = 0; j < row_.n_out(); ++j) {
    const ArgDecl& a = row_.out(j);
    Name name{a.name, a.type, kUnset, true};
    if (a.role == CTN_ROLE_INOUT) name.value = leaf(CTN_X_ARG, a.type, row_.n_in + j);
    add(std::move(name));
  }
}

void Names::scalars() {
  for (size_t k = 0; k < row_.scalars.size(); ++k) {
    const ScalarDecl& s = row_.scalars[k];
    add({s.name, s.type, leaf(CTN_X_SCALAR, s.type, static_cast<int32_t>(k))});
  }
}

void Names::source(const char* name, int op, int32_t index) {
  add({name, CTN_INT64, leaf(op, CTN_INT64, index)});
}

}  // namespace catena::expr
