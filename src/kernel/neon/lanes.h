/* The words that simd/ is written in, for AArch64's Advanced SIMD: 4 floats at a time. See
 * avx512/lanes.h. */
#ifndef KERNEL_NEON_LANES_H
#define KERNEL_NEON_LANES_H

#include <arm_neon.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 4, LANES_TILE_ROWS = 4, LANES_TILE_VECTORS = 4 };
#define LANES_TILE_WIDE 1

typedef float32x4_t vf;
typedef uint32x4_t vi;
typedef float64x2_t vd;
typedef uint32x4_t vm; /* all bits of a lane */

static inline vf vf_all(float x) {
  return vdupq_n_f32(x);
}
static inline vf vf_load(const float *p) {
  return vld1q_f32(p);
}
static inline void vf_store(float *p, vf x) {
  vst1q_f32(p, x);
}
static inline bool vm_any(vm m) {
  return vmaxvq_u32(m) != 0;
}
static inline vm vm_first(size_t n) {
  static const uint32_t lane[4] = {0, 1, 2, 3};
  return vcltq_u32(vld1q_u32(lane), vdupq_n_u32((uint32_t)n));
}
static inline vf vf_load_part(const float *p, size_t n) {
  float x[4] = {0};
  memcpy(x, p, (n & 3) * sizeof *x);
  return vld1q_f32(x);
}
static inline void vf_store_part(float *p, vf x, size_t n) {
  float y[4];
  vst1q_f32(y, x);
  memcpy(p, y, (n & 3) * sizeof *y);
}
static inline vf vf_fma(vf a, vf b, vf c) {
  return vfmaq_f32(c, a, b);
}
static inline vf vf_max(vf a, vf b) { /* NaN where either is */
  return vmaxq_f32(a, b);
}
static inline vf vf_min(vf a, vf b) {
  return vminq_f32(a, b);
}
static inline vf vf_abs(vf x) {
  return vabsq_f32(x);
}
static inline vf vf_copysign(vf x, vf sign) {
  return vbslq_f32(vdupq_n_u32(0x80000000u), sign, x);
}
static inline vf vf_round(vf x) {
  return vrndnq_f32(x);
}
static inline vf vf_power2(int32x4_t n) { /* -126 <= n <= 127 */
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}
static inline vf vf_scale2(vf x, vf n) {
  int32x4_t whole = vcvtnq_s32_f32(vf_min(vf_max(n, vf_all(-252)), vf_all(252)));
  int32x4_t half = vshrq_n_s32(whole, 1);
  return vmulq_f32(vmulq_f32(x, vf_power2(half)), vf_power2(vsubq_s32(whole, half)));
}
static inline vf vf_power(vf p, vf n, vf x) {
  int32x4_t bits = vaddq_s32(vreinterpretq_s32_f32(p), vshlq_n_s32(vcvtnq_s32_f32(n), 23));
  bits = vbslq_s32(vmvnq_u32(vceqq_f32(x, x)), vreinterpretq_s32_f32(x), bits); /* NaN */
  return vreinterpretq_f32_u32(
      vbicq_u32(vreinterpretq_u32_s32(bits), vcltq_f32(x, vdupq_n_f32(-126))));
}
static inline void vf_transpose(vf x[LANES]) {
  vf a = vtrn1q_f32(x[0], x[1]), b = vtrn2q_f32(x[0], x[1]);
  vf c = vtrn1q_f32(x[2], x[3]), d = vtrn2q_f32(x[2], x[3]);
  x[0] = vreinterpretq_f32_f64(vtrn1q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(c)));
  x[1] = vreinterpretq_f32_f64(vtrn1q_f64(vreinterpretq_f64_f32(b), vreinterpretq_f64_f32(d)));
  x[2] = vreinterpretq_f32_f64(vtrn2q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(c)));
  x[3] = vreinterpretq_f32_f64(vtrn2q_f64(vreinterpretq_f64_f32(b), vreinterpretq_f64_f32(d)));
}
static inline float vf_sum(vf x) {
  return vaddvq_f32(x);
}
static inline float vf_top(vf x) {
  return vmaxvq_f32(x);
}
static inline vm vf_less(vf a, vf b) {
  return vcltq_f32(a, b);
}
static inline vm vf_at_least(vf a, vf b) {
  return vcgeq_f32(a, b);
}
static inline vf vf_where(vm m, vf yes, vf no) {
  return vbslq_f32(m, yes, no);
}

static inline vd vd_zero(void) {
  return vdupq_n_f64(0);
}
static inline vd vd_add_squares(vd sum, vf x) {
  vd low = vcvt_f64_f32(vget_low_f32(x)), high = vcvt_high_f64_f32(x);
  return vfmaq_f64(vfmaq_f64(sum, low, low), high, high);
}
static inline double vd_sum(vd x) {
  return vaddvq_f64(x);
}

