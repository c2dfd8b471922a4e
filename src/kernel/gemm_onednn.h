/* One matrix product by oneDNN, f32; used by gemm.c only. */
#ifndef KERNEL_GEMM_ONEDNN_H
#define KERNEL_GEMM_ONEDNN_H

#include "kernel/gemm.h"

typedef struct onednn_product onednn_product;

/* Prepared for `threads` threads, and run with at most as many. `shape` has its defaults filled in;
 * not both a bias and an alpha. GARAM_UNSUPPORTED when oneDNN has no way to do it. */
garam_status onednn_product_new(onednn_product **out, const gemm_shape *shape, int threads,
                                garam_error *err);
void onednn_product_free(onednn_product *p);
size_t onednn_product_scratch(const onednn_product *p);
void onednn_product_run(onednn_product *p, float *c, const float *a, const float *b,
                        const float *bias, void *scratch);
const char *onednn_version(void);

#endif
