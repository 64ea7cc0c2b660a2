// Kernels of softmax, log_softmax and their gradients through cuDNN: an array is lines along the
// axis, `outer` groups of `inner` neighbours.
#include <catena/op_attrs.hpp>

#include <cuda/dnn.h>
#include <cuda/native.h>

namespace catena::cuda {
namespace {

using sdk::Call;
using sdk::Run;
using sdk::Tensor;

// Where the axis is; the logarithm's is the second.
constexpr int kSecond = -1;

struct State {
  TensorDescriptor lines;
  Factor one, zero;
  std::shared_ptr<DnnHandle> handle;
};

template <int axis_attr>
Sizes lines(const Call& c) {
  const Tensor x = c.in(0);
  const int axis = axis_attr == kSecond ? 1 : sdk::wrap_axis(c.i(axis_attr), x.ndim());
  const auto at = static_cast<size_t>(axis);
  return {sdk::size_of(x.shape().first(at)), x.shape(axis), sdk::size_of(x.shape().subspan(at + 1)),
          1};
}

const char* supports_softmax(const Call& c) {
  for (int k = 1; k < c.n_in(); ++k)
    if (const char* why = declines_simple(c, {c.in(k)})) return why;
  return declines_simple(c, {c.in(0)});
}

template <int axis_attr>
void plan_softmax(const Call& c, ctn_plan& plan, std::unique_ptr<State>& state) {
  const Tensor x = c.in(0);
  state.reset(new State{describe_images(x.dtype(), lines<axis_attr>(c)), Factor(x.dtype(), 1),
                        Factor(x.dtype(), 0), dnn_handle(device_of(x.device()))});
  plan.scratch_bytes = 0;
}

template <cudnnSoftmaxAlgorithm_t algorithm>
void forward(const Run& run) {
  const State& s = *run.state<std::unique_ptr<State>>();
  const cudnnTensorDescriptor_t t = s.lines.get();
  const void* x = dnn_input(run, run.in(0));
  s.handle->use("softmax", [&](cudnnHandle_t h) {
    return dnn().cudnnSoftmaxForward(h, algorithm, CUDNN_SOFTMAX_MODE_CHANNEL, s.one.get(), t, x,
                                     s.zero.get(), t, run.out(0).data());
  });
  note_queued(run);
}

template <cudnnSoftmaxAlgorithm_t algorithm>
void gradient(const Run& run) {
  const State& s = *run.state<std::unique_ptr<State>>();
  const cudnnTensorDescriptor_t t = s.lines.get();
  const void *y = dnn_input(run, run.in(0)), *gy = dnn_input(run, run.in(1));
  s.handle->use("gradient of softmax", [&](cudnnHandle_t h) {
    return dnn().cudnnSoftmaxBackward(h, algorithm, CUDNN_SOFTMAX_MODE_CHANNEL, s.one.get(), t, y,
                                      t, gy, s.zero.get(), t, run.out(0).data());
  });
  note_queued(run);
}

template <int axis_attr>
KernelRow row(std::string_view op, decltype(KernelRow::run) run) {
  return {op,
          run,
          0,
          sdk::supports<supports_softmax>,
          sdk::plan<plan_softmax<axis_attr>, std::unique_ptr<State>>,
          sdk::drop<std::unique_ptr<State>>,
          kDnnPriority};
}

}  // namespace

ctn_status register_dnn_softmax(const ctn_host* host, ctn_plugin plugin) {
  constexpr auto kPlain = CUDNN_SOFTMAX_ACCURATE, kLog = CUDNN_SOFTMAX_LOG;
  return add_kernels(host, plugin,
                     {row<attr::softmax::axis>("softmax", sdk::kernel<forward<kPlain>>),
                      row<attr::softmax_grad::axis>("softmax_grad", sdk::kernel<gradient<kPlain>>),
                      row<kSecond>("log_softmax", sdk::kernel<forward<kLog>>),
                      row<kSecond>("log_softmax_grad", sdk::kernel<gradient<kLog>>)});
}

}  // namespace catena::cuda