static inline vi vi_all(uint32_t x) {
  return vdupq_n_u32(x);
}
static inline vi vi_add(vi a, vi b) {
  return vaddq_u32(a, b);
}
static inline vi vi_and(vi a, vi b) {
  return vandq_u32(a, b);
}
static inline vi vi_xor(vi a, vi b) {
  return veorq_u32(a, b);
}
static inline vi vi_shift_left(vi x, int n) {
  return vshlq_u32(x, vdupq_n_s32(n));
}
static inline vi vi_shift_right(vi x, int n) { /* zeros come in */
  return vshlq_u32(x, vdupq_n_s32(-n));
}
static inline vi vi_where(vm m, vi yes, vi no) {
  return vbslq_u32(m, yes, no);
}
static inline vi vi_count(vi n, vm m) { /* one more where m */
  return vsubq_u32(n, m);
}
static inline vi vi_of_bits(vf x) {
  return vreinterpretq_u32_f32(x);
}
static inline vf vf_of_bits(vi x) {
  return vreinterpretq_f32_u32(x);
}
static inline vf vf_from_vi(vi x) { /* signed words */
  return vcvtq_f32_s32(vreinterpretq_s32_u32(x));
}
static inline vi vi_from_vf(vf x) { /* towards zero */
  return vreinterpretq_u32_s32(vcvtq_s32_f32(x));
}
static inline vi vi_load_bytes(const uint8_t *p) { /* LANES bytes, a word each */
  uint8_t bytes[8] = {0};
  memcpy(bytes, p, LANES);
  return vmovl_u16(vget_low_u16(vmovl_u8(vld1_u8(bytes))));
}
static inline void vi_store_bytes(uint8_t *p, vi x) { /* words below 256 */
  uint16x4_t halves = vmovn_u32(x);
  uint8_t bytes[8];
  vst1_u8(bytes, vmovn_u16(vcombine_u16(halves, halves)));
  memcpy(p, bytes, LANES);
}
static inline vf vf_pick8(const float table[8], vi index) { /* table[index % 8] */
  uint8x16x2_t bytes = {
      {vreinterpretq_u8_f32(vld1q_f32(table)), vreinterpretq_u8_f32(vld1q_f32(table + 4))}};
  vi at = vmlaq_u32(vdupq_n_u32(0x03020100u), vandq_u32(index, vdupq_n_u32(7)),
                    vdupq_n_u32(0x04040404u));
  return vreinterpretq_f32_u8(vqtbl2q_u8(bytes, vreinterpretq_u8_u32(at)));
}
static inline vi vi_xor3(vi a, vi b, vi c) {
  return veorq_u32(veorq_u32(a, b), c);
}

static inline vi vi_all64(uint64_t x) {
  return vreinterpretq_u32_u64(vdupq_n_u64(x));
}
static inline vi vi_multiply_low(vi a, vi b) {
  uint32x2_t x = vmovn_u64(vreinterpretq_u64_u32(a)), y = vmovn_u64(vreinterpretq_u64_u32(b));
  return vreinterpretq_u32_u64(vmull_u32(x, y));
}
static inline vi vi_high(vi x) {
  return vreinterpretq_u32_u64(vshrq_n_u64(vreinterpretq_u64_u32(x), 32));
}
static inline vi vi_pairs(vi low, vi high) {
  return vtrn1q_u32(low, high);
}
static inline vi vi_counters(void) {
  static const uint64_t order[2] = {0, 1};
  return vreinterpretq_u32_u64(vld1q_u64(order));
}
static inline vi vi_pairs_even(vi a, vi b) {
  return vreinterpretq_u32_u64(vzip1q_u64(vreinterpretq_u64_u32(a), vreinterpretq_u64_u32(b)));
}
static inline vi vi_pairs_odd(vi a, vi b) {
  return vreinterpretq_u32_u64(vzip2q_u64(vreinterpretq_u64_u32(a), vreinterpretq_u64_u32(b)));
}
static inline vi vi_all16(uint16_t x) {
  return vreinterpretq_u32_u16(vdupq_n_u16(x));
}
static inline void vm_at_least16(vm out[2], vi x, vi y) {
  int16x8_t all =
      vreinterpretq_s16_u16(vcgeq_u16(vreinterpretq_u16_u32(x), vreinterpretq_u16_u32(y)));
  out[0] = vreinterpretq_u32_s32(vmovl_s16(vget_low_s16(all)));
  out[1] = vreinterpretq_u32_s32(vmovl_high_s16(all));
}

#endif
