/* The reference kernels for double. */
#define real double
#define REAL(fn) fn
#include "kernel/ref/table.inc"

#include "kernel/levels.h"

void kernel_ref_f64(kernel_table *t) {
  table_fill(t, "ref");
}
