// Kernels of softmax, log_softmax and their gradients: a warp or a block a line, or a thread where
// lines lie side by side.
#include <catena/op_attrs.hpp>

#include <cuda/lines.h>

namespace catena::cuda {
namespace {

using sdk::Run;
using sdk::Tensor;

constexpr const char* kText = R"(
struct Softmax {
  Lines lines;
  const void *x, *gy;  // of a gradient x is the result
  void* y;
};
template <class S, bool log> __device__ inline void softmax(const Softmax& p) {
  typedef Wide<S> C;
  const Lines& l = p.lines;
  const Seat s = seat(l);
  for (i64 first = (i64)blockIdx.x * s.lines; first < l.count; first += (i64)gridDim.x * s.lines) {
    const i64 k = first + s.line, n = k < l.count ? l.n : 0, at = line_start(l, k);
    const S* x = (const S*)p.x + at;
    S* y = (S*)p.y + at;
    const Peak<C> peak = peak_of(s, x, n, l.inner);
    const C total = total_of(peak), part = log ? x_log(total) : (C)1 / total;
    for (i64 j = s.lane; j < n; j += s.lanes) {
      const C v = load(x + j * l.inner) - peak.top;
      store(y + j * l.inner, log ? v - part : x_exp(v) * part);
    }
  }
}
template <class S, bool log> __device__ inline void softmax_grad(const Softmax& p) {
  typedef Wide<S> C;
  const Lines& l = p.lines;
  const Seat s = seat(l);
  for (i64 first = (i64)blockIdx.x * s.lines; first < l.count; first += (i64)gridDim.x * s.lines) {
    const i64 k = first + s.line, n = k < l.count ? l.n : 0, at = line_start(l, k);
    const S *y = (const S*)p.x + at, *gy = (const S*)p.gy + at;
    S* gx = (S*)p.y + at;
    const C sum = (C)sum_of(s, n, [=](i64 j) {
      const C g = load(gy + j * l.inner);
      return log ? g : g * load(y + j * l.inner);
    });
    for (i64 j = s.lane; j < n; j += s.lanes) {
      const C g = load(gy + j * l.inner), v = load(y + j * l.inner);
      store(gx + j * l.inner, log ? g - x_exp(v) * sum : v * (g - sum));
    }
  }
}
)";

// As there.
struct Softmax {
  Lines lines;
  const void *x, *gy;
  void* y;
};

constexpr Sample kSamples[] = {{"softmax<f32, false>", "Softmax"},
                               {"softmax_grad<f32, false>", "Softmax"},
                               {nullptr, nullptr}};

void run_lines(const Run& run, const char* name, bool log, int axis) {
  static Native* const kernels = new Native(kSoftmaxKernels);
  Device& d = device_of(run);
  const Tensor x = run.in(0);
  const Softmax p{Lines::of(x.shape(), axis), x.data(), run.n_in() > 1 ? run.in(1).data() : nullptr,
                  run.out(0).data()};
  if (x.size() == 0) return;
  const char* const flag = log ? "true" : "false";
  queue(d, kernels->find(d, name, {type_name(x.dtype()), flag}, "Softmax"), p.lines.threads(), &p);
  note(run, std::string(log ? "log_" : "") + name);
}

int axis_of(const Run& run, int attr) { return sdk::wrap_axis(run.i(attr), run.in(0).ndim()); }

void softmax(const Run& run) {
  run_lines(run, "softmax", false, axis_of(run, attr::softmax::axis));
}
void softmax_grad(const Run& run) {
  run_lines(run, "softmax_grad", false, axis_of(run, attr::softmax_grad::axis));
}
void log_softmax(const Run& run) { run_lines(run, "softmax", true, 1); }
void log_softmax_grad(const Run& run) { run_lines(run, "softmax_grad", true, 1); }

}  // namespace

constinit const Text kSoftmaxKernels{"softmax", {&kLinesText, &kText}, kSamples};

ctn_status register_softmax(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"softmax", sdk::kernel<softmax>},
                      {"softmax_grad", sdk::kernel<softmax_grad>},
                      {"log_softmax", sdk::kernel<log_softmax>},
                      {"log_softmax_grad", sdk::kernel<log_softmax_grad>}});
}

}  // namespace catena::cuda
