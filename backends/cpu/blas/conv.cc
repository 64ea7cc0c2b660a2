// Convolution and its transpose as matrix products whose right side is packed from the images
// themselves. The transpose gathers where that is the smaller product: for each phase of the stride
// it is a convolution of y with steps of 1 over the taps that meet that phase, so every element of
// x is written once. Elsewhere it scatters (conv_scatter.cc).
#include <cpu/blas/conv.h>

#include <cpu/blas/operands.h>

#include <catena/sdk/kernel.hpp>

#include <algorithm>

namespace catena::cpu {
namespace {

constexpr int64_t kManyGroups = 16;  // so many groups are shared among threads as they are

// W as the left side: row m, step (channel, tap).
template <class T>
class Weights final : public Operand<T> {
 public:
  Weights(const Dense<T>& d, const T* w, int64_t row, int64_t channel, const Taps& taps,
          int64_t kernel)
      : dense_(d), w_(w), row_(row), channel_(channel), taps_(taps), kernel_(kernel) {}

  void pack(int64_t p, int64_t k, int64_t i, int64_t n, T* dst, int64_t width) const override {
    const int64_t taps = taps_.patches().taps;
    if (k == 0) return;  // there may be no taps
    const T* rows = w_ + i * row_;
    if (channel_ == kernel_ && taps == kernel_)  // steps lie side by side
      return dense_.transpose(rows + p, row_, k, n, dst, width);
    int64_t channel = p / taps, tap = p % taps;
    for (int64_t q = 0; q < k; ++q, dst += width) {
      const T* src = rows + channel * channel_ + taps_.kernel()[tap];
      for (int64_t j = 0; j < n; ++j) dst[j] = src[j * row_];
      if (++tap == taps) tap = 0, ++channel;
    }
  }

 private:
  const Dense<T>& dense_;
  const T* w_;
  int64_t row_, channel_;  // distances in elements
  const Taps& taps_;
  int64_t kernel_;
};

// Where the columns of a grid of positions go: planes of images, with steps of their own.
struct Grid {
  int64_t h, w;            // positions
  int64_t step_y, step_x;  // distances in elements between positions
  int64_t image, plane;
};

template <class T>
class Planes final : public Result<T> {
 public:
  Planes(const Grid& g, T* to)
      : Result<T>(g.plane), g_(g), to_(to), dense_(g.step_x == 1 && g.step_y == g.w) {}

  T* place(int64_t j, int64_t n) const override {
    const int64_t positions = g_.h * g_.w, at = j % positions;
    if (!dense_ || at + n > positions) return nullptr;
    return to_ + j / positions * g_.image + at;
  }
  void put(const T* tile, int64_t width, int64_t i, int64_t m, int64_t j, int64_t n,
           bool add) const override {
    int64_t at[2 * kMaxLanes];
    int64_t image = j / (g_.h * g_.w), row = j / g_.w % g_.h, column = j % g_.w;
    for (int64_t s = 0; s < n; ++s) {
      at[s] = image * g_.image + row * g_.step_y + column * g_.step_x;
      if (++column == g_.w) {
        column = 0;
        if (++row == g_.h) row = 0, ++image;
      }
    }
    for (int64_t r = 0; r < m; ++r, tile += width) {
      T* plane = to_ + (i + r) * g_.plane;
      if (add) {
        for (int64_t s = 0; s < n; ++s) plane[at[s]] += tile[s];
      } else {
        for (int64_t s = 0; s < n; ++s) plane[at[s]] = tile[s];
      }
    }
  }

