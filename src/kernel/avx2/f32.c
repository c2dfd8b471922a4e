/* The kernels for float, compiled for AVX2. */
#include "kernel/levels.h"

#if defined(__x86_64__)
#define real float
#define REAL(fn) fn##f
#define KERNEL_LANES 1
#include "kernel/avx2/lanes.h"
#define LANES_REAL_FMA(a, b, sum) _mm256_fmadd_ps(_mm256_set1_ps(a), b, sum)
#include "kernel/ref/table.inc"

void kernel_avx2_f32(kernel_table *t) {
  table_fill(t, "avx2");
}
#endif
