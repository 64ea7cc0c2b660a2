// Helpers: see net_support.h.
#include "net_support.h"

#include <cmath>

namespace catena_test {
namespace {

size_t count(const std::vector<int64_t>& shape) {
  size_t n = 1;
  for (const int64_t d : shape) n *= static_cast<size_t>(d);
  return n;
}

}  // namespace

ctn_value none() {
  ctn_value v{};
  v.kind = CTN_NONE;
  return v;
}
ctn_value of(double f) {
  ctn_value v{};
  v.kind = CTN_FLOAT;
  v.u.f = f;
  return v;
}
ctn_value of_int(int64_t i) {
  ctn_value v{};
  v.kind = CTN_INT;
  v.u.i = i;
  return v;
}
ctn_value of(ctn_link l) {
  ctn_value v{};
  v.kind = CTN_LINK;
  v.u.link = l;
  return v;
}
ctn_value of(const ctn_callback& c) {
  ctn_value v{};
  v.kind = CTN_CALLBACK;
  v.u.callback = &c;
  return v;
}

Arr array(ctn_context ctx, ctn_dtype dtype, const std::vector<int64_t>& shape,
          const std::vector<double>& values) {
  REQUIRE(values.size() == count(shape));
  Arr wide, a;
  REQUIRE_OK(ctn_array_from_host(ctx, kF64, static_cast<int32_t>(shape.size()), shape.data(),
                                 values.data(), wide.out()));
  REQUIRE_OK(ctn_array_copy(wide, dtype, a.out()));
  return a;
}

std::vector<double> values(ctn_array a) {
  Arr wide;
  REQUIRE_OK(ctn_array_copy(a, kF64, wide.out()));
  ctn_dltensor t;
  REQUIRE_OK(ctn_array_view(wide, &t));
  std::vector<double> x(count(std::vector<int64_t>(t.shape, t.shape + t.ndim)));
  REQUIRE_OK(ctn_array_to_host(wide, x.data(), x.size() * sizeof(double)));
  return x;
}

std::vector<double> values(ctn_variable v) {
  if (!v || !ctn_parameter_is_initialized(v)) return {};
  Arr a;
  REQUIRE_OK(ctn_variable_array(v, a.out()));
  return values(a);
}

std::vector<double> grad(ctn_variable v) {
  Var g;
  REQUIRE_OK(ctn_variable_grad(v, g.out()));
  return values(g);
}

Var leaf(ctn_context ctx, ctn_dtype dtype, const std::vector<int64_t>& shape,
         const std::vector<double>& values) {
  const Arr a = array(ctx, dtype, shape, values);
  Var v;
  REQUIRE_OK(ctn_variable_new(a, 0, v.out()));
  return v;
}

void set_grad(ctn_variable v, const std::vector<double>& values) {
  ctn_dltensor t;
  REQUIRE_OK(ctn_variable_view(v, &t));
  const Var g = leaf(ctn_variable_context(v), t.dtype,
                     std::vector<int64_t>(t.shape, t.shape + t.ndim), values);
  REQUIRE_OK(ctn_variable_set_grad(v, g));
}

Var parameter(ctn_context ctx, double fill, const std::vector<int64_t>* shape, ctn_dtype dtype) {
  Var p;
  const ctn_value v = of(fill);
  REQUIRE_OK(ctn_parameter_new(ctx, str("Fill"), &v, 1, dtype,
                               shape ? static_cast<int32_t>(shape->size()) : 0,
                               shape ? shape->data() : nullptr, p.out()));
  return p;
}

Net chain(ctn_context ctx) {
  Net l;
  REQUIRE_OK(ctn_chain_create(ctx, nullptr, 0, l.out()));
  return l;
}

Net link(ctn_context ctx, std::string_view name, std::initializer_list<ctn_value> attrs) {
  Net l;
  REQUIRE_OK(
      ctn_link_create(ctx, str(name), attrs.begin(), static_cast<int32_t>(attrs.size()), l.out()));
  return l;
}

Opt optimizer(ctn_context ctx, std::string_view name, std::initializer_list<ctn_value> hyper) {
  Opt o;
  REQUIRE_OK(ctn_optimizer_create(ctx, str(name), hyper.begin(), static_cast<int32_t>(hyper.size()),
                                  o.out()));
  return o;
}

Var param(ctn_link l, std::string_view path) {
  Var p;
  REQUIRE_OK(ctn_link_param(l, str(path), p.out()));
  return p;
}

double hyper(ctn_optimizer o, std::string_view name) {
  double value = std::nan("");
  REQUIRE_OK(ctn_optimizer_get_hyper(o, str(name), &value));
  return value;
}

std::vector<std::string> paths(ctn_link l) {
  std::vector<std::string> found;
  const auto visit = [](void* user, ctn_str path, ctn_variable p, ctn_array a,
                        ctn_link child) -> ctn_status {
    CHECK((p != nullptr) + (a != nullptr) + (child != nullptr) == 1);
    static_cast<std::vector<std::string>*>(user)->emplace_back(path.p, path.n);
    return CTN_OK;
  };
  REQUIRE_OK(ctn_link_visit(l, visit, &found));
  return found;
}

}  // namespace catena_test
