// Initializers. Random numbers are drawn and computed in float64 on the host and cast to the array.
#include "links.h"

#include <cmath>
#include <limits>
#include <vector>

namespace catena::links {

using namespace initializer_attr;

namespace {

ctn_dltensor spec_of(ctn_array a) {
  ctn_dltensor t;
  sdk::check(sdk::api().array_spec(a, &t));
  return t;
}

// What every initializer checks first.
sdk::Tensor target(const ctn_dltensor& t, sdk::Attrs attrs, int dtype_attr) {
  const sdk::Tensor tensor(t);
  if (!attrs.is_none(dtype_attr) && !sdk::same_dtype(attrs.dtype(dtype_attr), t.dtype))
    sdk::fail(CTN_EDTYPE, "the initializer is for ", sdk::dtype_name(attrs.dtype(dtype_attr)),
              ", the array has ", sdk::dtype_name(t.dtype));
  return tensor;
}

void fill_with(ctn_array array, double value) {
  const sdk::Value v(value);
  sdk::check(sdk::api().array_fill(array, &v.v));
}

// dst[...] = src, wherever dst is.
void assign(ctn_array dst, ctn_array src) {
  ctn_array moved = nullptr;
  sdk::check(sdk::api().array_to_device(src, spec_of(dst).device, &moved));
  const sdk::Array here = sdk::Array::take(moved);
  sdk::check(sdk::api().array_assign(dst, here.get()));
}

void assign_host(ctn_array dst, std::span<const int64_t> shape, const double* values) {
  const ctn_context ctx = sdk::api().array_context(dst);
  assign(dst, sdk::Array::from_host(ctx, sdk::dtype_of(CTN_FLOAT64), shape, values).get());
}

// Elements of a C-order array, [from, from + n) in its order.
sdk::Array piece_of(ctn_array array, int64_t from, int64_t n) {
  ctn_array piece = nullptr;
  const int64_t stride = 1;
  sdk::check(sdk::api().array_strided(array, 1, &n, &stride, from, &piece));
  return sdk::Array::take(piece);
}

// Fills with draws, scaled and shifted. A piece at a time: tables of embeddings are large.
void fill_random(ctn_array array, int32_t kind, double scale, double shift) {
  constexpr int64_t kPiece = int64_t{1} << 16;
  const ctn_dltensor t = spec_of(array);
  const sdk::Tensor tensor(t);
  const ctn_context ctx = sdk::api().array_context(array);
  if (!tensor.contiguous()) {
    const sdk::Array whole = sdk::Array::empty(ctx, t.dtype, tensor.shape());
    fill_random(whole.get(), kind, scale, shift);
    assign(array, whole.get());
    return;
  }
  std::vector<double> draws(static_cast<size_t>(std::min(kPiece, tensor.size())));
  for (int64_t from = 0; from < tensor.size(); from += kPiece) {
    const int64_t n = std::min(kPiece, tensor.size() - from);
    sdk::check(sdk::api().random_draw(ctx, kind, draws.data(), n));
    for (double& x : draws) x = x * scale + shift;
    assign_host(piece_of(array, from, n).get(), {&n, 1}, draws.data());
  }
}

void normal(ctn_array array, double deviation) {
  fill_random(array, CTN_RANDOM_NORMAL, deviation, 0);
}
void uniform(ctn_array array, double bound) {
  fill_random(array, CTN_RANDOM_UNIFORM, 2 * bound, -bound);
}

struct Fans {
  double in, out;
};
Fans fans_of(const sdk::Tensor& t) {
  if (t.ndim() < 2) sdk::fail(CTN_ESHAPE, "shape must be of length >= 2: shape=", t.shape());
  const double field = static_cast<double>(sdk::size_of(t.shape().subspan(2)));
  return {static_cast<double>(t.shape(1)) * field, static_cast<double>(t.shape(0)) * field};
}

}  // namespace

void constant_fill(ctn_array array, sdk::Attrs attrs) {
  const ctn_dltensor t = spec_of(array);
  target(t, attrs, constant::dtype);
  const ctn_value& value = attrs[constant::fill_value];
  if (value.kind == CTN_ARRAY) {
    assign(array, value.u.array);
  } else {
    sdk::check(sdk::api().array_fill(array, &value));
  }
}

void zero_fill(ctn_array array, sdk::Attrs attrs) {
  const ctn_dltensor t = spec_of(array);
  target(t, attrs, zero::dtype);
  fill_with(array, 0);
}

void one_fill(ctn_array array, sdk::Attrs attrs) {
  const ctn_dltensor t = spec_of(array);
  target(t, attrs, one::dtype);
  fill_with(array, 1);
}

void nan_fill(ctn_array array, sdk::Attrs attrs) {
  const ctn_dltensor t = spec_of(array);
  target(t, attrs, initializer_attr::nan::dtype);
  fill_with(array, std::numeric_limits<double>::quiet_NaN());
}

void identity_fill(ctn_array array, sdk::Attrs attrs) {
  const ctn_dltensor t = spec_of(array);
  const sdk::Tensor tensor = target(t, attrs, identity::dtype);
  if (tensor.ndim() != 2 || tensor.shape(0) != tensor.shape(1))
    sdk::fail(CTN_ESHAPE,
              "Identity matrix initialization can only be used for 2D squared matrices.");
  fill_with(array, 0);
  const int64_t n = tensor.shape(0);
  if (n == 0) return;
  const int64_t stride = tensor.stride(0) + tensor.stride(1);
  ctn_array diagonal = nullptr;
  sdk::check(sdk::api().array_strided(array, 1, &n, &stride, 0, &diagonal));
  fill_with(sdk::Array::take(diagonal).get(), attrs.f(identity::scale));
}

void function_fill(ctn_array array, sdk::Attrs attrs) {
  const ctn_dltensor t = spec_of(array);
  target(t, attrs, function::dtype);
  const ctn_callback& f = *attrs[function::function].u.callback;
  ctn_variable v = nullptr;
  sdk::check(sdk::api().variable_new(array, 0, &v));
  const sdk::Var over = sdk::Var::take(v);
  sdk::check(f.call(f.user, &v, 1, nullptr, 0));
}

void normal_fill(ctn_array array, sdk::Attrs attrs) {
  const ctn_dltensor t = spec_of(array);
  target(t, attrs, initializer_attr::normal::dtype);
  normal(array, attrs.f(initializer_attr::normal::scale));
}

void lecun_normal_fill(ctn_array array, sdk::Attrs attrs) {
  const ctn_dltensor t = spec_of(array);
  const Fans fans = fans_of(target(t, attrs, lecun_normal::dtype));
  normal(array, attrs.f(lecun_normal::scale) * std::sqrt(1 / fans.in));
}

void glorot_normal_fill(ctn_array array, sdk::Attrs attrs) {
  const ctn_dltensor t = spec_of(array);
  const Fans fans = fans_of(target(t, attrs, glorot_normal::dtype));
  normal(array, attrs.f(glorot_normal::scale) * std::sqrt(2 / (fans.in + fans.out)));
}

void he_normal_fill(ctn_array array, sdk::Attrs attrs) {
  const ctn_dltensor t = spec_of(array);
  const Fans fans = fans_of(target(t, attrs, he_normal::dtype));
  const std::string_view option = attrs.s(he_normal::fan_option);
  if (option != "fan_in" && option != "fan_out")
    sdk::fail(CTN_EINVAL, "fan_option should be either \"fan_in\" or \"fan_out\"");
  const double fan = option == "fan_in" ? fans.in : fans.out;
  normal(array, attrs.f(he_normal::scale) * std::sqrt(2 / fan));
}

void uniform_fill(ctn_array array, sdk::Attrs attrs) {
  const ctn_dltensor t = spec_of(array);
  target(t, attrs, initializer_attr::uniform::dtype);
  uniform(array, attrs.f(initializer_attr::uniform::scale));
}

void lecun_uniform_fill(ctn_array array, sdk::Attrs attrs) {
  const ctn_dltensor t = spec_of(array);
  const Fans fans = fans_of(target(t, attrs, lecun_uniform::dtype));
  uniform(array, attrs.f(lecun_uniform::scale) * std::sqrt(3 / fans.in));
}

void glorot_uniform_fill(ctn_array array, sdk::Attrs attrs) {
  const ctn_dltensor t = spec_of(array);
  const Fans fans = fans_of(target(t, attrs, glorot_uniform::dtype));
  uniform(array, attrs.f(glorot_uniform::scale) * std::sqrt(6 / (fans.in + fans.out)));
}

void he_uniform_fill(ctn_array array, sdk::Attrs attrs) {
  const ctn_dltensor t = spec_of(array);
  const Fans fans = fans_of(target(t, attrs, he_uniform::dtype));
  uniform(array, attrs.f(he_uniform::scale) * std::sqrt(6 / fans.in));
}

}  // namespace catena::links
