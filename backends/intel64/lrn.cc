// Kernels of local response normalization for images in blocks of channels, with the usual power:
// stretches of positions of all channels, so that neighbouring blocks are still in the cache.
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

constexpr int64_t kStretch = 64;  // positions

// fn(first float of the stretch in block 0 of the image, positions)
template <class Fn>
void for_stretches(const Run& run, const Planes& planes, Fn&& fn) {
  const int64_t stretches = (planes.positions() + kStretch - 1) / kStretch;
  sdk::parallel_for(run, planes.images * stretches, 1, [&](int64_t k, int64_t) {
    const int64_t first = k % stretches * kStretch;
    fn(k / stretches * planes.blocks * planes.floats() + first * channel_block(),
       std::min(kStretch, planes.positions() - first));
  });
}

void normalize(const Run& run) {
  namespace a = attr::local_response_normalization;
  const BlockLoops& loops = block_loops();
  const Planes planes(run.in(0));
  const BlockWindow window{planes.blocks, planes.floats(), run.i(a::n) / 2,
                           static_cast<float>(run.f(a::k)), static_cast<float>(run.f(a::alpha))};
  const float* x = run.in(0).data<float>();
  float *y = run.out(0).data<float>(), *scale = run.out(1).data<float>();
  for_stretches(run, planes, [&](int64_t at, int64_t n) {
    loops.normalize(y + at, scale + at, x + at, &window, n);
  });
}

void gradient(const Run& run) {
  namespace a = attr::local_response_normalization_grad;
  namespace in = in::local_response_normalization_grad;
  const BlockLoops& loops = block_loops();
  const Planes planes(run.in(in::x));
  const double factor = 2 * run.f(a::alpha) * run.f(a::beta);
  const BlockWindow window{planes.blocks, planes.floats(), run.i(a::n) / 2, 0,
                           static_cast<float>(factor)};
  const float *x = run.in(in::x).data<float>(), *scale = run.in(in::scale).data<float>();
  const float* gy = run.in(in::gy).data<float>();
  float* gx = run.out(0).data<float>();
  for_stretches(run, planes, [&](int64_t at, int64_t n) {
    loops.normalize_slope(gx + at, x + at, scale + at, gy + at, &window, n);
  });
}

template <int n_key, int beta_key>
const char* supports_lrn(const Call& c) {
  const Tensor x = c.in(0);
  for (int k = 0; k < c.n_in(); ++k)
    if (c.in(k).dtype_index() != CTN_FLOAT32) return "dtype not supported";
  if (!has_blocks(x)) return "no whole blocks of channels";
  if (c.f(beta_key) != 0.75) return "beta is not 0.75";
  if (c.i(n_key) < 0 || c.i(n_key) / 2 > channel_block()) return "a window beyond the next block";
  for (int k = 0; k < c.n_in(); ++k)
    if (in_blocks(c.in(k))) return nullptr;
  return "x is plain";
}

void plan_lrn(const Call& c, ctn_plan& plan) {
  const uint64_t layout = image_layout(c.in(0).shape(1));
  for (int k = 0; k < c.n_in(); ++k) plan.in_layouts[k] = layout;
  for (int k = 0; k < c.n_out(); ++k) plan.out_layouts[k] = layout;
}

}  // namespace

ctn_status register_lrn(const ctn_host* host, ctn_plugin plugin) {
  namespace forward = attr::local_response_normalization;
  namespace backward = attr::local_response_normalization_grad;
  const auto row = [](std::string_view op, auto supports, auto run) {
    return KernelRow{op, CTN_KERNEL_LAYOUT, supports, sdk::plan<plan_lrn>, run, nullptr};
  };
  return add_kernels(
      host, plugin,
      {row("local_response_normalization", sdk::supports<supports_lrn<forward::n, forward::beta>>,
           sdk::kernel<normalize>),
       row("local_response_normalization_grad",
           sdk::supports<supports_lrn<backward::n, backward::beta>>, sdk::kernel<gradient>)});
}

}  // namespace catena::intel64
