/* The kernels for double, compiled for AVX-512. */
#include "kernel/levels.h"

#if defined(__x86_64__)
#define real double
#define REAL(fn) fn
#include <immintrin.h>
#define LANES_REAL_FMA(a, b, sum) _mm512_fmadd_pd(_mm512_set1_pd(a), b, sum)
#include "kernel/ref/table.inc"

void kernel_avx512_f64(kernel_table *t) {
  table_fill(t, "avx512");
}
#endif
