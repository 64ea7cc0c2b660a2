// Gradient of the weights of a convolution: products of rows, one of gy's planes with one of the
// patches, over all positions of all images. Tasks take rows of patches; where these are few, also
// parts of the positions, whose sums are added in order.
#include <cpu/blas/conv.h>

#include <cpu/blas/gemm.h>
#include <cpu/blas/product.h>
#include <cpu/blas/taps.h>

#include <catena/sdk/kernel.hpp>

#include <algorithm>

namespace catena::cpu {
namespace {

constexpr int64_t kBlock = 60;     // rows of either side at a time; a multiple of every dot's
constexpr int64_t kSteps = 1024;   // positions at a time: kBlock rows of both fit the L2 cache
constexpr int64_t kInPlace = 256;  // planes of gy from this size are read where they are
constexpr int64_t kTasks = 16;

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T>
class WeightGradient {
 public:
  WeightGradient(const ConvShape& s, const T* x, const T* gy, T* gw)
      : s_(s),
        x_(x),
        gy_(gy),
        gw_(gw),
        taps_(Taps::forward(s)),
        rows_(s.filters / s.groups),
        columns_(s.channels / s.groups * taps_.patches().taps),
        plane_(s.out_height * s.out_width),
        positions_(s.images * plane_),
        in_place_(plane_ >= kInPlace) {
    // equal parts of one plane, or of all positions
    const int64_t whole = in_place_ ? plane_ : positions_;
    const int64_t parts = divide_up(whole, kSteps);
    chunk_ = parts == 0 ? 0 : divide_up(divide_up(whole, parts), kMaxLanes) * kMaxLanes;
    chunks_ = parts == 0 ? 0 : divide_up(whole, chunk_);
    if (in_place_) chunks_ *= s.images;
    blocks_ = divide_up(columns_, kBlock);
    const int64_t tasks = std::max<int64_t>(1, blocks_ * s.groups);
    parts_ = tasks >= kTasks / 2 ? 1 : std::min(kTasks / tasks, std::max<int64_t>(1, chunks_));
  }

  void run(ctn_exec exec) {
    const int64_t total = s_.filters * columns_;
    if (total == 0) return;
    sums_ = parts_ > 1 ? scratch(exec, parts_ * total) : gw_;
    if (!in_place_) gather_planes(exec);
    const int64_t tasks = s_.groups * blocks_ * parts_;
    Slots slots(exec, kBlock * chunk_ * kBytes + chunk_ * kRunBytes, tasks);
    sdk::parallel_for(exec, tasks, 1, [&](int64_t begin, int64_t end) {
      const Slots::Hold slot(slots);
      for (int64_t t = begin; t < end; ++t) task(t, slot.as<T>());
    });
    if (parts_ == 1) return;
    sdk::parallel_for(exec, total, 1 << 14, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        T sum = sums_[i];
        for (int64_t part = 1; part < parts_; ++part) sum += sums_[part * total + i];
        gw_[i] = sum;
      }
    });
  }

 private:
  static constexpr int64_t kBytes = sizeof(T);
  static constexpr int64_t kRunBytes = sizeof(PatchRun);

  static T* scratch(ctn_exec exec, int64_t elements) {
    void* p = nullptr;
    sdk::check(sdk::host->scratch(exec, static_cast<uint64_t>(elements) * sizeof(T), &p));
    return static_cast<T*>(p);
  }

  // Small planes of gy side by side, a row for each filter.
  void gather_planes(ctn_exec exec) {
    T* rows = scratch(exec, s_.filters * positions_);
    const int64_t grain = std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, positions_));
    sdk::parallel_for(exec, s_.filters, grain, [&](int64_t begin, int64_t end) {
      for (int64_t f = begin; f < end; ++f)
        for (int64_t n = 0; n < s_.images; ++n)
          std::copy_n(gy_ + (n * s_.filters + f) * plane_, plane_,
                      rows + f * positions_ + n * plane_);
    });
    gy_ = rows;
  }

  void task(int64_t index, T* memory) const {
    const int64_t part = index % parts_, block = index / parts_ % blocks_;
    const int64_t group = index / parts_ / blocks_;
    const int64_t k0 = block * kBlock, k1 = std::min(k0 + kBlock, columns_);
    T* to = sums_ + (part * s_.filters + group * rows_) * columns_ + k0;
    T* patches = memory;
    auto* runs = reinterpret_cast<PatchRun*>(memory + kBlock * chunk_);
    const Patches& g = taps_.patches();
    const T* images = x_ + group * (s_.channels / s_.groups) * g.channel;
    const int64_t lda = in_place_ ? plane_ : positions_;
    const int64_t first = chunks_ * part / parts_, last = chunks_ * (part + 1) / parts_;
    if (first == last) {
      for (int64_t i = 0; i < rows_; ++i) std::fill_n(to + i * columns_, k1 - k0, T{0});
    }
    for (int64_t c = first; c < last; ++c) {
      const Chunk at = chunk(c);
      const int64_t count = patch_runs(g, at.j, at.n, dense_.lanes, runs);
      pack_(g, images, runs, count, k0, k1 - k0, at.n, patches, at.n);
      dots<T>(dense_, {rows_, k1 - k0, at.n, gy_ + group * rows_ * lda + at.offset, lda, patches,
                       at.n, to, columns_, c != first, nullptr});
    }
  }

  struct Chunk {
    int64_t j, n;    // positions
    int64_t offset;  // of the first in gy
  };
  Chunk chunk(int64_t c) const {
    if (!in_place_) return {c * chunk_, std::min(chunk_, positions_ - c * chunk_), c * chunk_};
    const int64_t per_plane = chunks_ / s_.images;
    const int64_t image = c / per_plane, at = c % per_plane * chunk_;
    return {image * plane_ + at, std::min(chunk_, plane_ - at), image * s_.filters * plane_ + at};
  }

  const ConvShape& s_;
  const T* x_;
  const T* gy_;
  T* gw_;
  const Dense<T>& dense_ = dense<T>();
  PackPatchesFn<T> pack_ = pack_patches<T>();
  Taps taps_;
  int64_t rows_, columns_;  // of one group's gradient
  int64_t plane_, positions_;
  bool in_place_;
  int64_t chunk_, chunks_, blocks_, parts_;
  T* sums_ = nullptr;
};

}  // namespace

template <class T>
void conv_weights(ctn_exec exec, const ConvShape& s, const T* x, const T* gy, T* gw) {
  WeightGradient<T>(s, x, gy, gw).run(exec);
}

template void conv_weights(ctn_exec, const ConvShape&, const float*, const float*, float*);
template void conv_weights(ctn_exec, const ConvShape&, const double*, const double*, double*);

}  // namespace catena::cpu
