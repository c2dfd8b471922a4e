/* The tables of each instruction set, as table.c collects them. A level is linked only where its
 * processor exists. */
#ifndef KERNEL_LEVELS_H
#define KERNEL_LEVELS_H

#include "kernel/kernel.h"

void kernel_ref_f32(kernel_table *t);
void kernel_ref_f64(kernel_table *t);
#if defined(__x86_64__)
void kernel_avx2_f32(kernel_table *t);
void kernel_avx2_f64(kernel_table *t);
void kernel_avx512_f32(kernel_table *t);
void kernel_avx512_f64(kernel_table *t);
void kernel_avx512bf16_attention(kernel_table *t); /* of a table of floats: its attention */
#elif defined(__aarch64__)
void kernel_neon_f32(kernel_table *t);
void kernel_neon_f64(kernel_table *t);
#endif

#endif
