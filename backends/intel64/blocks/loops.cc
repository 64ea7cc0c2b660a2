// Loops over blocks of channels for the instruction set of this file's flags; compiled once per
// set.
#include <intel64/blocks/loops.h>

#include <immintrin.h>

namespace catena::intel64::CTN_ISA {
namespace {

constexpr int kB = CTN_BLOCK;
using V = float __attribute__((vector_size(kB * sizeof(float))));
using I = int32_t __attribute__((vector_size(kB * sizeof(int32_t))));

// Blocks may lie anywhere: copied, not pointed to.
V load(const float* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
I load(const int32_t* p) {
  I v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
void store(float* p, V v) { __builtin_memcpy(p, &v, sizeof v); }
void store(int32_t* p, I v) { __builtin_memcpy(p, &v, sizeof v); }

#if CTN_BLOCK == 16
// a * b + c, rounded once.
V fused(V a, V b, V c) {
  return reinterpret_cast<V>(_mm512_fmadd_ps(
      reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
}
V all_of(float v) { return reinterpret_cast<V>(_mm512_set1_ps(v)); }
#else
V fused(V a, V b, V c) {
  return reinterpret_cast<V>(_mm256_fmadd_ps(
      reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
}
V all_of(float v) { return reinterpret_cast<V>(_mm256_set1_ps(v)); }
#endif

constexpr int64_t kRun = 64;  // positions summed up in float

// Runs are centred on their own mean, so that no digits are lost where a mean is large beside the
// deviation.
void moments(BlockMoments* all, const float* x, int64_t n) {
  for (int64_t at = 0; at < n; at += kRun) {
    const float* p = x + at * kB;
    const int64_t m = n - at < kRun ? n - at : kRun;
    const double count = static_cast<double>(m);
    V total{};
    for (int64_t i = 0; i < m; ++i) total += load(p + i * kB);
    const V centre = total / static_cast<float>(m);
    V left{}, squares{};
    for (int64_t i = 0; i < m; ++i) {
      const V d = load(p + i * kB) - centre;
      left += d;
      squares += d * d;
    }
    const double all_count = all->count + count, share = count / all_count;
    for (int c = 0; c < kB; ++c) {
      const double rest = left[c] / count;  // of rounding the centre
      const double mean = centre[c] + rest, d = mean - all->mean[c];
      all->squares[c] += squares[c] - rest * rest * count + d * d * all->count * share;
      all->mean[c] += d * share;
    }
    all->count = all_count;
  }
}

void affine(float* y, const float* x, const BlockAffine* k, int64_t n) {
  const V mean = load(k->mean), scale = load(k->scale), shift = load(k->shift);
  for (int64_t i = 0; i < n * kB; i += kB) store(y + i, (load(x + i) - mean) * scale + shift);
}

void dots(BlockDots* all, const float* gy, const float* x, const float* centre, int64_t n) {
  const V mean = load(centre);
  for (int64_t at = 0; at < n; at += kRun) {
    const int64_t end = n - at < kRun ? n : at + kRun;
    V sum{}, dot{};
    for (int64_t i = at * kB; i < end * kB; i += kB) {
      const V g = load(gy + i);
      sum += g;
      dot += g * (load(x + i) - mean);
    }
    for (int c = 0; c < kB; ++c) {
      all->sum[c] += sum[c];
      all->dot[c] += dot[c];
    }
  }
}

void slope(float* gx, const float* gy, const float* x, const BlockSlope* k, int64_t n) {
  const V mean = load(k->mean), scale = load(k->scale);
  const V offset = load(k->offset), by = load(k->slope);
  for (int64_t i = 0; i < n * kB; i += kB)
    store(gx + i, (load(gy + i) - offset - (load(x + i) - mean) * by) * scale);
}

void max(float* best, int32_t* index, const float* x, int64_t n, int64_t step, int32_t position) {
  for (int64_t i = 0; i < n; ++i) {
    const V a = load(best + i * kB), b = load(x + i * step * kB);
    const I take = (b > a) | ((b != b) & (a == a));
    store(best + i * kB, take ? b : a);
    store(index + i * kB, take ? I{} + position : load(index + i * kB));
  }
}

void sum(float* y, const float* x, int64_t n, int64_t step) {
  for (int64_t i = 0; i < n; ++i) store(y + i * kB, load(y + i * kB) + load(x + i * step * kB));
}

void spread(float* y, const float* x, int64_t n, int64_t step) {
  for (int64_t i = 0; i < n; ++i) {
    float* to = y + i * step * kB;
    store(to, load(to) + load(x + i * kB));
  }
}

void spread_at(float* y, const float* x, const int32_t* index, int64_t n, int64_t step,
               int32_t position) {
  for (int64_t i = 0; i < n; ++i) {
    float* to = y + i * step * kB;
    const I here = load(index + i * kB) == position;
    store(to, load(to) + (here ? load(x + i * kB) : V{}));
  }
}

void scale(float* y, float by, int64_t n) {
  for (int64_t i = 0; i < n * kB; i += kB) store(y + i, load(y + i) * by);
}

// kRows rows of one or both products: sums, factors and one broadcast fit the registers.
template <int kRows, bool kBoth>
[[gnu::always_inline]] inline void product_rows(float* w0, float* w1, bool first, const float* x,
                                                const float* y0, const float* y1,
                                                const int32_t* at_x, const int32_t* at_y,
                                                int64_t n) {
  V a[kRows] = {}, b[kRows] = {};
  for (int64_t i = 0; i < n; ++i) {
    const float* row = x + at_x[i];
    const V u = load(y0 + at_y[i]), v = kBoth ? load(y1 + at_y[i]) : V{};
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const V all = all_of(row[r]);
      a[r] = fused(all, u, a[r]);
      if constexpr (kBoth) b[r] = fused(all, v, b[r]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    float *to = w0 + r * kB, *other = w1 + r * kB;
    store(to, first ? a[r] : load(to) + a[r]);
    if constexpr (kBoth) store(other, first ? b[r] : load(other) + b[r]);
  }
}

void products(float* w0, float* w1, bool first, const float* x, const float* y0, const float* y1,
              const int32_t* at_x, const int32_t* at_y, int64_t n) {
  constexpr int kRows = kB / 2;
  if (w1 == w0) return product_rows<kB, false>(w0, w1, first, x, y0, y1, at_x, at_y, n);
  for (int half = 0; half < kB; half += kRows)
    product_rows<kRows, true>(w0 + half * kB, w1 + half * kB, first, x + half, y0, y1, at_x, at_y,
                              n);
}

#if CTN_BLOCK == 16
// One element of a filter for all channels, at kT positions less those that lie beyond the image.
template <int kT, bool kLeft, bool kRight>
[[gnu::always_inline]] inline void add_tap(V (&a)[kT], V (&b)[kT], const BlockRow& r, int64_t x,
                                           int64_t w) {
  for (int64_t c = 0; c < kB; ++c) {
    const V u = load(r.w0 + (w + c * kB)), v = load(r.w1 + (w + c * kB));
#pragma GCC unroll 14
    for (int p = kLeft; p < kT - kRight; ++p) {
      const V all = all_of(r.x[x + p * kB + c]);
      a[p] = fused(all, u, a[p]);
      b[p] = fused(all, v, b[p]);
    }
  }
}

// kT positions of two blocks in registers. kLeft, kRight: at the border.
template <int kT, bool kLeft, bool kRight>
void tile(const BlockRow& r, int64_t at) {
  V a[kT] = {}, b[kT] = {};
  for (int p = 0; p < kT; ++p) __builtin_prefetch(r.ahead + at + p * kB);
  int64_t x = at, w = 0;
  for (int64_t k = 0; k < r.rows; ++k) {
    add_tap<kT, kLeft, false>(a, b, r, x - kB, w);
    add_tap<kT, false, false>(a, b, r, x, w + r.tap);
    add_tap<kT, false, kRight>(a, b, r, x + kB, w + 2 * r.tap);
    x += r.width * kB;
    w += 3 * r.tap;
  }
  float *y0 = r.y0 + at, *y1 = r.y1 + at;
#pragma GCC unroll 14
  for (int p = 0; p < kT; ++p) {
    store(y0 + p * kB, r.first ? a[p] : load(y0 + p * kB) + a[p]);
    store(y1 + p * kB, r.first ? b[p] : load(y1 + p * kB) + b[p]);
  }
}

template <int kT>
void tiles(const BlockRow& r) {
  constexpr int64_t kStep = kT * kB;
  const int64_t end = r.width * kB;
  if (end == kStep) return tile<kT, true, true>(r, 0);
  tile<kT, true, false>(r, 0);
  for (int64_t at = kStep; at < end - kStep; at += kStep) tile<kT, false, false>(r, at);
  tile<kT, false, true>(r, end - kStep);
}

void row(const BlockRow* r) {
  if (r->width % 14 == 0) return tiles<14>(*r);
  if (r->width % 8 == 0) return tiles<8>(*r);
  tile<7, true, true>(*r, 0);
}

void spot(const BlockSpot* s) {
  V a[kSpot] = {}, b[kSpot] = {};
  for (const BlockTap* t = s->taps; t != s->taps + s->n_taps; ++t) {
    const float *x = s->x + t->x, *w0 = s->w0 + t->w, *w1 = s->w1 + t->w;
    for (int64_t c = 0; c < kB; ++c) {
      const V u = load(w0 + c * kB), v = load(w1 + c * kB);
#pragma GCC unroll 8
      for (int p = 0; p < kSpot; ++p) {
        const V all = all_of(x[p * s->x_step + c]);
        a[p] = fused(all, u, a[p]);
        b[p] = fused(all, v, b[p]);
      }
    }
  }
  float *y0 = s->y0, *y1 = s->y1;
#pragma GCC unroll 8
  for (int p = 0; p < kSpot; ++p, y0 += s->y_step, y1 += s->y_step) {
    store(y0, s->first ? a[p] : load(y0) + a[p]);
    store(y1, s->first ? b[p] : load(y1) + b[p]);
  }
}
constexpr auto* kRow = &row;
constexpr auto* kSpotLoop = &spot;
#else
constexpr void (*kRow)(const BlockRow*) = nullptr;
constexpr void (*kSpotLoop)(const BlockSpot*) = nullptr;
#endif

void finish(float* y, const float* b, bool relu, int64_t n) {
  const V bias = load(b);
  for (int64_t i = 0; i < n * kB; i += kB) {
    const V v = load(y + i) + bias;
    store(y + i, relu ? (v < 0.0f ? V{} : v) : v);
  }
}

V square_root(V v) {
  float all[kB];
  store(all, v);
  for (float& f : all) f = __builtin_sqrtf(f);
  return load(all);
}

// s^-0.75
V power(V s) {
  const V root = square_root(s);
  return 1.0f / (root * square_root(root));
}

// Terms of one position: those of block b stand behind those of b - 1 and before those of b + 1.
constexpr int64_t kMostBlocks = 3;

// The window sum around block b at one position; term(block) gives its values.
template <class Term>
V window_sum(const BlockWindow& w, int64_t b, Term&& term) {
  float all[kMostBlocks * kB];
  store(all, b > 0 ? term(b - 1) : V{});
  store(all + kB, term(b));
  store(all + 2 * kB, b + 1 < w.blocks ? term(b + 1) : V{});
  V sum = load(all + kB);
  for (int64_t j = 1; j <= w.reach; ++j) sum += load(all + kB - j) + load(all + kB + j);
  return sum;
}

void normalize(float* y, float* scale, const float* x, const BlockWindow* w, int64_t n) {
  for (int64_t b = 0; b < w->blocks; ++b) {
    for (int64_t i = 0; i < n; ++i) {
      const float* p = x + i * kB;
      const V sum = window_sum(*w, b, [&](int64_t block) {
        const V v = load(p + block * w->plane);
        return v * v;
      });
      const V s = w->k + w->factor * sum;
      const int64_t at = b * w->plane + i * kB;
      store(scale + at, s);
      store(y + at, load(x + at) * power(s));
    }
  }
}

void normalize_slope(float* gx, const float* x, const float* scale, const float* gy,
                     const BlockWindow* w, int64_t n) {
  for (int64_t b = 0; b < w->blocks; ++b) {
    for (int64_t i = 0; i < n; ++i) {
      const V sum = window_sum(*w, b, [&](int64_t block) {
        const int64_t at = block * w->plane + i * kB;
        const V s = load(scale + at);
        return load(gy + at) * load(x + at) * power(s) / s;
      });
      const int64_t at = b * w->plane + i * kB;
      store(gx + at, load(gy + at) * power(load(scale + at)) - w->factor * load(x + at) * sum);
    }
  }
}

bool within(const int32_t* index, int64_t n, int32_t end) {
  I bad{};
  for (int64_t i = 0; i < n * kB; i += kB) {
    const I k = load(index + i);
    bad |= (k < 0) | (k >= end);
  }
  int32_t any = 0;
  for (int c = 0; c < kB; ++c) any |= bad[c];
  return any == 0;
}

}  // namespace

constexpr BlockLoops kBlockLoops = {
    kB,        moments,         affine, dots,     slope, max,       sum,
    spread,    spread_at,       scale,  products, kRow,  kSpotLoop, finish,
    normalize, normalize_slope, within};

}  // namespace catena::intel64::CTN_ISA
