/* The words that simd/ is written in, for AVX-512: 16 floats at a time. avx2/lanes.h has the
 * same words. */
#ifndef KERNEL_AVX512_LANES_H
#define KERNEL_AVX512_LANES_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 16, LANES_TILE_ROWS = 6, LANES_TILE_VECTORS = 4 };
#define LANES_TILE_WIDE 1

typedef __m512 vf;    /* floats */
typedef __m512i vi;   /* 32-bit words */
typedef __m512d vd;   /* half as many doubles */
typedef __mmask16 vm; /* a truth for each lane */

static inline vf vf_all(float x) {
  return _mm512_set1_ps(x);
}
static inline vf vf_load(const float *p) {
  return _mm512_loadu_ps(p);
}
static inline void vf_store(float *p, vf x) {
  _mm512_storeu_ps(p, x);
}
/* The first n lanes, 0 < n < LANES; the others are zero, or stay as they are in memory. */
static inline vf vf_load_part(const float *p, size_t n) {
  return _mm512_maskz_loadu_ps((vm)((1u << n) - 1), p);
}
static inline void vf_store_part(float *p, vf x, size_t n) {
  _mm512_mask_storeu_ps(p, (vm)((1u << n) - 1), x);
}
static inline vf vf_fma(vf a, vf b, vf c) { /* a b + c */
  return _mm512_fmadd_ps(a, b, c);
}
static inline vf vf_max(vf a, vf b) { /* b where either is NaN */
  return _mm512_max_ps(a, b);
}
static inline vf vf_min(vf a, vf b) {
  return _mm512_min_ps(a, b);
}
static inline vf vf_abs(vf x) {
  return _mm512_abs_ps(x);
}
static inline vf vf_copysign(vf x, vf sign) { /* x >= 0 */
  return _mm512_castsi512_ps(_mm512_or_si512(
      _mm512_castps_si512(x),
      _mm512_and_si512(_mm512_castps_si512(sign), _mm512_set1_epi32((int)0x80000000u))));
}
static inline vf vf_round(vf x) {
  return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf vf_scale2(vf x, vf n) { /* x 2^n; 0 and infinity where that leaves the floats */
  return _mm512_scalef_ps(x, n);
}
/* p 2^n for p near 1 and a whole n, where x >= -126; else 0. NaN in p or x shows. */
static inline vf vf_power(vf p, vf n, vf x) {
  return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(-126), _CMP_NLT_UQ), p, n);
}
/* Row i of a square of LANES vectors becomes its column i. */
static inline void vf_transpose(vf x[LANES]) {
  vf y[LANES];
  for (int i = 0; i < 16; i += 4) { /* squares of four, in the four parts of a vector */
    vf a = _mm512_unpacklo_ps(x[i], x[i + 1]), b = _mm512_unpackhi_ps(x[i], x[i + 1]);
    vf c = _mm512_unpacklo_ps(x[i + 2], x[i + 3]), d = _mm512_unpackhi_ps(x[i + 2], x[i + 3]);
    y[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(c)));
    y[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(c)));
    y[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(b), _mm512_castps_pd(d)));
    y[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(b), _mm512_castps_pd(d)));
  }
  for (int i = 0; i < 4; i++) { /* and the parts among themselves */
    vf a = _mm512_shuffle_f32x4(y[i], y[i + 4], 0x88),
       b = _mm512_shuffle_f32x4(y[i], y[i + 4], 0xDD);
    vf c = _mm512_shuffle_f32x4(y[i + 8], y[i + 12], 0x88);
    vf d = _mm512_shuffle_f32x4(y[i + 8], y[i + 12], 0xDD);
    x[i] = _mm512_shuffle_f32x4(a, c, 0x88);
    x[i + 8] = _mm512_shuffle_f32x4(a, c, 0xDD);
    x[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
    x[i + 12] = _mm512_shuffle_f32x4(b, d, 0xDD);
  }
}
static inline float vf_sum(vf x) {
  return _mm512_reduce_add_ps(x);
}
static inline float vf_top(vf x) {
  return _mm512_reduce_max_ps(x);
}
static inline vm vf_less(vf a, vf b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
static inline vm vf_at_least(vf a, vf b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
}
static inline vf vf_where(vm m, vf yes, vf no) {
  return _mm512_mask_blend_ps(m, no, yes);
}
static inline bool vm_any(vm m) {
  return m != 0;
}
static inline vm vm_first(size_t n) { /* lanes below n, n <= LANES */
  return (vm)((1u << n) - 1);
}

/* sum + x^2 in double, both halves of x */
static inline vd vd_zero(void) {
  return _mm512_setzero_pd();
}
static inline vd vd_add_squares(vd sum, vf x) {
  vd low = _mm512_cvtps_pd(_mm512_castps512_ps256(x));
  vd high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
  return _mm512_fmadd_pd(high, high, _mm512_fmadd_pd(low, low, sum));
}
static inline double vd_sum(vd x) {
  return _mm512_reduce_add_pd(x);
}

static inline vi vi_all(uint32_t x) {
  return _mm512_set1_epi32((int)x);
}
static inline vi vi_add(vi a, vi b) {
  return _mm512_add_epi32(a, b);
}
static inline vi vi_and(vi a, vi b) {
  return _mm512_and_si512(a, b);
}
static inline vi vi_xor(vi a, vi b) {
  return _mm512_xor_si512(a, b);
}
static inline vi vi_shift_left(vi x, int n) {
  return _mm512_slli_epi32(x, (unsigned)n);
}
static inline vi vi_shift_right(vi x, int n) { /* zeros come in */
  return _mm512_srli_epi32(x, (unsigned)n);
}
static inline vi vi_where(vm m, vi yes, vi no) {
  return _mm512_mask_blend_epi32(m, no, yes);
}
static inline vi vi_count(vi n, vm m) { /* one more where m */
  return _mm512_mask_add_epi32(n, m, n, _mm512_set1_epi32(1));
}
static inline vi vi_of_bits(vf x) {
  return _mm512_castps_si512(x);
}
static inline vf vf_of_bits(vi x) {
  return _mm512_castsi512_ps(x);
}
static inline vf vf_from_vi(vi x) { /* signed words */
  return _mm512_cvtepi32_ps(x);
}
static inline vi vi_from_vf(vf x) { /* towards zero */
  return _mm512_cvttps_epi32(x);
}
static inline vi vi_load_bytes(const uint8_t *p) { /* LANES bytes, a word each */
  return _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)p));
}
static inline void vi_store_bytes(uint8_t *p, vi x) { /* words below 256 */
  _mm_storeu_si128((void *)p, _mm512_cvtepi32_epi8(x));
}
static inline vf vf_pick8(const float table[8], vi index) { /* table[index % 8] */
  return _mm512_permutexvar_ps(index, _mm512_broadcast_f32x8(_mm256_loadu_ps(table)));
}
static inline vi vi_xor3(vi a, vi b, vi c) {
  return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}
