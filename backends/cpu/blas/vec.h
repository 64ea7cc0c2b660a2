// One vector register of T as the instruction set of this file's flags has it, for the dense
// kernels that are compiled once per set (CTN_ISA names it). Intrinsics only: nothing here may
// become code that files built for another set share.
//
// Beside arithmetic there is what transposition needs: shuffles that work within pieces of 128
// bits, kQuad elements each.
#pragma once

// gcc 12 takes the undefined operand of unmasked AVX-512 intrinsics for an error (PR 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif
#include <stdint.h>

namespace catena::cpu::CTN_ISA {

template <class T>
struct Vec;

#if defined(__AVX512F__)

template <>
struct Vec<float> {
  using Reg = __m512;
  static constexpr int kLanes = 16, kQuad = 4;
  static Reg zero() { return _mm512_setzero_ps(); }
  static Reg set1(float x) { return _mm512_set1_ps(x); }
  static Reg load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Reg v) { _mm512_storeu_ps(p, v); }
  // the first n lanes; the others are zero and their memory is not touched
  static Reg load_first(const float* p, int n) {
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1u), p);
  }
  // lanes low <= i < high, the others as above
  static Reg load_range(const float* p, int low, int high) {
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << high) - (1u << low)), p);
  }
  // the same of elements 2 * i
  static Reg load_even(const float* p, int low, int high) {
    const uint32_t used = low < high ? (2u << (2 * high - 2)) - (1u << (2 * low)) : 0u;
    const __m512 a = _mm512_maskz_loadu_ps(static_cast<__mmask16>(used), p);
    const __m512 b = _mm512_maskz_loadu_ps(static_cast<__mmask16>(used >> 16), p + 16);
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_permutex2var_ps(a, even, b);
  }
  static void store_first(float* p, Reg v, int n) {
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1u), v);
  }
  static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static Reg load_halves(const float* low, const float* high) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(low)), _mm256_loadu_ps(high),
                              1);
  }
  static Reg permute_pairs(Reg a, __m512i pairs, Reg b) {
    return _mm512_castpd_ps(
        _mm512_permutex2var_pd(_mm512_castps_pd(a), pairs, _mm512_castps_pd(b)));
  }
  static Reg low(Reg a, Reg b) { return _mm512_unpacklo_ps(a, b); }
  static Reg high(Reg a, Reg b) { return _mm512_unpackhi_ps(a, b); }
  static Reg low2(Reg a, Reg b) {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  }
  static Reg high2(Reg a, Reg b) {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  }
  static __m128 fold(Reg v) {  // the sum of the quads
    const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(v), high);
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  }
};

template <>
struct Vec<double> {
  using Reg = __m512d;
  static constexpr int kLanes = 8, kQuad = 2;
  static Reg zero() { return _mm512_setzero_pd(); }
  static Reg set1(double x) { return _mm512_set1_pd(x); }
  static Reg load(const double* p) { return _mm512_loadu_pd(p); }
  static void store(double* p, Reg v) { _mm512_storeu_pd(p, v); }
  static Reg load_first(const double* p, int n) {
    return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1u), p);
  }
  static Reg load_range(const double* p, int low, int high) {
    return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << high) - (1u << low)), p);
  }
  static Reg load_even(const double* p, int low, int high) {
    const uint32_t used = low < high ? (2u << (2 * high - 2)) - (1u << (2 * low)) : 0u;
    const __m512d a = _mm512_maskz_loadu_pd(static_cast<__mmask8>(used), p);
    const __m512d b = _mm512_maskz_loadu_pd(static_cast<__mmask8>(used >> 8), p + 8);
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), b);
  }
  static void store_first(double* p, Reg v, int n) {
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1u), v);
  }
  static Reg add(Reg a, Reg b) { return _mm512_add_pd(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_pd(a, b, c); }
  static Reg load_halves(const double* low, const double* high) {
    return _mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_loadu_pd(low)), _mm256_loadu_pd(high),
                              1);
  }
  static Reg permute_pairs(Reg a, __m512i pairs, Reg b) {
    return _mm512_permutex2var_pd(a, pairs, b);
  }
  static Reg low(Reg a, Reg b) { return _mm512_unpacklo_pd(a, b); }
  static Reg high(Reg a, Reg b) { return _mm512_unpackhi_pd(a, b); }
  static __m128d fold(Reg v) {
    const __m256d half = _mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd(v, 1));
    return _mm_add_pd(_mm256_castpd256_pd128(half), _mm256_extractf128_pd(half, 1));
  }
};

