// What the tests of catena.h share: a cpu context that reads no environment, and the way between
// plain vectors and arrays or variables. Uses the C interface only.
#pragma once

#include <catena/catena.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "handles.h"

namespace capi_test {

using namespace catena_test;
using Shape = std::vector<int64_t>;
using Floats = std::vector<float>;

constexpr ctn_dtype kDtypes[CTN_DTYPE_COUNT] = {
    {CTN_DT_BOOL, 8, 1},   {CTN_DT_INT, 8, 1},    {CTN_DT_INT, 16, 1},   {CTN_DT_INT, 32, 1},
    {CTN_DT_INT, 64, 1},   {CTN_DT_UINT, 8, 1},   {CTN_DT_UINT, 16, 1},  {CTN_DT_UINT, 32, 1},
    {CTN_DT_UINT, 64, 1},  {CTN_DT_FLOAT, 16, 1}, {CTN_DT_FLOAT, 32, 1}, {CTN_DT_FLOAT, 64, 1},
    {CTN_DT_BFLOAT, 16, 1}};

template <class T>
constexpr ctn_dtype dtype_for() {
  constexpr int kCode = std::is_floating_point_v<T> ? CTN_DT_FLOAT
                        : std::is_signed_v<T>       ? CTN_DT_INT
                                                    : CTN_DT_UINT;
  return {kCode, 8 * sizeof(T), 1};
}

inline int32_t length(const auto& list) { return static_cast<int32_t>(list.size()); }

inline size_t elements(const Shape& shape) {
  size_t n = 1;
  for (const int64_t d : shape) n *= static_cast<size_t>(d);
  return n;
}

// Reads no environment unless `options` were filled otherwise.
inline ctn_context_options options(uint32_t flags = CTN_CONTEXT_NO_ENV) {
  ctn_context_options o{};
  o.size = sizeof o;
  o.flags = flags;
  o.threads = 1;
  return o;
}

inline Ctx context(const ctn_context_options& o = options()) {
  Ctx ctx;
  REQUIRE_OK(ctn_context_create(&o, ctx.out()));
  return ctx;
}

inline uint64_t used(ctn_context ctx) {
  ctn_memory_stats stats{};
  stats.size = sizeof stats;
  REQUIRE_OK(ctn_memory_get_stats(ctx, &stats));
  return stats.used;
}

template <class T>
Arr array(ctn_context ctx, const std::vector<T>& values, const Shape& shape) {
  REQUIRE(values.size() == elements(shape));
  Arr a;
  REQUIRE_OK(ctn_array_from_host(ctx, dtype_for<T>(), length(shape), shape.data(), values.data(),
                                 a.out()));
  return a;
}
template <class T>
Arr array(ctn_context ctx, const std::vector<T>& values) {
  return array(ctx, values, {static_cast<int64_t>(values.size())});
}

inline Shape shape_of(const ctn_dltensor& t) { return {t.shape, t.shape + t.ndim}; }
inline Shape strides_of(const ctn_dltensor& t) { return {t.strides, t.strides + t.ndim}; }

inline ctn_dltensor view(ctn_array a) {
  ctn_dltensor t{};
  REQUIRE_OK(ctn_array_view(a, &t));
  return t;
}

// In C order, cast to T.
template <class T>
std::vector<T> values(ctn_array a) {
  Arr same;
  REQUIRE_OK(ctn_array_copy(a, dtype_for<T>(), same.out()));
  std::vector<T> v(elements(shape_of(view(same))));
  REQUIRE_OK(ctn_array_to_host(same, v.data(), v.size() * sizeof(T)));
  return v;
}

inline Var variable(ctn_array a, int32_t requires_grad = 1) {
  Var v;
  REQUIRE_OK(ctn_variable_new(a, requires_grad, v.out()));
  return v;
}
inline Var variable(ctn_context ctx, const Floats& values, int32_t requires_grad = 1) {
  return variable(array(ctx, values), requires_grad);
}

inline Floats values(ctn_variable v) {
  Arr a;
  REQUIRE_OK(ctn_variable_array(v, a.out()));
  return values<float>(a);
}

// Empty where there is none.
inline Floats grad(ctn_variable v) {
  Var g;
  REQUIRE_OK(ctn_variable_grad(v, g.out()));
  return g ? values(static_cast<ctn_variable>(g)) : Floats{};
}

inline ctn_value of(double f) {
  ctn_value v{};
  v.kind = CTN_FLOAT;
  v.u.f = f;
  return v;
}
inline ctn_value of(int64_t i) {
  ctn_value v{};
  v.kind = CTN_INT;
  v.u.i = i;
  return v;
}
inline ctn_value of(int i) { return of(int64_t{i}); }
inline ctn_value of(bool b) {
  ctn_value v{};
  v.kind = CTN_BOOL;
  v.u.i = b;
  return v;
}
inline ctn_value of(std::string_view s) {
  ctn_value v{};
  v.kind = CTN_STR;
  v.n = static_cast<uint32_t>(s.size());
  v.u.s = s.data();
  return v;
}
inline ctn_value of(const char* s) { return of(std::string_view(s)); }
inline ctn_value of(const Shape& list) {
  ctn_value v{};
  v.kind = CTN_INTS;
  v.n = static_cast<uint32_t>(list.size());
  v.u.is = list.data();
  return v;
}

// The one output of an op; attrs in schema order.
inline Var call(ctn_context ctx, std::string_view name, std::initializer_list<ctn_variable> in,
                std::initializer_list<ctn_value> attrs = {}) {
  int32_t op = -1;
  REQUIRE_OK(ctn_op_find(str(name), &op));
  Var y;
  REQUIRE_OK(ctn_call(ctx, op, in.begin(), length(in), attrs.begin(), length(attrs), y.out(), 1));
  return y;
}

// Where a failing call would write: it must not.
template <class T>
T* untouched() {
  static char place;
  return reinterpret_cast<T*>(&place);
}

}  // namespace capi_test
