// Arithmetic that chooses among rows: sums of many arrays, powers, casts, copies.
#include "functions.h"

namespace catena::functions {

using sdk::Call;
using sdk::op;
using sdk::Ref;
using sdk::Var;
using sdk::Vars;

Var add_compose(const Call&, Vars in) {
  Var y(in[0]);
  for (int k = 1; k < in.size(); ++k) y = op<"add2">({y, in[k]});
  return y;
}

Var pow_constant_compose(const Call& call, Vars in) {
  const double value = call.f(attr::pow_constant::value);
  if (value == 2) return op<"square">({in[0]});
  return op<"pow_constant_row">({in[0]}, {value});
}

Var cast_compose(const Call& call, Vars in) { return cast_to(in[0], call.dtype(attr::cast::typ)); }

Var cast_to(Ref x, ctn_dtype dtype) {
  if (sdk::same_dtype(dtype, x.dtype())) return Var(x);
  switch (sdk::dtype_index(dtype)) {
    case CTN_BOOL8: return op<"cast_bool">({x});
    case CTN_INT8: return op<"cast_int8">({x});
    case CTN_INT16: return op<"cast_int16">({x});
    case CTN_INT32: return op<"cast_int32">({x});
    case CTN_INT64: return op<"cast_int64">({x});
    case CTN_UINT8: return op<"cast_uint8">({x});
    case CTN_UINT16: return op<"cast_uint16">({x});
    case CTN_UINT32: return op<"cast_uint32">({x});
    case CTN_UINT64: return op<"cast_uint64">({x});
    case CTN_FLOAT16: return op<"cast_float16">({x});
    case CTN_FLOAT32: return op<"cast_float32">({x});
    case CTN_FLOAT64: return op<"cast_float64">({x});
    case CTN_BFLOAT16: return op<"cast_bfloat16">({x});
    default:
      sdk::fail(CTN_EDTYPE, "cast to a dtype of code ", dtype.code, " and ", dtype.bits, " bits");
  }
}

}  // namespace catena::functions
