/* The kernels for float, compiled for AVX-512. */
#include "kernel/levels.h"

#if defined(__x86_64__)
#define real float
#define REAL(fn) fn##f
#define KERNEL_LANES 1
#include "kernel/avx512/lanes.h"
#define LANES_REAL_FMA(a, b, sum) _mm512_fmadd_ps(_mm512_set1_ps(a), b, sum)
#include "kernel/ref/table.inc"

void kernel_avx512_f32(kernel_table *t) {
  table_fill(t, "avx512");
}
#endif
