/* The kernels for float, in AArch64's Advanced SIMD. */
#include "kernel/levels.h"

#if defined(__aarch64__)
#define real float
#define REAL(fn) fn##f
#define KERNEL_LANES 1
#include "kernel/neon/lanes.h"
#define LANES_REAL_FMA(a, b, sum) vfmaq_n_f32(sum, b, a)
#include "kernel/ref/table.inc"

void kernel_neon_f32(kernel_table *t) {
  table_fill(t, "neon");
}
#endif
