/* LSTM and GRU over whole sequences: x (B,T,I) -> y (B,T,H). The product with W is one over
 * all steps; only the product with U waits for the step before.
 *
 * LSTM (Hochreiter & Schmidhuber 1997, with forget gate): w (I,4H), u (H,4H), b (4H), gates in the
 * order i f g o. GRU (Cho et al. 2014, PyTorch's form): w (I,3H), u (H,3H), b and bu (3H), gates
 * r z n, n = tanh(xW + b + r (hU + bu)), h = (1-z) n + z h. */
#ifndef KERNEL_RNN_H
#define KERNEL_RNN_H

#include "kernel/gemm.h"

typedef enum rnn_kind { RNN_LSTM, RNN_GRU } rnn_kind;

typedef struct rnn_shape {
  rnn_kind kind;
  size_t real_size;
  int64_t batch, steps, inputs, hidden; /* B, T, I, H */
  gemm_precision precision;
} rnn_shape;

typedef struct rnn_plan rnn_plan;
/* `training`: the backward products are prepared too. */
garam_status rnn_plan_new(rnn_plan **out, const rnn_shape *shape, bool training, garam_error *err);
void rnn_plan_free(rnn_plan *p);
size_t rnn_scratch(const rnn_plan *p); /* bytes; forward and backward */
size_t rnn_kept(const rnn_plan *p);    /* items that forward keeps for backward */
double rnn_flops(const rnn_plan *p);   /* of a forward run */

/* b, bu, h0, c0 may be NULL (zeros). LSTM has no bu, GRU no c0. */
typedef struct rnn_weights {
  const void *w, *u, *b, *bu, *h0, *c0;
} rnn_weights;
typedef struct rnn_gradients {
  void *dx, *dw, *du, *db, *dbu, *dh0, *dc0; /* any may be NULL */
} rnn_gradients;

void rnn_forward(rnn_plan *p, void *y, void *kept, const void *x, const rnn_weights *weights,
                 void *scratch);
/* dy (B,T,H); y and kept are forward's. */
void rnn_backward(rnn_plan *p, const rnn_gradients *gradients, const void *dy, const void *x,
                  const void *y, const void *kept, const rnn_weights *weights, void *scratch);

#endif
