// Kernels of softmax, log_softmax and their gradients.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <cpu/add_kernels.h>
#include <cpu/kernels.h>
#include <cpu/nn/lines.h>
#include <cpu/widen.h>

namespace catena::cpu {
namespace {

using sdk::Run;

// y from x, line by line, by one of the loops for rows and one for columns.
template <auto kRow, auto kColumn>
struct Map {
  template <class C>
  static void run(const Run& run, int axis) {
    const SoftmaxLoops<C>& f = softmax_loops<C>();
    const Lines lines(run.in(0).shape(), axis);
    const C* x = widened<C>(run, run.in(0));
    const Widened<C> y(run, 0);
    for_lines(
        run, lines, [&](int64_t, int64_t at) { kRow(f)(y.data() + at, x + at, lines.n); },
        [&](int64_t, int64_t at, int64_t m) {
          kColumn(f)(y.data() + at, x + at, lines.n, lines.inner, m);
        });
    y.store();
  }
};

// The same from y and gy.
template <auto kRow, auto kColumn>
struct Gradient {
  template <class C>
  static void run(const Run& run, int axis) {
    const SoftmaxLoops<C>& f = softmax_loops<C>();
    const Lines lines(run.in(0).shape(), axis);
    const C* y = widened<C>(run, run.in(0));
    const C* gy = widened<C>(run, run.in(1));
    const Widened<C> gx(run, 0);
    for_lines(
        run, lines, [&](int64_t, int64_t at) { kRow(f)(gx.data() + at, y + at, gy + at, lines.n); },
        [&](int64_t, int64_t at, int64_t m) {
          kColumn(f)(gx.data() + at, y + at, gy + at, lines.n, lines.inner, m);
        });
    gx.store();
  }
};

int axis_of(const Run& run, int attr) { return sdk::wrap_axis(run.i(attr), run.in(0).ndim()); }

void softmax(const Run& run) {
  const int axis = axis_of(run, attr::softmax::axis);
  with_compute_type(run, [&]<class C>() {
    Map<[](const auto& f) { return f.softmax; },
        [](const auto& f) { return f.column_softmax; }>::template run<C>(run, axis);
  });
}

void log_softmax(const Run& run) {
  with_compute_type(run, [&]<class C>() {
    Map<[](const auto& f) { return f.log_softmax; },
        [](const auto& f) { return f.column_log_softmax; }>::template run<C>(run, 1);
  });
}

void softmax_grad(const Run& run) {
  const int axis = axis_of(run, attr::softmax_grad::axis);
  with_compute_type(run, [&]<class C>() {
    Gradient<[](const auto& f) { return f.softmax_grad; },
             [](const auto& f) { return f.column_softmax_grad; }>::template run<C>(run, axis);
  });
}

void log_softmax_grad(const Run& run) {
  with_compute_type(run, [&]<class C>() {
    Gradient<[](const auto& f) { return f.log_softmax_grad; },
             [](const auto& f) { return f.column_log_softmax_grad; }>::template run<C>(run, 1);
  });
}

}  // namespace

ctn_status register_softmax(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(host, plugin,
                     {{"softmax", 0, sdk::kernel<softmax>},
                      {"softmax_grad", 0, sdk::kernel<softmax_grad>},
                      {"log_softmax", 0, sdk::kernel<log_softmax>},
                      {"log_softmax_grad", 0, sdk::kernel<log_softmax_grad>}});
}

}  // namespace catena::cpu
