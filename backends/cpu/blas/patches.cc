// Packing of patches for the instruction set of this file's flags; compiled once per set. A run is
// at most one vector, so that a row of it is one load and one store.
#include <cpu/blas/patches.h>
#include <cpu/blas/vec.h>

namespace catena::cpu::CTN_ISA {
namespace {

// src[i * kStep] for low <= i < high, zero in the other lanes; nothing else is read. kStep 0:
// `step`.
template <class T, int kStep>
inline typename Vec<T>::Reg load_steps(const T* src, int64_t step, int low, int high) {
  using V = Vec<T>;
  if constexpr (kStep == 1) {
    return V::load_range(src, low, high);
#if defined(__AVX512F__)
  } else if constexpr (kStep == 2) {
    return V::load_even(src, low, high);
#endif
  } else {
    alignas(64) T v[V::kLanes] = {};
    for (int i = low; i < high; ++i) v[i] = src[i * (kStep != 0 ? kStep : step)];
    return V::load(v);
  }
}

// Columns [low, high) of the n of a run in one row of the matrix, zeros around them.
template <class T, int kStep>
inline void copy_row(T* dst, const T* src, int64_t step, int low, int high, int n) {
  using V = Vec<T>;
  if (n == V::kLanes) {
    V::store(dst, load_steps<T, kStep>(src, step, low, high));
  } else {
    V::store_first(dst, load_steps<T, kStep>(src, step, low, high), n);
  }
}

// All rows of a run that no tap takes outside: tap by tap, channel by channel.
template <class T, int kStep>
inline void pack_inside(const Patches& g, const T* channel, int64_t tap, int64_t k,
                        const PatchRun& run, T* dst, int64_t width) {
  using V = Vec<T>;
  const int n = run.length;
  const T* base = channel + run.base;
  dst += run.column;
  for (int64_t q = 0; q < k;) {
    const int64_t end = k - q < g.taps - tap ? k - q + tap : g.taps;
    q += end - tap;
    if (kStep == 1 && n == V::kLanes) {
      for (; tap < end; ++tap, dst += width) V::store(dst, V::load(base + g.offset[tap]));
    } else {
      for (; tap < end; ++tap, dst += width)
        copy_row<T, kStep>(dst, base + g.offset[tap], g.step_x, 0, n, n);
    }
    tap = 0;
    base += g.channel;
  }
}

inline int64_t clamp(int64_t x, int64_t low, int64_t high) {
  return x < low ? low : x > high ? high : x;
}

// Rows of `channels` channels for one run and one tap: where the tap meets the image does not
// depend on the channel.
template <class T, int kStep>
inline void pack_edge(const Patches& g, const T* channel, const PatchRun& run, int64_t tap,
                      int64_t channels, T* dst, int64_t dst_step) {
  const int64_t step = kStep != 0 ? kStep : g.step_x, n = run.length;
  const int64_t y = run.y + g.dy[tap], x = run.x + g.dx[tap];
  // columns i with 0 <= x + i * step < width
  int64_t low = 0, high = n;
  if (x < 0) low = clamp((-x + step - 1) / step, 0, n);
  if (x + (n - 1) * step >= g.width) high = x >= g.width ? 0 : (g.width - 1 - x) / step + 1;
  const bool any = low < high && y >= 0 && y < g.height;
  // without a column in the image there is no address either
  const T* src = any ? channel + (run.base + g.offset[tap]) : channel;
  const int64_t src_step = any ? g.channel : 0;
  const int from = any ? static_cast<int>(low) : 0, to = any ? static_cast<int>(high) : 0;
  for (int64_t c = 0; c < channels; ++c, src += src_step, dst += dst_step)
    copy_row<T, kStep>(dst, src, step, from, to, static_cast<int>(n));
}

template <class T, int kStep>
void pack_runs(const Patches& g, const T* images, const PatchRun* runs, int64_t count, int64_t p,
               int64_t k, T* dst, int64_t width) {
  const int64_t first = p / g.taps, first_tap = p % g.taps;
  const int64_t last = (p + k) / g.taps, last_tap = (p + k) % g.taps;
  for (int64_t r = 0; r < count; ++r) {
    if (runs[r].inside) {
      pack_inside<T, kStep>(g, images + first * g.channel, first_tap, k, runs[r], dst, width);
      continue;
    }
    for (int64_t tap = 0; tap < g.taps; ++tap) {
      const int64_t from = first + (tap < first_tap ? 1 : 0), to = last + (tap < last_tap ? 1 : 0);
      if (from >= to) continue;
      pack_edge<T, kStep>(g, images + from * g.channel, runs[r], tap, to - from,
                          dst + (from * g.taps + tap - p) * width + runs[r].column, g.taps * width);
    }
  }
}

template <class T>
void pack_patches(const Patches& g, const T* images, const PatchRun* runs, int64_t count, int64_t p,
                  int64_t k, int64_t n, T* dst, int64_t width) {
  switch (g.step_x) {
    case 1: pack_runs<T, 1>(g, images, runs, count, p, k, dst, width); break;
    case 2: pack_runs<T, 2>(g, images, runs, count, p, k, dst, width); break;
    default: pack_runs<T, 0>(g, images, runs, count, p, k, dst, width); break;
  }
  if (n == width) return;
  for (int64_t q = 0; q < k; ++q)
    for (int64_t j = n; j < width; ++j) dst[q * width + j] = 0;
}

// What one tap gives to a vector of columns of x: lanes [low, high) from `at` on in its row.
struct TapLanes {
  int64_t at, dy, tap;
  int low, high;
};
constexpr int kTapsAtATime = 64;

// One vector of columns from x0 on, for all rows and channels: sums stay in a register, where
// adding tap by tap in memory would wait for its own stores.
template <class T>
void add_vector(const Patches& g, const T* columns, int64_t ld, int64_t row0, int64_t row1,
                int64_t channels, T* image, int64_t x0, const TapLanes* taps, int count) {
  using V = Vec<T>;
  const int width = static_cast<int>(clamp(g.width - x0, 0, V::kLanes));
  const int64_t top = clamp(row0 * g.step_y + g.dy_low, 0, g.height);
  const int64_t bottom = clamp((row1 - 1) * g.step_y + g.dy_high + 1, 0, g.height);
  for (int64_t c = 0; c < channels; ++c, columns += g.taps * ld, image += g.channel) {
    for (int64_t y = top; y < bottom; ++y) {
      T* to = image + y * g.width + x0;
      typename V::Reg sum = V::load_first(to, width);
      for (int k = 0; k < count; ++k) {
        const TapLanes& t = taps[k];
        int64_t row = y - t.dy;
        if (g.step_y != 1) {
          if (row % g.step_y != 0) continue;
          row /= g.step_y;
        }
        if (row < row0 || row >= row1) continue;
        const T* from = columns + (t.tap * ld + (row - row0) * g.grid_w + t.at);
        sum = V::add(sum, V::load_range(from, t.low, t.high));
      }
      V::store_first(to, sum, width);
    }
  }
}

template <class T>
void add_rows(const Patches& g, const T* columns, int64_t ld, int64_t row0, int64_t row1,
              int64_t channels, T* image) {
  constexpr int64_t kLanes = Vec<T>::kLanes;
  for (int64_t x0 = 0; x0 < g.width; x0 += kLanes) {
    TapLanes taps[kTapsAtATime];
    int count = 0;
    for (int64_t tap = 0; tap < g.taps; ++tap) {
      const int64_t dx = g.dx[tap], low = clamp(dx - x0, 0, kLanes);
      const int64_t high = clamp(dx + g.grid_w - x0, low, kLanes);
      if (low < high)
        taps[count++] = {x0 - dx, g.dy[tap], tap, static_cast<int>(low), static_cast<int>(high)};
      if (count < kTapsAtATime && tap + 1 < g.taps) continue;
      add_vector(g, columns, ld, row0, row1, channels, image, x0, taps, count);
      count = 0;
    }
  }
}

// Columns that are not side by side in x.
template <class T>
void add_steps(const Patches& g, const T* columns, int64_t ld, int64_t row0, int64_t row1,
               int64_t channels, T* image) {
  for (int64_t tap = 0; tap < g.taps; ++tap) {
    const int64_t dx = g.dx[tap], step = g.step_x;
    const int64_t low = dx >= 0 ? 0 : clamp((-dx + step - 1) / step, 0, g.grid_w);
    const int64_t high = dx >= g.width ? 0 : clamp((g.width - 1 - dx) / step + 1, 0, g.grid_w);
    for (int64_t row = row0; row < row1; ++row) {
      const int64_t y = row * g.step_y + g.dy[tap];
      if (y < 0 || y >= g.height) continue;
      for (int64_t c = 0; c < channels; ++c) {
        const T* from = columns + (c * g.taps + tap) * ld + (row - row0) * g.grid_w;
        T* to = image + c * g.channel + y * g.width;
        for (int64_t i = low; i < high; ++i) to[dx + i * step] += from[i];
      }
    }
  }
}

template <class T>
void add_patches(const Patches& g, const T* columns, int64_t ld, int64_t row0, int64_t row1,
                 int64_t channels, T* image) {
  if (g.step_x == 1) {
    add_rows(g, columns, ld, row0, row1, channels, image);
  } else {
    add_steps(g, columns, ld, row0, row1, channels, image);
  }
}

}  // namespace

constinit const PackPatchesFn<float> kPackPatchesFloat = pack_patches<float>;
constinit const PackPatchesFn<double> kPackPatchesDouble = pack_patches<double>;
constinit const AddPatchesFn<float> kAddPatchesFloat = add_patches<float>;
constinit const AddPatchesFn<double> kAddPatchesDouble = add_patches<double>;

}  // namespace catena::cpu::CTN_ISA