#elif defined(__AVX2__)

// The first n of 8 words of a row that starts with ones and goes on with zeros.
alignas(32) constexpr int32_t kFirst[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

template <>
struct Vec<float> {
  using Reg = __m256;
  static constexpr int kLanes = 8, kQuad = 4;
  static __m256i first(int n) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kFirst + 8 - n));
  }
  static Reg zero() { return _mm256_setzero_ps(); }
  static Reg set1(float x) { return _mm256_set1_ps(x); }
  static Reg load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Reg v) { _mm256_storeu_ps(p, v); }
  static Reg load_first(const float* p, int n) { return _mm256_maskload_ps(p, first(n)); }
  static Reg load_range(const float* p, int low, int high) {
    return _mm256_maskload_ps(p, _mm256_andnot_si256(first(low), first(high)));
  }
  static void store_first(float* p, Reg v, int n) { _mm256_maskstore_ps(p, first(n), v); }
  static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  static Reg load_quads(const float* const* rows, int64_t at) {
    const __m256 v = _mm256_castps128_ps256(_mm_loadu_ps(rows[0] + at));
    return _mm256_insertf128_ps(v, _mm_loadu_ps(rows[4] + at), 1);
  }
  static Reg low(Reg a, Reg b) { return _mm256_unpacklo_ps(a, b); }
  static Reg high(Reg a, Reg b) { return _mm256_unpackhi_ps(a, b); }
  static Reg low2(Reg a, Reg b) { return _mm256_shuffle_ps(a, b, 0x44); }
  static Reg high2(Reg a, Reg b) { return _mm256_shuffle_ps(a, b, 0xee); }
  static __m128 fold(Reg v) {
    return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  }
};

template <>
struct Vec<double> {
  using Reg = __m256d;
  static constexpr int kLanes = 4, kQuad = 2;
  static __m256i first(int n) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kFirst + 8 - 2 * n));
  }
  static Reg zero() { return _mm256_setzero_pd(); }
  static Reg set1(double x) { return _mm256_set1_pd(x); }
  static Reg load(const double* p) { return _mm256_loadu_pd(p); }
  static void store(double* p, Reg v) { _mm256_storeu_pd(p, v); }
  static Reg load_first(const double* p, int n) { return _mm256_maskload_pd(p, first(n)); }
  static Reg load_range(const double* p, int low, int high) {
    return _mm256_maskload_pd(p, _mm256_andnot_si256(first(low), first(high)));
  }
  static void store_first(double* p, Reg v, int n) { _mm256_maskstore_pd(p, first(n), v); }
  static Reg add(Reg a, Reg b) { return _mm256_add_pd(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_pd(a, b, c); }
  static Reg load_quads(const double* const* rows, int64_t at) {
    const __m256d v = _mm256_castpd128_pd256(_mm_loadu_pd(rows[0] + at));
    return _mm256_insertf128_pd(v, _mm_loadu_pd(rows[2] + at), 1);
  }
  static Reg low(Reg a, Reg b) { return _mm256_unpacklo_pd(a, b); }
  static Reg high(Reg a, Reg b) { return _mm256_unpackhi_pd(a, b); }
  static __m128d fold(Reg v) {
    return _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
  }
};

#else  // SSE2, the baseline of x86-64; multiplication and addition round separately

