// The transpose of a convolution by scattering: the product of W and y has a row for each channel
// and tap, and every row is added to its place in x. A task owns some channels of some images, so
// that nobody else adds to them.
#include <cpu/blas/conv.h>
#include <cpu/blas/operands.h>

#include <catena/sdk/kernel.hpp>

#include <algorithm>

namespace catena::cpu {
namespace {

constexpr int64_t kColumns = 512;        // positions of one product, about
constexpr int64_t kElements = 64 << 10;  // of its result, which stays in the L2 cache

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T>
class Scatter {
 public:
  Scatter(const ConvShape& s, const T* y, const T* w, const T* b, T* x)
      : s_(s), y_(y), w_(w), b_(b), x_(x), to_(Taps::forward(s)), from_(planes(s)) {
    const Patches& g = to_.patches();
    plane_ = g.grid_h * g.grid_w;
    channels_ = s.channels / s.groups;
    filters_ = s.filters / s.groups;
    rows_ = std::clamp(kColumns / g.grid_w, int64_t{1}, g.grid_h);
    images_ = rows_ < g.grid_h ? 1 : std::clamp(kColumns / plane_, int64_t{1}, s.images);
    columns_ = images_ * rows_ * g.grid_w;
    block_ = std::clamp(kElements / (columns_ * g.taps), int64_t{1}, channels_);
  }

  void run(ctn_exec exec) const {
    const int64_t blocks = divide_up(channels_, block_);
    const int64_t tasks = divide_up(s_.images, images_) * s_.groups * blocks;
    const int64_t m = block_ * to_.patches().taps;
    const int64_t elements = product_elements(m) + m * columns_;
    Slots slots(exec, elements * static_cast<int64_t>(sizeof(T)), tasks);
    sdk::parallel_for(exec, tasks, 1, [&](int64_t begin, int64_t end) {
      const Slots::Hold slot(slots);
      for (int64_t t = begin; t < end; ++t) {
        const int64_t block = t % blocks, group = t / blocks % s_.groups;
        const int64_t image = t / blocks / s_.groups * images_;
        task({image, std::min(image + images_, s_.images), group, block * block_,
              std::min(block_, channels_ - block * block_)},
             slot.as<T>());
      }
    });
  }

 private:
  struct Part {
    int64_t image0, image1, group, channel, channels;
  };

  // y itself as patches of one tap.
  static Taps planes(const ConvShape& s) {
    ConvShape p = s;
    p.channels = s.filters;
    p.height = s.out_height;
    p.width = s.out_width;
    p.kernel_h = p.kernel_w = p.stride_y = p.stride_x = p.dilate_y = p.dilate_x = 1;
    p.pad_y = p.pad_x = 0;
    return Taps::forward(p);
  }

  // The largest product of a task, in whole vectors.
  int64_t product_elements(int64_t m) const {
    return divide_up(serial_elements(dense_, m, columns_, filters_), kMaxLanes) * kMaxLanes;
  }

  T* plane(const Part& p, int64_t image) const {
    return x_ + (image * s_.channels + p.group * channels_ + p.channel) * s_.height * s_.width;
  }

  void task(const Part& p, T* memory) const {
    const Patches& g = to_.patches();
    const int64_t size = s_.height * s_.width, m = p.channels * g.taps;
    for (int64_t n = p.image0; n < p.image1; ++n) {
      for (int64_t c = 0; c < p.channels; ++c) {
        const T start = b_ == nullptr ? T{0} : b_[p.group * channels_ + p.channel + c];
        std::fill_n(plane(p, n) + c * size, size, start);
      }
    }
    T* columns = memory + product_elements(block_ * g.taps);
    const int64_t kernels = channels_ * g.taps;  // of one filter
    const Strided<T> a(dense_, w_ + p.group * filters_ * kernels + p.channel * g.taps, 1, kernels);
    const T* images = y_ + p.group * filters_ * from_.patches().channel;
    for (int64_t row = 0; row < g.grid_h; row += rows_) {
      const int64_t end = std::min(row + rows_, g.grid_h);
      const int64_t n = (p.image1 - p.image0) * (end - row) * g.grid_w;
      const Images<T> b(dense_, from_.patches(), images, p.image0 * plane_ + row * g.grid_w);
      const Rows<T> c(columns, n);
      multiply_serial(dense_, Product<T>{m, n, filters_, &a, &b, &c, false, nullptr, nullptr},
                      memory);
      for (int64_t image = p.image0; image < p.image1; ++image)
        add_(g, columns + (image - p.image0) * plane_, n, row, end, p.channels, plane(p, image));
    }
  }

  const ConvShape& s_;
  const T* y_;
  const T* w_;
  const T* b_;
  T* x_;
  const Dense<T>& dense_ = dense<T>();
  AddPatchesFn<T> add_ = add_patches<T>();
  Taps to_, from_;
  int64_t plane_, channels_, filters_;
  int64_t rows_, images_;  // of the grid in one product; more than one image only if all rows are
  int64_t columns_;        // most positions of one product
  int64_t block_;          // channels of one product
};

}  // namespace

template <class T>
void conv_scatter(ctn_exec exec, const ConvShape& s, const T* y, const T* w, const T* b, T* x) {
  if (s.images * s.channels * s.height * s.width != 0) Scatter<T>(s, y, w, b, x).run(exec);
}

template void conv_scatter(ctn_exec, const ConvShape&, const float*, const float*, const float*,
                           float*);
template void conv_scatter(ctn_exec, const ConvShape&, const double*, const double*, const double*,
                           double*);

}  // namespace catena::cpu
