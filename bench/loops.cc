// The machine's limits as loops: see loops.h. BENCH_ISA names the instruction set of this build.
#include "loops.h"

#include <immintrin.h>

namespace bench::BENCH_ISA {
namespace {

#if defined(__AVX512F__)
struct Vec {
  using T = __m512;
  static T all(float v) { return _mm512_set1_ps(v); }
  static T load(const float* p) { return _mm512_load_ps(p); }
  static void store(float* p, T v) { _mm512_store_ps(p, v); }
  static void stream(float* p, T v) { _mm512_stream_ps(p, v); }
  static T add(T a, T b) { return _mm512_add_ps(a, b); }
  static T multiply_add(T a, T b, T c) { return _mm512_fmadd_ps(a, b, c); }
};
constexpr const char* kIsa = "avx512";
#elif defined(__AVX2__)
struct Vec {
  using T = __m256;
  static T all(float v) { return _mm256_set1_ps(v); }
  static T load(const float* p) { return _mm256_load_ps(p); }
  static void store(float* p, T v) { _mm256_store_ps(p, v); }
  static void stream(float* p, T v) { _mm256_stream_ps(p, v); }
  static T add(T a, T b) { return _mm256_add_ps(a, b); }
  static T multiply_add(T a, T b, T c) { return _mm256_fmadd_ps(a, b, c); }
};
constexpr const char* kIsa = "avx2";
#else
struct Vec {
  using T = __m128;
  static T all(float v) { return _mm_set1_ps(v); }
  static T load(const float* p) { return _mm_load_ps(p); }
  static void store(float* p, T v) { _mm_store_ps(p, v); }
  static void stream(float* p, T v) { _mm_stream_ps(p, v); }
  static T add(T a, T b) { return _mm_add_ps(a, b); }
  static T multiply_add(T a, T b, T c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
};
constexpr const char* kIsa = "sse2";
#endif

constexpr size_t kWidth = sizeof(Vec::T) / sizeof(float);

// Makes the compiler believe that the value is used.
void use(Vec::T v) { asm volatile("" ::"x"(v)); }
void use_memory() { asm volatile("" ::: "memory"); }

double multiply_add(int64_t rounds) {
  // Enough chains to hide the latency of two units: 2 * 4 at least; registers for 12.
  constexpr int kChains = 12;
  const Vec::T a = Vec::all(1.0000001f), b = Vec::all(1e-9f);
  Vec::T r[kChains];
  for (Vec::T& v : r) v = Vec::all(1.0f);
  for (int64_t i = 0; i < rounds; ++i)
    for (Vec::T& v : r) v = Vec::multiply_add(v, a, b);
  for (const Vec::T& v : r) use(v);
  return 2.0 * kChains * static_cast<double>(kWidth) * static_cast<double>(rounds);
}

void read(const float* a, size_t n) {
  Vec::T sum[4] = {Vec::all(0), Vec::all(0), Vec::all(0), Vec::all(0)};
  for (size_t i = 0; i < n; i += 4 * kWidth)
    for (size_t k = 0; k < 4; ++k) sum[k] = Vec::add(sum[k], Vec::load(a + i + k * kWidth));
  for (const Vec::T& v : sum) use(v);
}

void copy(float* to, const float* a, size_t n) {
  for (size_t i = 0; i < n; i += kWidth) Vec::store(to + i, Vec::load(a + i));
  use_memory();
}

void copy_past_cache(float* to, const float* a, size_t n) {
  for (size_t i = 0; i < n; i += kWidth) Vec::stream(to + i, Vec::load(a + i));
  _mm_sfence();
}

void triad(float* to, const float* a, const float* b, size_t n) {
  const Vec::T three = Vec::all(3.0f);
  for (size_t i = 0; i < n; i += kWidth)
    Vec::store(to + i, Vec::multiply_add(three, Vec::load(a + i), Vec::load(b + i)));
  use_memory();
}

}  // namespace

constinit const Loops kLoops = {kIsa, multiply_add, read, copy, copy_past_cache, triad};

}  // namespace bench::BENCH_ISA