template <>
struct Vec<float> {
  using Reg = __m128;
  static constexpr int kLanes = 4, kQuad = 4;
  static Reg zero() { return _mm_setzero_ps(); }
  static Reg set1(float x) { return _mm_set1_ps(x); }
  static Reg load(const float* p) { return _mm_loadu_ps(p); }
  static void store(float* p, Reg v) { _mm_storeu_ps(p, v); }
  static Reg load_first(const float* p, int n) { return load_range(p, 0, n); }
  static Reg load_range(const float* p, int low, int high) {
    alignas(16) float v[4] = {0, 0, 0, 0};
    for (int i = low; i < high; ++i) v[i] = p[i];
    return _mm_load_ps(v);
  }
  static void store_first(float* p, Reg r, int n) {
    alignas(16) float v[4];
    _mm_store_ps(v, r);
    for (int i = 0; i < n; ++i) p[i] = v[i];
  }
  static Reg add(Reg a, Reg b) { return _mm_add_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
  static Reg load_quads(const float* const* rows, int64_t at) { return _mm_loadu_ps(rows[0] + at); }
  static Reg low(Reg a, Reg b) { return _mm_unpacklo_ps(a, b); }
  static Reg high(Reg a, Reg b) { return _mm_unpackhi_ps(a, b); }
  static Reg low2(Reg a, Reg b) { return _mm_movelh_ps(a, b); }
  static Reg high2(Reg a, Reg b) { return _mm_movehl_ps(b, a); }
  static __m128 fold(Reg v) { return v; }
};

template <>
struct Vec<double> {
  using Reg = __m128d;
  static constexpr int kLanes = 2, kQuad = 2;
  static Reg zero() { return _mm_setzero_pd(); }
  static Reg set1(double x) { return _mm_set1_pd(x); }
  static Reg load(const double* p) { return _mm_loadu_pd(p); }
  static void store(double* p, Reg v) { _mm_storeu_pd(p, v); }
  static Reg load_first(const double* p, int n) {
    return n == 2 ? _mm_loadu_pd(p) : n == 1 ? _mm_load_sd(p) : _mm_setzero_pd();
  }
  static Reg load_range(const double* p, int low, int high) {
    if (low == 0) return load_first(p, high);
    return low == 1 && high == 2 ? _mm_set_pd(p[1], 0) : _mm_setzero_pd();
  }
  static void store_first(double* p, Reg r, int n) {
    if (n == 2) _mm_storeu_pd(p, r);
    if (n == 1) _mm_store_sd(p, r);
  }
  static Reg add(Reg a, Reg b) { return _mm_add_pd(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm_add_pd(_mm_mul_pd(a, b), c); }
  static Reg load_quads(const double* const* rows, int64_t at) {
    return _mm_loadu_pd(rows[0] + at);
  }
  static Reg low(Reg a, Reg b) { return _mm_unpacklo_pd(a, b); }
  static Reg high(Reg a, Reg b) { return _mm_unpackhi_pd(a, b); }
  static __m128d fold(Reg v) { return v; }
};

#endif

// Turns kQuad vectors into their transpose within each 128 bits.
template <class T>
inline void turn(typename Vec<T>::Reg* v) {
  using V = Vec<T>;
  if constexpr (V::kQuad == 2) {
    const auto low = V::low(v[0], v[1]);
    v[1] = V::high(v[0], v[1]);
    v[0] = low;
  } else {
    const auto a = V::low(v[0], v[1]), b = V::high(v[0], v[1]);
    const auto c = V::low(v[2], v[3]), d = V::high(v[2], v[3]);
    v[0] = V::low2(a, c);
    v[1] = V::high2(a, c);
    v[2] = V::low2(b, d);
    v[3] = V::high2(b, d);
  }
}

// out[c] = element at + c of each of kLanes rows, for c < kColumns<T>.
#if defined(__AVX512F__)
template <class T>
inline constexpr int kColumns = 2 * Vec<T>::kQuad;
template <class T>
inline void columns(const T* const* rows, int64_t at, typename Vec<T>::Reg* out) {
  // Loads of 256 bits and a last shuffle across: half the time of loads of 128 bits here.
  using V = Vec<T>;
  constexpr int kQuad = V::kQuad;
  typename V::Reg v[2 * kQuad];
#pragma GCC unroll 8
  for (int r = 0; r < 2 * kQuad; ++r) v[r] = V::load_halves(rows[r] + at, rows[r + 2 * kQuad] + at);
  turn<T>(v);
  turn<T>(v + kQuad);
  const __m512i even = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
  const __m512i odd = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
#pragma GCC unroll 4
  for (int c = 0; c < kQuad; ++c) {
    out[c] = V::permute_pairs(v[c], even, v[kQuad + c]);
    out[kQuad + c] = V::permute_pairs(v[c], odd, v[kQuad + c]);
  }
}
#else
template <class T>
inline constexpr int kColumns = Vec<T>::kQuad;
template <class T>
inline void columns(const T* const* rows, int64_t at, typename Vec<T>::Reg* out) {
#pragma GCC unroll 4
  for (int r = 0; r < Vec<T>::kQuad; ++r) out[r] = Vec<T>::load_quads(rows + r, at);
  turn<T>(out);
}
#endif

}  // namespace catena::cpu::CTN_ISA
