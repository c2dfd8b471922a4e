/* Two bf16 in the place of a float: neighbours along k, whose products vdpbf16ps adds to a float.
 */
#ifndef KERNEL_AVX512BF16_PAIRS_H
#define KERNEL_AVX512BF16_PAIRS_H

#include "kernel/avx512/lanes.h"

/* c + a b, of both items of each pair */
static inline __attribute__((always_inline)) vf pairs_fma(vf a, vf b, vf c) {
  return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}

/* 32 floats to bf16, to nearest even, those of `low` first */
static inline __m512i pairs_round(vf low, vf high) {
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* items of the lower half and of the upper half in turns */
static inline __m512i pairs_of_halves(__m512i halves) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, halves);
}

#endif
