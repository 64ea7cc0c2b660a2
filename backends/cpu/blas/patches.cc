// Packing of patches for the instruction set of this file's flags; compiled once per set.
#include <cpu/blas/patches.h>
#include <cpu/blas/vec.h>

namespace catena::cpu::CTN_ISA {
namespace {

template <class T>
inline void zeros(T* dst, int64_t n) {
  using V = Vec<T>;
  for (; n >= V::kLanes; n -= V::kLanes, dst += V::kLanes) V::store(dst, V::zero());
  if (n > 0) V::store_first(dst, V::zero(), static_cast<int>(n));
}

// dst[i] = src[i * step]
template <class T>
inline void copy_steps(T* dst, const T* src, int64_t n, int64_t step) {
  using V = Vec<T>;
  if (step == 1) {
    for (; n >= V::kLanes; n -= V::kLanes, dst += V::kLanes, src += V::kLanes)
      V::store(dst, V::load(src));
    if (n > 0) V::store_first(dst, V::load_first(src, static_cast<int>(n)), static_cast<int>(n));
  } else if (step == 2) {
    for (int64_t i = 0; i < n; ++i) dst[i] = src[i * 2];
  } else {
    for (int64_t i = 0; i < n; ++i) dst[i] = src[i * step];
  }
}

// A run whose tap (dy, dx) may fall outside: zeros around the part that does not.
template <class T>
void edge(const Patches& g, const T* channel, const PatchRun& run, int64_t dy, int64_t dx, T* dst) {
  const int64_t n = run.length, y = run.y + dy, x = run.x + dx;
  if (y < 0 || y >= g.height) return zeros(dst, n);
  // columns i with 0 <= x + i * step < width
  int64_t low = x >= 0 ? 0 : (-x + g.step_x - 1) / g.step_x;
  int64_t high = x >= g.width ? 0 : (g.width - 1 - x) / g.step_x + 1;
  if (low > n) low = n;
  if (high > n) high = n;
  if (high < low) high = low;
  zeros(dst, low);
  if (high > low) {
    const T* src = channel + (run.base + dy * g.width + dx + low * g.step_x);
    copy_steps(dst + low, src, high - low, g.step_x);
  }
  zeros(dst + high, n - high);
}

template <class T>
void pack_patches(const Patches& g, const T* images, const PatchRun* runs, int64_t count, int64_t p,
                  int64_t k, int64_t n, T* dst, int64_t width) {
  const T* channel = images + p / g.taps * g.channel;
  int64_t tap = p % g.taps;
  for (int64_t q = 0; q < k; ++q, dst += width) {
    const int64_t dy = g.dy[tap], dx = g.dx[tap], offset = dy * g.width + dx;
    for (int64_t r = 0; r < count; ++r) {
      const PatchRun& run = runs[r];
      if (run.inside) {
        copy_steps(dst + run.column, channel + (run.base + offset), run.length, g.step_x);
      } else {
        edge(g, channel, run, dy, dx, dst + run.column);
      }
    }
    if (n < width) zeros(dst + n, width - n);
    if (++tap == g.taps) {
      tap = 0;
      channel += g.channel;
    }
  }
}

}  // namespace

constinit const PackPatchesFn<float> kPackPatchesFloat = pack_patches<float>;
constinit const PackPatchesFn<double> kPackPatchesDouble = pack_patches<double>;

}  // namespace catena::cpu::CTN_ISA
