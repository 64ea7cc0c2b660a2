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

// dst[i * step] += src[i]
template <class T>
inline void add_row(T* dst, const T* src, int64_t n, int64_t step) {
  using V = Vec<T>;
  if (step == 1) {
    int64_t i = 0;
    for (; i + V::kLanes <= n; i += V::kLanes)
      V::store(dst + i, V::add(V::load(dst + i), V::load(src + i)));
    if (i == n) return;
    const int rest = static_cast<int>(n - i);
    V::store_first(dst + i, V::add(V::load_first(dst + i, rest), V::load_first(src + i, rest)),
                   rest);
  } else {
    for (int64_t i = 0; i < n; ++i) dst[i * step] += src[i];
  }
}

template <class T>
void add_patches(const Patches& g, const T* columns, int64_t ld, int64_t row0, int64_t row1,
                 int64_t channels, T* image) {
  for (int64_t c = 0; c < channels; ++c, image += g.channel) {
    for (int64_t tap = 0; tap < g.taps; ++tap, columns += ld) {
      const int64_t dx = g.dx[tap], step = g.step_x;
      const int64_t low = dx >= 0 ? 0 : clamp((-dx + step - 1) / step, 0, g.grid_w);
      const int64_t high = dx >= g.width ? 0 : clamp((g.width - 1 - dx) / step + 1, 0, g.grid_w);
      if (low >= high) continue;
      for (int64_t row = row0; row < row1; ++row) {
        const int64_t y = row * g.step_y + g.dy[tap];
        if (y < 0 || y >= g.height) continue;
        add_row(image + y * g.width + dx + low * step, columns + (row - row0) * g.grid_w + low,
                high - low, step);
      }
    }
  }
}

}  // namespace

constinit const PackPatchesFn<float> kPackPatchesFloat = pack_patches<float>;
constinit const PackPatchesFn<double> kPackPatchesDouble = pack_patches<double>;
constinit const AddPatchesFn<float> kAddPatchesFloat = add_patches<float>;
constinit const AddPatchesFn<double> kAddPatchesDouble = add_patches<double>;

}  // namespace catena::cpu::CTN_ISA
