// Kernel of dropout for images in blocks of channels. Numbers are drawn for elements in C order, as
// on every backend; the mask is then brought into blocks.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <intel64/add_kernels.h>
#include <intel64/blocks/images.h>
#include <intel64/kernels.h>

#include <algorithm>

namespace catena::intel64 {
namespace {

using sdk::Call;
using sdk::Run;
using sdk::Tensor;

constexpr int64_t kStretch = 1 << 16;  // numbers drawn at once
constexpr int64_t kGrain = 1 << 13;

// The factors of all elements, in C order.
const float* draw_mask(const Run& run, int64_t n) {
  const double ratio = run.f(attr::dropout_random::ratio);
  const float scales[2] = {0.0f, static_cast<float>(1.0 / (1.0 - ratio))};
  double* draws = run.scratch<double>(std::min(n, kStretch));
  float* mask = run.scratch<float>(n);
  for (int64_t first = 0; first < n; first += kStretch) {
    const int64_t m = std::min(kStretch, n - first);
    sdk::check(sdk::api().random_draw(run.context(), CTN_RANDOM_UNIFORM, draws, m));
    sdk::parallel_for(run, m, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) mask[first + i] = scales[draws[i] >= ratio];
    });
  }
  return mask;
}

void dropout(const Run& run) {
  const Tensor x = run.in(0), y = run.out(0), mask = run.out(1);
  const int64_t block = channel_block();
  const Planes planes(x);
  const int64_t positions = planes.positions();
  const float* plain = draw_mask(run, x.size());
  const int64_t grain = std::max<int64_t>(1, kGrain / planes.floats());
  sdk::parallel_for(run, planes.count(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const int64_t at = k * planes.floats();
      float* to = mask.data<float>() + at;
      for (int64_t c = 0; c < block; ++c)
        for (int64_t i = 0; i < positions; ++i) to[i * block + c] = plain[at + c * positions + i];
      for (int64_t i = 0; i < planes.floats(); ++i)
        y.data<float>()[at + i] = x.data<float>()[at + i] * to[i];
    }
  });
}

const char* supports_dropout(const Call& c) {
  return c.in(0).dtype_index() == CTN_FLOAT32 && in_blocks(c.in(0)) ? nullptr : "x is plain";
}

void plan_dropout(const Call& c, ctn_plan& plan) {
  const uint64_t layout = image_layout(c.in(0).shape(1));
  plan.in_layouts[0] = plan.out_layouts[0] = plan.out_layouts[1] = layout;
}

}  // namespace

ctn_status register_noise(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"dropout_random", CTN_KERNEL_LAYOUT, sdk::supports<supports_dropout>,
                       sdk::plan<plan_dropout>, sdk::kernel<dropout>, nullptr}});
}

}  // namespace catena::intel64
