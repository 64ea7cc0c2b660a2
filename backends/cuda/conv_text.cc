// CUDA C of convolution (conv.cc): windows of an image as the columns of a matrix, such columns
// added back to an image, and sums of partial results. An element is added up by one thread, in the
// order of the window or of the parts.
#include <cuda/conv.h>

namespace catena::cuda {
namespace {

constexpr const char* kText = R"(
// Rows [first, first + rows) of the windows' positions: a column for each position, rows for each
// channel and element of the window; the images one after the other.
struct Patches {
  i64 images, channels, height, width;
  i64 kh, kw, sy, sx, py, px, dy, dx;
  i64 first, rows, out_w;
  const void* image;
  void* columns;
  void* sums;        // an image that columns are added to
  const void* bias;  // of each channel, or NULL
  i64 add;           // to what is there, not to the bias
};
template <class N> struct Pixel { N plane, y, x; };
template <class N> __device__ inline Pixel<N> pixel_of(N i, N height, N width) {
  Pixel<N> a;
  const N row = i / width;
  a.x = i - row * width;
  a.plane = row / height;
  a.y = row - a.plane * height;
  return a;
}

// T has the size of an element. A thread writes a position of a channel: neighbours side by side.
template <class T, class N> __device__ inline void to_columns(const Patches& p) {
  const N positions = (N)(p.rows * p.out_w), size = (N)(p.images * p.channels) * positions;
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < size; i += (N)gridDim.x * kThreads) {
    const Pixel<N> a = pixel_of(i, (N)p.rows, (N)p.out_w);
    const N top = ((N)p.first + a.y) * (N)p.sy - (N)p.py, left = a.x * (N)p.sx - (N)p.px;
    const T* from = (const T*)p.image + a.plane * (N)(p.height * p.width);
    T* to = (T*)p.columns + a.plane * (N)(p.kh * p.kw) * positions + a.y * (N)p.out_w + a.x;
    for (N ky = 0; ky < (N)p.kh; ++ky) {
      const N y = top + ky * (N)p.dy;
      const bool within = y >= 0 && y < (N)p.height;
      for (N kx = 0; kx < (N)p.kw; ++kx, to += positions) {
        const N x = left + kx * (N)p.dx;
        *to = within && x >= 0 && x < (N)p.width ? from[y * (N)p.width + x] : (T)0;
      }
    }
  }
}

// S: of the bias; columns are what it is computed with.
template <class S, class T, class N> __device__ inline void from_columns(const Patches& p) {
  typedef Wide<S> C;
  const N positions = (N)(p.rows * p.out_w), planes = (N)(p.images * p.channels);
  const N size = planes * (N)(p.height * p.width);
  for (N i = (N)blockIdx.x * kThreads + (N)threadIdx.x; i < size; i += (N)gridDim.x * kThreads) {
    const Pixel<N> a = pixel_of(i, (N)p.height, (N)p.width);
    const C* from = (const C*)p.columns + a.plane * (N)(p.kh * p.kw) * positions;
    C sum = 0;
    if (p.add) sum = load((const T*)p.sums + i);
    else if (p.bias) sum = load((const S*)p.bias + a.plane % (N)p.channels);
    for (N ky = 0; ky < (N)p.kh; ++ky) {
      const N down = a.y + (N)p.py - ky * (N)p.dy;
      if (down < 0) break;
      const N oy = down / (N)p.sy, row = oy - (N)p.first;
      if (oy * (N)p.sy != down || row < 0 || row >= (N)p.rows) continue;
      for (N kx = 0; kx < (N)p.kw; ++kx) {
        const N along = a.x + (N)p.px - kx * (N)p.dx;
        if (along < 0) break;
        const N ox = along / (N)p.sx;
        if (ox * (N)p.sx != along || ox >= (N)p.out_w) continue;
        sum += from[(ky * (N)p.kw + kx) * positions + row * (N)p.out_w + ox];
      }
    }
    store((T*)p.sums + i, sum);
  }
}

struct Parts {
  i64 n, parts, add;
  const void* from;
  void* to;
};
template <class C> __device__ inline void add_parts(const Parts& p) {
  const C* from = (const C*)p.from;
  for (i64 i = (i64)blockIdx.x * kThreads + threadIdx.x; i < p.n; i += (i64)gridDim.x * kThreads) {
    C sum = p.add ? ((const C*)p.to)[i] : (C)0;
    for (i64 k = 0; k < p.parts; ++k) sum += from[k * p.n + i];
    ((C*)p.to)[i] = sum;
  }
}
)";

constexpr Sample kSamples[] = {{"to_columns<u32, i32>", "Patches"},
                               {"from_columns<f16, f16, i32>", "Patches"},
                               {"add_parts<f32>", "Parts"},
                               {nullptr, nullptr}};

}  // namespace

constinit const Text kConvKernels{"conv", {&kText}, kSamples};

}  // namespace catena::cuda
