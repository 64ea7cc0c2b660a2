// Kernels of convolution_2d, deconvolution_2d and their gradients: geometry from shapes and
// attributes. Sizes of outputs were decided by the op.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <cpu/add_kernels.h>
#include <cpu/blas/conv.h>
#include <cpu/kernels.h>
#include <cpu/widen.h>

#include <algorithm>

namespace catena::cpu {
namespace {

using sdk::Run;
using sdk::Tensor;

// Where an op keeps its attributes.
struct Keys {
  int stride, pad, dilate, groups;
};

// x and y are the arrays of the convolution whose W has kernels of kh x kw.
ConvShape shape(const Run& run, const Tensor& x, const Tensor& y, int64_t kh, int64_t kw,
                const Keys& keys) {
  const auto stride = run.pair(keys.stride), pad = run.pair(keys.pad);
  const auto dilate = run.pair(keys.dilate);
  return {x.shape(0), x.shape(1), x.shape(2), x.shape(3),        y.shape(1), y.shape(2),
          y.shape(3), kh,         kw,         stride[0],         stride[1],  pad[0],
          pad[1],     dilate[0],  dilate[1],  run.i(keys.groups)};
}

template <class C>
const C* bias(const Run& run) {
  return run.has(2) ? widened<C>(run, run.in(2)) : nullptr;
}

// Where one side of a product has no elements, what is left is the bias. Its shape may be of any
// size then: kernels never see it.
template <class C>
bool bias_alone(const Run& run, const Widened<C>& y) {
  if (run.in(0).size() != 0 && run.in(1).size() != 0) return false;
  const C* b = bias<C>(run);
  const Tensor t = run.out(0);
  const int64_t planes = t.shape(0) * t.shape(1), plane = t.shape(2) * t.shape(3);
  sdk::parallel_for(run, planes, std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, plane)),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t k = begin; k < end; ++k)
                        std::fill_n(y.data() + k * plane, plane, b ? b[k % t.shape(1)] : C{0});
                    });
  y.store();
  return true;
}

void forward(const Run& run, const Keys& keys) {
  const Tensor x = run.in(0), w = run.in(1);
  with_compute_type(run, [&]<class C>() {
    const Widened<C> y(run, 0);
    if (bias_alone(run, y)) return;
    conv_forward<C>(run.exec(), shape(run, x, run.out(0), w.shape(2), w.shape(3), keys),
                    widened<C>(run, x), widened<C>(run, w), bias<C>(run), y.data());
    y.store();
  });
}

void convolution(const Run& run) {
  namespace a = attr::convolution_2d;
  forward(run, {a::stride, a::pad, a::dilate, a::groups});
}

void convolution_sized(const Run& run) {
  namespace a = attr::convolution_2d_sized;
  forward(run, {a::stride, a::pad, a::dilate, a::groups});
}

void deconvolution(const Run& run) {
  namespace a = attr::deconvolution_2d;
  const Tensor x = run.in(0), w = run.in(1);
  const Keys keys{a::stride, a::pad, a::dilate, a::groups};
  with_compute_type(run, [&]<class C>() {
    const Widened<C> y(run, 0);
    if (bias_alone(run, y)) return;
    conv_transpose<C>(run.exec(), shape(run, run.out(0), x, w.shape(2), w.shape(3), keys),
                      widened<C>(run, x), widened<C>(run, w), bias<C>(run), y.data());
    y.store();
  });
}

void weights(const Run& run) {
  namespace a = attr::convolution_2d_weights;
  const Tensor x = run.in(0), gy = run.in(1), gw = run.out(0);
  const Keys keys{a::stride, a::pad, a::dilate, a::groups};
  with_compute_type(run, [&]<class C>() {
    const Widened<C> out(run, 0);
    if (bias_alone(run, out)) return;
    conv_weights<C>(run.exec(), shape(run, x, gy, gw.shape(2), gw.shape(3), keys),
                    widened<C>(run, x), widened<C>(run, gy), out.data());
    out.store();
  });
}

}  // namespace

ctn_status register_conv(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"convolution_2d", 0, sdk::kernel<convolution>},
                      {"convolution_2d_sized", 0, sdk::kernel<convolution_sized>},
                      {"deconvolution_2d", 0, sdk::kernel<deconvolution>},
                      {"convolution_2d_weights", 0, sdk::kernel<weights>}});
}

}  // namespace catena::cpu
