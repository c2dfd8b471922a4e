/* The words that simd/ is written in, for AVX2 and FMA: 8 floats at a time. See
 * avx512/lanes.h. */
#ifndef KERNEL_AVX2_LANES_H
#define KERNEL_AVX2_LANES_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 8, LANES_TILE_ROWS = 6, LANES_TILE_VECTORS = 2 };
#define LANES_TILE_WIDE 0

typedef __m256 vf;
typedef __m256i vi;
typedef __m256d vd;
typedef __m256 vm; /* all bits of a lane */

static inline vf vf_all(float x) {
  return _mm256_set1_ps(x);
}
static inline vf vf_load(const float *p) {
  return _mm256_loadu_ps(p);
}
static inline void vf_store(float *p, vf x) {
  _mm256_storeu_ps(p, x);
}
static inline bool vm_any(vm m) {
  return _mm256_movemask_ps(m) != 0;
}
static inline vm vm_first(size_t n) {
  return _mm256_castsi256_ps(
      _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)));
}
static inline vf vf_load_part(const float *p, size_t n) {
  return _mm256_maskload_ps(p, _mm256_castps_si256(vm_first(n)));
}
/* By halves of what is left: a store under a mask is some twenty operations on AMD's processors. */
static inline void vf_store_part(float *p, vf x, size_t n) {
  __m128 low = _mm256_castps256_ps128(x);
  if (n & 4) {
    _mm_storeu_ps(p, low);
    low = _mm256_extractf128_ps(x, 1);
    p += 4;
  }
  if (n & 2) {
    _mm_storel_pi((__m64 *)(void *)p, low);
    low = _mm_movehl_ps(low, low);
    p += 2;
  }
  if (n & 1) _mm_store_ss(p, low);
}
static inline vf vf_fma(vf a, vf b, vf c) {
  return _mm256_fmadd_ps(a, b, c);
}
static inline vf vf_max(vf a, vf b) {
  return _mm256_max_ps(a, b);
}
static inline vf vf_min(vf a, vf b) {
  return _mm256_min_ps(a, b);
}
static inline vf vf_abs(vf x) {
  return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}
static inline vf vf_copysign(vf x, vf sign) {
  return _mm256_or_ps(x, _mm256_and_ps(sign, _mm256_set1_ps(-0.0f)));
}
static inline vf vf_round(vf x) {
  return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf vf_power2(vi n) { /* -126 <= n <= 127 */
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
static inline vf vf_scale2(vf x, vf n) { /* in two steps, so that both factors are floats */
  vi whole = _mm256_cvtps_epi32(vf_min(vf_max(n, vf_all(-252)), vf_all(252)));
  vi half = _mm256_srai_epi32(whole, 1);
  return _mm256_mul_ps(_mm256_mul_ps(x, vf_power2(half)), vf_power2(_mm256_sub_epi32(whole, half)));
}
static inline vf vf_power(vf p, vf n, vf x) {
  vi bits = _mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23));
  return _mm256_andnot_ps(_mm256_cmp_ps(x, _mm256_set1_ps(-126), _CMP_LT_OQ),
                          _mm256_castsi256_ps(bits));
}
static inline void vf_transpose(vf x[LANES]) {
  vf y[LANES];
  for (int i = 0; i < 8; i += 4) {
    vf a = _mm256_unpacklo_ps(x[i], x[i + 1]), b = _mm256_unpackhi_ps(x[i], x[i + 1]);
    vf c = _mm256_unpacklo_ps(x[i + 2], x[i + 3]), d = _mm256_unpackhi_ps(x[i + 2], x[i + 3]);
    y[i] = _mm256_shuffle_ps(a, c, 0x44);
    y[i + 1] = _mm256_shuffle_ps(a, c, 0xEE);
    y[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
    y[i + 3] = _mm256_shuffle_ps(b, d, 0xEE);
  }
  for (int i = 0; i < 4; i++) {
    x[i] = _mm256_permute2f128_ps(y[i], y[i + 4], 0x20);
    x[i + 4] = _mm256_permute2f128_ps(y[i], y[i + 4], 0x31);
  }
}
static inline float vf_sum(vf x) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
static inline float vf_top(vf x) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
static inline vm vf_less(vf a, vf b) {
  return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
static inline vm vf_at_least(vf a, vf b) {
  return _mm256_cmp_ps(a, b, _CMP_GE_OQ);
}
static inline vf vf_where(vm m, vf yes, vf no) {
  return _mm256_blendv_ps(no, yes, m);
}

static inline vd vd_zero(void) {
  return _mm256_setzero_pd();
}
static inline vd vd_add_squares(vd sum, vf x) {
  vd low = _mm256_cvtps_pd(_mm256_castps256_ps128(x));
  vd high = _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
  return _mm256_fmadd_pd(high, high, _mm256_fmadd_pd(low, low, sum));
}
static inline double vd_sum(vd x) {
  __m128d s = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1));
  return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
}

