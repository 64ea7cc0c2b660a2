// libFuzzer target (./run fuzz checks): any text as a type check of an op with fixed, optional and
// variadic inputs and attributes of every sort, then evaluated for a few calls. It may fail with
// CTN_EINVAL, nothing else.
#include <cstdint>
#include <cstdlib>
#include <limits>

#include "core/checks.h"
#include "core/registry.h"

namespace {

using namespace catena;

AttrDef attr(const char* name, uint64_t kinds) {
  AttrDef a;
  a.name = name;
  a.kinds = kinds | CTN_KIND_BIT(CTN_NONE);
  return a;
}

void define(Op& op) {
  op.name = op.label = "fuzz";
  for (const char* name : {"x", "b", "xs"}) {
    InputDef in;
    in.name = name;
    in.dtypes = ~0u;
    op.in.push_back(in);
  }
  op.in[1].flags = CTN_IN_OPTIONAL;
  op.in[2].flags = CTN_IN_VARIADIC | CTN_IN_OPTIONAL;
  op.variadic = true;
  op.attrs = {attr("i", CTN_KIND_BIT(CTN_INT) | CTN_KIND_BIT(CTN_INTS)),
              attr("n", CTN_KIND_BIT(CTN_INTS)), attr("t", CTN_KIND_BIT(CTN_BOOL)),
              attr("f", CTN_KIND_BIT(CTN_FLOAT))};
}

ctn_tensor tensor(int32_t dtype, int32_t ndim, int64_t* shape) {
  ctn_tensor t{};
  t.t.dtype = dtype_of(dtype);
  t.t.ndim = ndim;
  t.t.shape = shape;
  return t;
}

void evaluate(const Op& op, const TypeChecks& checks) {
  int64_t shape[] = {2, 0, std::numeric_limits<int64_t>::max(), 3};
  int64_t numbers[] = {-1, std::numeric_limits<int64_t>::min(), 7};
  const ctn_tensor in[] = {tensor(CTN_FLOAT32, 4, shape), tensor(CTN_INT8, -1, nullptr),
                           tensor(CTN_BOOL8, 1, shape), tensor(CTN_BFLOAT16, 0, shape)};
  ctn_value one{}, list{}, yes{}, real{}, none{};
  one.kind = CTN_INT, one.u.i = std::numeric_limits<int64_t>::min();
  list.kind = CTN_INTS, list.n = 3, list.u.is = numbers;
  yes.kind = CTN_BOOL, yes.u.i = 1;
  real.kind = CTN_FLOAT, real.u.f = 0.5;
  none.kind = CTN_NONE;
  const ctn_value calls[][4] = {
      {one, list, yes, real}, {list, list, yes, none}, {none, none, none, none}};
  for (const auto& attrs : calls) {
    for (size_t n = 1; n <= std::size(in); ++n) {
      std::string failure;
      ctn_status code = CTN_OK;
      const bool held = checks.hold(op, std::span(in).first(n), attrs, &failure, &code);
      if (held != failure.empty() || (!held && code != CTN_ESHAPE && code != CTN_EDTYPE))
        std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Op op;
  define(op);
  op.check_texts = {std::string(reinterpret_cast<const char*>(data), size)};
  try {
    const auto checks = TypeChecks::parse(op);
    if (checks) evaluate(op, *checks);
  } catch (const Error& e) {
    if (e.code() != CTN_EINVAL) std::abort();
  }
  return 0;
}
