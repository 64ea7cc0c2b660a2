// Kernels of average pooling and its gradient through cuDNN. Maximum pooling is not here: the op
// gives the place of each maximum in its window, which cuDNN does not tell.
#include <catena/op_attrs.hpp>

#include <cuda/dnn.h>
#include <cuda/native.h>

namespace catena::cuda {
namespace {

using sdk::Call;
using sdk::Run;
using sdk::Tensor;

struct Keys {
  int ksize, stride, pad;
};
constexpr Keys kForward{attr::average_pooling_2d::ksize, attr::average_pooling_2d::stride,
                        attr::average_pooling_2d::pad};
constexpr Keys kGradient{attr::average_pooling_2d_grad::ksize,
                         attr::average_pooling_2d_grad::stride, attr::average_pooling_2d_grad::pad};

// `large` is the side that windows read, `small` has one element for each window.
Tensor large(const Call& c, const Keys& keys) { return &keys == &kForward ? c.in(0) : c.out(0); }
Tensor small(const Call& c, const Keys& keys) { return &keys == &kForward ? c.out(0) : c.in(0); }

struct Windows {
  std::array<int64_t, 2> size, step, pad;
  Windows(const Call& c, const Keys& keys)
      : size(c.pair(keys.ksize)),
        step(c.is_none(keys.stride) ? size : c.pair(keys.stride)),
        pad(c.pair(keys.pad)) {}
};

struct State {
  TensorDescriptor large, small;
  PoolingDescriptor windows;
  Factor one, zero;
  std::shared_ptr<DnnHandle> handle;
};

template <const Keys& keys>
const char* supports_pooling(const Call& c) {
  const Tensor x = large(c, keys), y = small(c, keys);
  if (const char* why = declines_simple(c, {x, y})) return why;
  const Windows w(c, keys);
  for (size_t k = 0; k < 2; ++k) {
    if (w.pad[k] >= w.size[k]) return "windows within the border";
    if (w.size[k] > kMostSide || w.step[k] > kMostSide) return "large windows";
    const int64_t free = x.shape(static_cast<int>(k) + 2) + 2 * w.pad[k] - w.size[k];
    if (free < 0 || y.shape(static_cast<int>(k) + 2) != free / w.step[k] + 1)
      return "windows beyond the border";
  }
  return nullptr;
}

PoolingDescriptor describe(const Windows& w) {
  PoolingDescriptor d;
  const auto n = [](int64_t v) { return static_cast<int>(v); };
  check("cuda",
        dnn().cudnnSetPooling2dDescriptor(d.get(), CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING,
                                          CUDNN_PROPAGATE_NAN, n(w.size[0]), n(w.size[1]),
                                          n(w.pad[0]), n(w.pad[1]), n(w.step[0]), n(w.step[1])),
        "describing windows");
  return d;
}

template <const Keys& keys>
void plan_pooling(const Call& c, ctn_plan& plan, std::unique_ptr<State>& state) {
  const auto images = [](const Tensor& t) {
    return describe_images(t.dtype(), {t.shape(0), t.shape(1), t.shape(2), t.shape(3)});
  };
  const Tensor x = large(c, keys);
  state.reset(new State{images(x), images(small(c, keys)), describe(Windows(c, keys)),
                        Factor(x.dtype(), 1), Factor(x.dtype(), 0),
                        dnn_handle(device_of(x.device()))});
  plan.scratch_bytes = 0;
}

void average(const Run& run) {
  const State& s = *run.state<std::unique_ptr<State>>();
  const void* x = dnn_input(run, run.in(0));
  s.handle->use("average pooling", [&](cudnnHandle_t h) {
    return dnn().cudnnPoolingForward(h, s.windows.get(), s.one.get(), s.large.get(), x,
                                     s.zero.get(), s.small.get(), run.out(0).data());
  });
  note_queued(run);
}

// The gradient of a mean depends on neither x nor y: memory of their sizes stands for them.
void average_gradient(const Run& run) {
  const State& s = *run.state<std::unique_ptr<State>>();
  const void* gy = dnn_input(run, run.in(0));
  void* gx = run.out(0).data();
  s.handle->use("gradient of average pooling", [&](cudnnHandle_t h) {
    return dnn().cudnnPoolingBackward(h, s.windows.get(), s.one.get(), s.small.get(), gy,
                                      s.small.get(), gy, s.large.get(), gx, s.zero.get(),
                                      s.large.get(), gx);
  });
  note_queued(run);
}

template <const Keys& keys>
KernelRow row(std::string_view op, decltype(KernelRow::run) run) {
  return {op,
          run,
          0,
          sdk::supports<supports_pooling<keys>>,
          sdk::plan<plan_pooling<keys>, std::unique_ptr<State>>,
          sdk::drop<std::unique_ptr<State>>,
          kDnnPriority};
}

}  // namespace

ctn_status register_dnn_pooling(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {row<kForward>("average_pooling_2d", sdk::kernel<average>),
                      row<kGradient>("average_pooling_2d_grad", sdk::kernel<average_gradient>)});
}

}  // namespace catena::cuda
