/* One-dimensional convolution over (B,T,I) with w (K,I,O) and optional bias (O) -> (B,T',O), by
 * gathering patches and one product. T' = (T + pad_left + pad_right - dilation (K-1) - 1) / stride
 * + 1, rounded down. */
#ifndef KERNEL_CONV_H
#define KERNEL_CONV_H

#include "kernel/gemm.h"

typedef struct conv1d_shape {
  size_t real_size;
  int64_t batch, steps, inputs, taps, outputs; /* B, T, I, K, O */
  int64_t stride, dilation, pad_left, pad_right;
  bool bias;
} conv1d_shape;

int64_t conv1d_steps(const conv1d_shape *s); /* T'; <= 0 when the kernel does not fit */

typedef struct conv1d_plan conv1d_plan;
/* `training`: the backward products are prepared too. */
garam_status conv1d_plan_new(conv1d_plan **out, const conv1d_shape *shape, bool training,
                             garam_error *err);
void conv1d_plan_free(conv1d_plan *p);
size_t conv1d_scratch(const conv1d_plan *p); /* forward and backward */
double conv1d_flops(const conv1d_plan *p);   /* of a forward run */
void conv1d_forward(conv1d_plan *p, void *y, const void *x, const void *w, const void *b,
                    void *scratch);
/* Any of dx, dw, db may be NULL. */
void conv1d_backward(conv1d_plan *p, void *dx, void *dw, void *db, const void *dy, const void *x,
                     const void *w, void *scratch);

#endif
