// Host arrays and handles: see host.h.
#include "host.h"

#include <cmath>
#include <cstring>

namespace golden {
namespace {

double half_value(uint16_t h) {
  const int exponent = h >> 10 & 31, fraction = h & 1023;
  double v;
  if (exponent == 31)
    v = fraction ? std::nan("") : INFINITY;
  else if (exponent)
    v = std::ldexp(1024 + fraction, exponent - 25);
  else
    v = std::ldexp(fraction, -24);
  return h >> 15 ? -v : v;
}

template <class T>
double load(const unsigned char* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return static_cast<double>(v);
}

struct Name {
  const char* text;
  ctn_dtype dtype;
};
constexpr Name kNames[] = {
    {"bool", {CTN_DT_BOOL, 8, 1}},      {"int8", {CTN_DT_INT, 8, 1}},
    {"int16", {CTN_DT_INT, 16, 1}},     {"int32", {CTN_DT_INT, 32, 1}},
    {"int64", {CTN_DT_INT, 64, 1}},     {"uint8", {CTN_DT_UINT, 8, 1}},
    {"uint16", {CTN_DT_UINT, 16, 1}},   {"uint32", {CTN_DT_UINT, 32, 1}},
    {"uint64", {CTN_DT_UINT, 64, 1}},   {"float16", {CTN_DT_FLOAT, 16, 1}},
    {"float32", {CTN_DT_FLOAT, 32, 1}}, {"float64", {CTN_DT_FLOAT, 64, 1}},
    {"f", {CTN_DT_FLOAT, 32, 1}},       {"d", {CTN_DT_FLOAT, 64, 1}},
    {"e", {CTN_DT_FLOAT, 16, 1}},       {"i", {CTN_DT_INT, 32, 1}},
};

}  // namespace

size_t Host::size() const {
  size_t n = 1;
  for (int64_t d : shape) n *= static_cast<size_t>(d);
  return n;
}

double Host::at(size_t i) const {
  const unsigned char* p = bytes.data() + i * dtype.bits / 8;
  switch (dtype.code << 8 | dtype.bits) {
    case CTN_DT_FLOAT << 8 | 16: {
      uint16_t h;
      std::memcpy(&h, p, sizeof h);
      return half_value(h);
    }
    case CTN_DT_FLOAT << 8 | 32: return load<float>(p);
    case CTN_DT_FLOAT << 8 | 64: return load<double>(p);
    case CTN_DT_INT << 8 | 8: return load<int8_t>(p);
    case CTN_DT_INT << 8 | 16: return load<int16_t>(p);
    case CTN_DT_INT << 8 | 32: return load<int32_t>(p);
    case CTN_DT_INT << 8 | 64: return load<int64_t>(p);
    case CTN_DT_UINT << 8 | 16: return load<uint16_t>(p);
    case CTN_DT_UINT << 8 | 32: return load<uint32_t>(p);
    case CTN_DT_UINT << 8 | 64: return load<uint64_t>(p);
    default: return load<uint8_t>(p);  // bool and uint8
  }
}

std::string dtype_text(ctn_dtype dtype) {
  for (const Name& n : kNames)
    if (n.dtype.code == dtype.code && n.dtype.bits == dtype.bits) return n.text;
  return "?";
}

ctn_dtype dtype_of(const std::string& name) {
  for (const Name& n : kNames)
    if (name == n.text) return n.dtype;
  throw std::runtime_error("unknown dtype '" + name + "'");
}

Host fetch(ctn_array a) {
  ctn_dltensor t{};
  check(ctn_array_view(a, &t), "view");
  Host h;
  h.dtype = t.dtype;
  h.shape.assign(t.shape, t.shape + t.ndim);
  h.bytes.resize(h.size() * t.dtype.bits / 8);
  check(ctn_array_to_host(a, h.bytes.data(), h.bytes.size()), "to host");
  return h;
}

Host fetch(ctn_variable v) {
  Array a;
  check(ctn_variable_array(v, a.out()), "array");
  return fetch(a.get());
}

Array upload(ctn_context ctx, const Host& h) {
  Array a;
  check(ctn_array_from_host(ctx, h.dtype, static_cast<int32_t>(h.shape.size()), h.shape.data(),
                            h.bytes.data(), a.out()),
        "upload");
  return a;
}

Variable variable(ctn_context ctx, const Host& h, bool requires_grad) {
  const Array a = upload(ctx, h);
  Variable v;
  check(ctn_variable_new(a.get(), requires_grad, v.out()), "variable");
  return v;
}

Variable variable_beside(ctn_variable other, const Host& h) {
  ctn_dltensor t{};
  check(ctn_variable_spec(other, &t), "spec");
  const Array made = upload(ctn_variable_context(other), h);
  Array there;
  check(ctn_array_to_device(made.get(), t.device, there.out()), "to device");
  Variable v;
  check(ctn_variable_new(there.get(), 1, v.out()), "variable");
  return v;
}

std::vector<ctn_variable> handles(const std::vector<Variable>& list) {
  std::vector<ctn_variable> out;
  for (const Variable& v : list) out.push_back(v.get());
  return out;
}

}  // namespace golden