/* Lanes of 64 bits: pairs of words. */
static inline vi vi_all64(uint64_t x) {
  return _mm512_set1_epi64((long long)x);
}
static inline vi vi_multiply_low(vi a, vi b) { /* of the low words, to 64 bits */
  return _mm512_mul_epu32(a, b);
}
static inline vi vi_high(vi x) { /* the high word in the low place */
  return _mm512_shuffle_epi32(x, (_MM_PERM_ENUM)0xF5);
}
static inline vi vi_pairs(vi low, vi high) { /* of their low words */
  return _mm512_mask_shuffle_epi32(low, 0xAAAA, high, (_MM_PERM_ENUM)0xA0);
}
/* Offsets of counters in such an order that pairs_even and pairs_odd of two vectors have the words
 * of the first and of the second half of the counters, in order. */
static inline vi vi_counters(void) {
  return _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
}
static inline vi vi_pairs_even(vi a, vi b) {
  return _mm512_unpacklo_epi64(a, b);
}
static inline vi vi_pairs_odd(vi a, vi b) {
  return _mm512_unpackhi_epi64(a, b);
}
/* Lanes of 16 bits. */
static inline vi vi_all16(uint16_t x) {
  return _mm512_set1_epi16((short)x);
}
/* Where 2 LANES of them are not below y, unsigned, as the truths of 2 vectors of floats. */
static inline void vm_at_least16(vm out[2], vi x, vi y) {
  __mmask32 all = _mm512_cmpge_epu16_mask(x, y);
  out[0] = (vm)all;
  out[1] = (vm)(all >> 16);
}

#endif
