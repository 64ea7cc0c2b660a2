// Kernel of dropout. Numbers are drawn in C order, a stretch at a time, so that they are still in
// the cache when they are used.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <cpu/add_kernels.h>
#include <cpu/kernels.h>

#include <algorithm>

namespace catena::cpu {
namespace {

using sdk::Run;

constexpr int64_t kStretch = 1 << 16;  // numbers drawn at once
constexpr int64_t kGrain = 1 << 13;

void dropout(const Run& run) {
  const double ratio = run.f(attr::dropout_random::ratio);
  const int64_t n = run.in(0).size();
  double* draws = run.scratch<double>(std::min(n, kStretch));
  sdk::dispatch_float(run.in(0).dtype(), [&]<class T>() {
    using C = sdk::compute_t<T>;
    const T* x = run.in(0).data<const T>();
    T *y = run.out(0).data<T>(), *mask = run.out(1).data<T>();
    // looked up, for no branch can be predicted here
    const T scales[2] = {static_cast<T>(0.0), static_cast<T>(1.0 / (1.0 - ratio))};
    for (int64_t first = 0; first < n; first += kStretch) {
      const int64_t m = std::min(kStretch, n - first);
      sdk::check(sdk::api().random_draw(run.context(), CTN_RANDOM_UNIFORM, draws, m));
      sdk::parallel_for(run, m, kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const T scale = scales[draws[i] >= ratio];
          mask[first + i] = scale;
          y[first + i] = static_cast<T>(static_cast<C>(x[first + i]) * static_cast<C>(scale));
        }
      });
    }
  });
}

}  // namespace

ctn_status register_noise(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin, {{"dropout_random", 0, sdk::kernel<dropout>}});
}

}  // namespace catena::cpu
