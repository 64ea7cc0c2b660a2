// GradientNoise: the only hook that draws random numbers. Knows the runtime's table alone.
#include <cmath>
#include <vector>

#include "optimizers_table.h"

namespace catena::optimizers {
namespace {

sdk::Array noise_like(sdk::Ref param, double deviation) {
  const ctn_context ctx = param.context();
  const sdk::Dims shape = param.shape();
  std::vector<double> noise(static_cast<size_t>(param.size()));
  sdk::check(sdk::api().random_draw(ctx, CTN_RANDOM_NORMAL, noise.data(),
                                    static_cast<int64_t>(noise.size())));
  for (double& x : noise) x *= deviation;
  const sdk::Array wide =
      sdk::Array::from_host(ctx, sdk::dtype_of(CTN_FLOAT64), shape.span(), noise.data());
  ctn_array narrow = nullptr;
  sdk::check(sdk::api().array_copy(wide.get(), param.dtype(), &narrow));
  return sdk::Array::take(narrow).on(param.device());
}

}  // namespace

void gradient_noise_call(const ctn_hook_call& call, sdk::Vars params, sdk::Attrs attrs) {
  const double eta = attrs.f(0);
  for (int k = 0; k < params.size(); ++k) {
    const double t = static_cast<double>(call.t[k]);
    const sdk::Array noise = noise_like(params[k], std::sqrt(eta / std::pow(1 + t, 0.55)));
    sdk::check(sdk::api().variable_add_grad(params[k].get(), noise.variable().get()));
  }
}

}  // namespace catena::optimizers
