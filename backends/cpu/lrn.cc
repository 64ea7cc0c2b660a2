// Kernels of local response normalization. Images are cut into pieces by their size alone.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <cpu/add_kernels.h>
#include <cpu/isa.h>
#include <cpu/kernels.h>
#include <cpu/nn/lrn.h>
#include <cpu/widen.h>

#include <algorithm>
#include <type_traits>

namespace catena::cpu {
namespace {

using sdk::Run;
using sdk::Tensor;

template <class T>
const LrnLoops<T>& lrn_loops() {
  const auto pick = [](const auto& f, const auto& d) -> const LrnLoops<T>& {
    if constexpr (std::is_same_v<T, float>)
      return f;
    else
      return d;
  };
  switch (isa()) {
    case Isa::kAvx512: return pick(avx512::kLrnFloat, avx512::kLrnDouble);
    case Isa::kAvx2: return pick(avx2::kLrnFloat, avx2::kLrnDouble);
    default: return pick(sse2::kLrnFloat, sse2::kLrnDouble);
  }
}

constexpr int64_t kPiece = 1 << 13;   // elements
constexpr int64_t kCached = 1 << 18;  // elements between two passes

struct Images {
  int64_t count;
  LrnWindow window;

  Images(const Tensor& x, int64_t n)
      : count(x.size() == 0 ? 0 : x.shape(0)),  // those without elements may be without number
        window{0, 0, 0} {
    if (count == 0) return;
    window.size = x.size() / count;
    window.step = window.size / x.shape(1);
    window.reach = std::min(n / 2, x.shape(1) - 1);
  }
};

// fn(first element of the image, begin, end) for the pieces of some images.
template <class Fn>
void for_pieces(const Run& run, const Images& images, int64_t first, int64_t count, Fn&& fn) {
  const int64_t size = images.window.size;
  if (count == 0) return;
  const int64_t pieces = (size + kPiece - 1) / kPiece;
  const int64_t grain = std::max<int64_t>(1, kPiece / size);
  sdk::parallel_for(run, count * pieces, grain, [&](int64_t from, int64_t to) {
    for (int64_t k = from; k < to; ++k) {
      const int64_t begin = k % pieces * kPiece;
      fn((first + k / pieces) * size, begin, std::min(size, begin + kPiece));
    }
  });
}

void local_response_normalization(const Run& run) {
  namespace a = attr::local_response_normalization;
  with_compute_type(run, [&]<class C>() {
    const LrnLoops<C>& loops = lrn_loops<C>();
    const Images images(run.in(0), run.i(a::n));
    const LrnFactors<C> factors{static_cast<C>(run.f(a::k)), static_cast<C>(run.f(a::alpha)),
                                static_cast<C>(run.f(a::beta))};
    const C* x = widened<C>(run, run.in(0));
    const Widened<C> y(run, 0);
    C* scale = run.out(1).data<C>();
    for_pieces(run, images, 0, images.count, [&](int64_t at, int64_t begin, int64_t end) {
      loops.normalize(y.data() + at, scale + at, x + at, images.window, factors, begin, end);
    });
    y.store();
  });
}

// In two passes over as many images as the second one finds in the cache.
void local_response_normalization_grad(const Run& run) {
  namespace a = attr::local_response_normalization_grad;
  namespace k = in::local_response_normalization_grad;
  with_compute_type(run, [&]<class C>() {
    const LrnLoops<C>& loops = lrn_loops<C>();
    const Images images(run.in(0), run.i(a::n));
    const C *x = widened<C>(run, run.in(k::x)), *scale = widened<C>(run, run.in(k::scale)),
            *gy = widened<C>(run, run.in(k::gy));
    const Widened<C> gx(run, 0);
    const C beta = static_cast<C>(run.f(a::beta));
    const C factor = static_cast<C>(2 * run.f(a::alpha) * run.f(a::beta));
    const int64_t group = std::max<int64_t>(1, kCached / std::max<int64_t>(1, images.window.size));
    C* part = run.scratch<C>(std::min(group, images.count) * images.window.size);
    for (int64_t first = 0; first < images.count; first += group) {
      const int64_t count = std::min(group, images.count - first);
      const int64_t start = first * images.window.size;
      for_pieces(run, images, first, count, [&](int64_t at, int64_t begin, int64_t end) {
        loops.begin_slope(gx.data() + at, part + (at - start), x + at, scale + at, gy + at, beta,
                          begin, end);
      });
      for_pieces(run, images, first, count, [&](int64_t at, int64_t begin, int64_t end) {
        loops.finish_slope(gx.data() + at, part + (at - start), x + at, images.window, factor,
                           begin, end);
      });
    }
    gx.store();
  });
}

void channel_window_sum(const Run& run) {
  with_compute_type(run, [&]<class C>() {
    const LrnLoops<C>& loops = lrn_loops<C>();
    const Images images(run.in(0), run.i(attr::channel_window_sum::n));
    const C* x = widened<C>(run, run.in(0));
    const Widened<C> y(run, 0);
    for_pieces(run, images, 0, images.count, [&](int64_t at, int64_t begin, int64_t end) {
      loops.sum(y.data() + at, x + at, images.window, begin, end);
    });
    y.store();
  });
}

}  // namespace

ctn_status register_lrn(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(
      host, plugin,
      {{"local_response_normalization", 0, sdk::kernel<local_response_normalization>},
       {"local_response_normalization_grad", 0, sdk::kernel<local_response_normalization_grad>},
       {"channel_window_sum", 0, sdk::kernel<channel_window_sum>}});
}

}  // namespace catena::cpu
