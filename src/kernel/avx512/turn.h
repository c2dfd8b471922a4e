/* Rows into columns, sixteen floats at a time. */
#ifndef KERNEL_AVX512_TURN_H
#define KERNEL_AVX512_TURN_H

#include <immintrin.h>

/* Items q .. q + 3 of sixteen rows as four lines of sixteen. A quarter of a register is loaded from
 * each of four rows, so that half of the way is done by loads. */
static inline void turn_four(__m512 line[4], const float *const row[16], int q) {
  __m512 v[4];
  for (int i = 0; i < 4; i++) {
    v[i] = _mm512_castps128_ps512(_mm_loadu_ps(row[i] + q));
    v[i] = _mm512_insertf32x4(v[i], _mm_loadu_ps(row[i + 4] + q), 1);
    v[i] = _mm512_insertf32x4(v[i], _mm_loadu_ps(row[i + 8] + q), 2);
    v[i] = _mm512_insertf32x4(v[i], _mm_loadu_ps(row[i + 12] + q), 3);
  }
  __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(v[0], v[1]));
  __m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(v[0], v[1]));
  __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(v[2], v[3]));
  __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(v[2], v[3]));
  line[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
  line[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
  line[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
  line[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
}

#endif