static inline vi vi_all(uint32_t x) {
  return _mm256_set1_epi32((int)x);
}
static inline vi vi_add(vi a, vi b) {
  return _mm256_add_epi32(a, b);
}
static inline vi vi_and(vi a, vi b) {
  return _mm256_and_si256(a, b);
}
static inline vi vi_xor(vi a, vi b) {
  return _mm256_xor_si256(a, b);
}
static inline vi vi_shift_left(vi x, int n) {
  return _mm256_slli_epi32(x, n);
}
static inline vi vi_shift_right(vi x, int n) { /* zeros come in */
  return _mm256_srli_epi32(x, n);
}
static inline vi vi_where(vm m, vi yes, vi no) {
  return _mm256_blendv_epi8(no, yes, _mm256_castps_si256(m));
}
static inline vi vi_count(vi n, vm m) { /* one more where m */
  return _mm256_sub_epi32(n, _mm256_castps_si256(m));
}
static inline vi vi_of_bits(vf x) {
  return _mm256_castps_si256(x);
}
static inline vf vf_of_bits(vi x) {
  return _mm256_castsi256_ps(x);
}
static inline vf vf_from_vi(vi x) { /* signed words */
  return _mm256_cvtepi32_ps(x);
}
static inline vi vi_from_vf(vf x) { /* towards zero */
  return _mm256_cvttps_epi32(x);
}
static inline vi vi_load_bytes(const uint8_t *p) { /* LANES bytes, a word each */
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)p));
}
static inline void vi_store_bytes(uint8_t *p, vi x) { /* words below 256 */
  __m128i pairs = _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  _mm_storel_epi64((void *)p, _mm_packus_epi16(pairs, pairs));
}
static inline vf vf_pick8(const float table[8], vi index) { /* table[index % 8] */
  return _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), index);
}
static inline vi vi_xor3(vi a, vi b, vi c) {
  return _mm256_xor_si256(_mm256_xor_si256(a, b), c);
}
static inline vi vi_all64(uint64_t x) {
  return _mm256_set1_epi64x((long long)x);
}
static inline vi vi_multiply_low(vi a, vi b) {
  return _mm256_mul_epu32(a, b);
}
static inline vi vi_high(vi x) {
  return _mm256_shuffle_epi32(x, 0xF5);
}
static inline vi vi_pairs(vi low, vi high) {
  return _mm256_blend_epi32(low, _mm256_slli_epi64(high, 32), 0xAA);
}
static inline vi vi_counters(void) {
  return _mm256_setr_epi64x(0, 2, 1, 3);
}
static inline vi vi_pairs_even(vi a, vi b) {
  return _mm256_unpacklo_epi64(a, b);
}
static inline vi vi_pairs_odd(vi a, vi b) {
  return _mm256_unpackhi_epi64(a, b);
}
static inline vi vi_all16(uint16_t x) {
  return _mm256_set1_epi16((short)x);
}
static inline void vm_at_least16(vm out[2], vi x, vi y) {
  vi all = _mm256_cmpeq_epi16(_mm256_max_epu16(x, y), x);
  out[0] = _mm256_castsi256_ps(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(all)));
  out[1] = _mm256_castsi256_ps(_mm256_cvtepi16_epi32(_mm256_extracti128_si256(all, 1)));
}

#endif
