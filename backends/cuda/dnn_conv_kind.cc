// Kinds of convolutions: see dnn_conv_plan.h.
#include <cuda/dnn_conv_plan.h>
#include <cuda/native.h>

#include <algorithm>

namespace catena::cuda {
namespace {

// 16-bit floats go through tensor cores unless use_cudnn_tensor_core is 'never'; float32, which
// they round to TF32, only if it is 'always'.
cudnnMathType_t math_of(const sdk::Call& c, ctn_dtype dtype) {
  switch (sdk::dtype_index(dtype)) {
    case CTN_FLOAT64: return CUDNN_DEFAULT_MATH;
    case CTN_FLOAT32: return rounds_factors(c) ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH;
    default:
      return sdk::config_is(c.context(), "use_cudnn_tensor_core", "never") ? CUDNN_FMA_MATH
                                                                           : CUDNN_TENSOR_OP_MATH;
  }
}

Sizes sizes(const sdk::Tensor& t) { return {t.shape(0), t.shape(1), t.shape(2), t.shape(3)}; }

}  // namespace

ConvKind::ConvKind(const sdk::Call& c, const ConvRole& role, const ConvSides& s)
    : direction(role.direction),
      device(c.in(0).device()),
      groups(c.i(role.groups)),
      bias(c.has(2)),
      deterministic(sdk::config(c.context(), "cudnn_deterministic")),
      winograd(!sdk::config_is(c.context(), "use_winograd", "never")),
      workspace(sdk::config_int(c.context(), "max_workspace_size")),
      math(math_of(c, c.in(0).dtype())),
      dtype(c.in(0).dtype()),
      x(sizes(s.x)),
      w(sizes(s.w)),
      y(sizes(s.y)),
      stride(c.pair(role.stride)),
      pad(c.pair(role.pad)),
      dilate(c.pair(role.dilate)) {}

bool ConvKind::is_moderate() const {
  for (const auto* sides : {&stride, &pad, &dilate})
    for (const int64_t n : *sides)
      if (n > kMostSide) return false;
  return true;
}

bool ConvKind::fits() const {
  for (size_t k = 0; k < 2; ++k) {
    const int64_t free = x[k + 2] + 2 * pad[k] - (w[k + 2] - 1) * dilate[k] - 1;
    if (free < 0 || y[k + 2] != free / stride[k] + 1) return false;
  }
  return true;
}

ConvKind::Key ConvKind::key() const {
  Key key = {static_cast<int64_t>(direction),
             device.id,
             groups,
             bias,
             deterministic,
             winograd,
             workspace,
             static_cast<int64_t>(math),
             sdk::dtype_index(dtype)};
  auto at = key.begin() + 9;
  for (const Sizes* s : {&x, &w, &y}) at = std::copy(s->begin(), s->end(), at);
  for (const auto* p : {&stride, &pad, &dilate}) at = std::copy(p->begin(), p->end(), at);
  *at = 0;
  return key;
}

}  // namespace catena::cuda
