/* The kernels for double: what the reference's source becomes on AArch64. */
#include "kernel/levels.h"

#if defined(__aarch64__)
#define real double
#define REAL(fn) fn
#include "kernel/ref/table.inc"

void kernel_neon_f64(kernel_table *t) {
  table_fill(t, "neon");
}
#endif