 private:
  Grid g_;
  T* to_;
  bool dense_;
};

// One convolution by taps: `rows` output planes from `channels` input planes for each group.
template <class T>
struct Pass {
  const Taps* taps;
  int64_t images, groups;
  int64_t channels, rows;  // of one group
  const T* src;
  const T* w;
  int64_t w_row, w_channel, w_group, kernel;  // distances in W; elements of one kernel
  const T* bias;
  T* dst;
  Grid grid;
};

template <class T, class Fn>
void with_group(const Dense<T>& dense, const Pass<T>& p, int64_t group, Fn&& fn) {
  const Patches& g = p.taps->patches();
  const Weights<T> a(dense, p.w + group * p.w_group, p.w_row, p.w_channel, *p.taps, p.kernel);
  const Images<T> b(dense, g, p.src + group * p.channels * g.channel);
  const Planes<T> c(p.grid, p.dst + group * p.rows * p.grid.plane);
  const T* bias = p.bias == nullptr ? nullptr : p.bias + group * p.rows;
  fn(Product<T>{p.rows, p.images * g.grid_h * g.grid_w, p.channels * g.taps, &a, &b, &c, false,
                bias, nullptr});
}

template <class T>
void run_pass(ctn_exec exec, const Pass<T>& p) {
  const Dense<T>& d = dense<T>();
  const Patches& g = p.taps->patches();
  const int64_t n = p.images * g.grid_h * g.grid_w;
  if (n == 0 || p.rows == 0) return;
  if (p.groups < kManyGroups) {
    for (int64_t group = 0; group < p.groups; ++group)
      with_group(d, p, group, [&](const Product<T>& one) { multiply(exec, d, one); });
    return;
  }
  const int64_t elements = serial_elements(d, p.rows, n, p.channels * g.taps);
  Slots slots(exec, elements * static_cast<int64_t>(sizeof(T)), p.groups);
  sdk::parallel_for(exec, p.groups, 1, [&](int64_t begin, int64_t end) {
    const Slots::Hold slot(slots);
    for (int64_t group = begin; group < end; ++group)
      with_group(d, p, group,
                 [&](const Product<T>& one) { multiply_serial(d, one, slot.as<T>()); });
  });
}

}  // namespace

template <class T>
void conv_forward(ctn_exec exec, const ConvShape& s, const T* x, const T* w, const T* b, T* y) {
  const Taps taps = Taps::forward(s);
  const int64_t kernel = s.kernel_h * s.kernel_w, plane = s.out_height * s.out_width;
  const int64_t channels = s.channels / s.groups, filters = s.filters / s.groups;
  run_pass<T>(exec, {&taps,
                     s.images,
                     s.groups,
                     channels,
                     filters,
                     x,
                     w,
                     channels * kernel,
                     kernel,
                     filters * channels * kernel,
                     kernel,
                     b,
                     y,
                     {s.out_height, s.out_width, s.out_width, 1, s.filters * plane, plane}});
}

namespace {

// Gathering multiplies as often as x has elements, scattering as often as y has; but it leaves
// tiles of few channels half empty, and scattering adds its product to x in a pass of its own.
bool gathers(const ConvShape& s) {
  const int64_t x = s.height * s.width, y = s.out_height * s.out_width;
  return s.channels / s.groups >= 12 && 2 * x <= 3 * y * s.stride_y * s.stride_x;
}

}  // namespace

template <class T>
void conv_transpose(ctn_exec exec, const ConvShape& s, const T* y, const T* w, const T* b, T* x) {
  if (!gathers(s)) return conv_scatter(exec, s, y, w, b, x);
  const int64_t kernel = s.kernel_h * s.kernel_w, plane = s.height * s.width;
  const int64_t channels = s.channels / s.groups, filters = s.filters / s.groups;
  for (int64_t py = 0; py < std::min(s.stride_y, s.height); ++py) {
    for (int64_t px = 0; px < std::min(s.stride_x, s.width); ++px) {
      const Taps taps = Taps::backward(s, py, px);
      const Patches& g = taps.patches();
      const Grid grid{g.grid_h,   g.grid_w,           s.stride_y * s.width,
                      s.stride_x, s.channels * plane, plane};
      // step (filter, tap) of row `channel` is W[filter][channel][tap]
      run_pass<T>(exec,
                  {&taps, s.images, s.groups, filters, channels, y, w, kernel, channels * kernel,
                   filters * channels * kernel, kernel, b, x + py * s.width + px, grid});
    }
  }
}

template void conv_forward(ctn_exec, const ConvShape&, const float*, const float*, const float*,
                           float*);
template void conv_forward(ctn_exec, const ConvShape&, const double*, const double*, const double*,
                           double*);
template void conv_transpose(ctn_exec, const ConvShape&, const float*, const float*, const float*,
                             float*);
template void conv_transpose(ctn_exec, const ConvShape&, const double*, const double*,
                             const double*, double*);

}  // namespace catena::cpu
