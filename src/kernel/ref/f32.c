/* The reference kernels for float. */
#define real float
#define REAL(fn) fn##f
#include "kernel/ref/table.inc"

#include "kernel/levels.h"

void kernel_ref_f32(kernel_table *t) {
  table_fill(t, "ref");
}
