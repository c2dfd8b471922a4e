/* Every op that a graph can hold, as the functions that append them. Shapes are given as in
 * (B,T,C); the last axis is the one that lies densely in memory. All return a poison tensor
 * after the first error. Each op is one record (op_*.c, listed in ops.def): name, shape rule,
 * gradient rule, reference kernel, FLOPs and bytes. */
#ifndef GRAPH_OP_H
#define GRAPH_OP_H

#include "graph/graph.h"

/* ---- arithmetic: numpy broadcasting ---- */
tensor *op_add(tensor *a, tensor *b);
tensor *op_sub(tensor *a, tensor *b);
tensor *op_mul(tensor *a, tensor *b);
tensor *op_div(tensor *a, tensor *b);
tensor *op_maximum(tensor *a, tensor *b);
tensor *op_minimum(tensor *a, tensor *b);
tensor *op_scale(tensor *a, double factor, double offset); /* a * factor + offset */

/* ---- one operand ---- */
tensor *op_neg(tensor *a);
tensor *op_exp(tensor *a);
tensor *op_log(tensor *a);
tensor *op_sqrt(tensor *a);
tensor *op_square(tensor *a);
tensor *op_abs(tensor *a);
tensor *op_relu(tensor *a);
tensor *op_gelu(tensor *a); /* exact, by erf (Hendrycks & Gimpel 2016) */
tensor *op_silu(tensor *a);
tensor *op_tanh(tensor *a);
tensor *op_sigmoid(tensor *a);
tensor *op_softplus(tensor *a);
tensor *op_clamp(tensor *a, double low, double high);

/* ---- shape ---- */
tensor *op_reshape(tensor *a, int rank, const int64_t *dims); /* one dim may be -1 */
tensor *op_transpose(tensor *a, const int *axes);             /* a permutation of rank axes */
tensor *op_slice(tensor *a, int axis, int64_t begin, int64_t end);
tensor *op_concat(tensor *const *parts, int n_parts, int axis);
tensor *op_stop_gradient(tensor *a);

/* ---- sums ---- */
tensor *op_sum(tensor *a, int axis, bool keep); /* axis from the end when negative */
tensor *op_mean(tensor *a, int axis, bool keep);
tensor *op_max(tensor *a, int axis, bool keep); /* gradient to the first maximum */
tensor *op_sum_all(tensor *a);                  /* scalar, rank 0 */
tensor *op_mean_all(tensor *a);

/* ---- products ---- */
/* (...,M,K) x (...,K,N) -> (...,M,N); transposes swap the last two axes of an operand. Leading
 * axes are equal, or absent on one side. */
tensor *op_matmul(tensor *a, tensor *b, bool transpose_a, bool transpose_b);
/* x (...,I) times w (I,O) plus b (O) or NULL. */
tensor *op_linear(tensor *x, tensor *w, tensor *b);

/* ---- networks ---- */
tensor *op_embedding(tensor *table, tensor *index); /* (V,C), int32 (...) -> (...,C) */
tensor *op_layer_norm(tensor *x, tensor *gain, tensor *bias, double epsilon); /* last axis */
tensor *op_rms_norm(tensor *x, tensor *gain, double epsilon);
tensor *op_softmax(tensor *x); /* last axis */
tensor *op_log_softmax(tensor *x);
tensor *op_dropout(tensor *x, double rate); /* kept values times 1/(1-rate); mask by counter */

typedef struct attention_options {
  int n_heads;
  bool causal;    /* key j <= query i */
  int64_t window; /* > 0: only keys j > i - window (with causal), |i - j| < window without */
  double dropout; /* on the weights */
  double scale;   /* 0: 1 / sqrt(d_k) */
} attention_options;
/* Scaled dot-product attention (Vaswani et al. 2017, eq. 1) as one node: q (B,T,D), k and v
 * (B,S,D), heads are D / n_heads columns each. key_begin (B) int32 or NULL: keys before it are
 * padding; a window that starts short is padded in front. Rows without any key give zeros. No
 * (T,S) tensor is kept. */
tensor *op_attention(tensor *q, tensor *k, tensor *v, tensor *key_begin,
                     const attention_options *options);
/* The same of q, k and v that lie side by side, qkv (B,T,3D), as one product gives them. */
tensor *op_attention_joint(tensor *qkv, tensor *key_begin, const attention_options *options);

/* Mean over axis 1 of x (B,T,C), leaving out the first begin[b] steps; begin may be NULL. */
tensor *op_masked_mean(tensor *x, tensor *begin);
/* Step t of each row of (B,T,C) -> (B,C); index int32 (B), or NULL for the last. */
tensor *op_take_step(tensor *x, tensor *index);

/* x (B,T,I) -> (B,T,H). w (I,4H), u (H,4H), b (4H); gates in the order i, f, g, o. h0 and c0
 * (B,H) or NULL for zeros. Hochreiter & Schmidhuber 1997, with forget gate. */
tensor *op_lstm(tensor *x, tensor *w, tensor *u, tensor *b, tensor *h0, tensor *c0);
/* w (I,3H), u (H,3H), b (3H), bu (3H); gates r, z, n; n = tanh(xw + b + r * (hu + bu)). Cho 2014
 * in PyTorch's form. */
tensor *op_gru(tensor *x, tensor *w, tensor *u, tensor *b, tensor *bu, tensor *h0);
/* x (B,T,I), w (K,I,O), b (O) or NULL -> (B,T',O); pad_left zeros in front, pad_right behind. */
tensor *op_conv1d(tensor *x, tensor *w, tensor *b, int64_t stride, int64_t dilation,
                  int64_t pad_left, int64_t pad_right);

/* ---- losses: means, rank 0 ---- */
/* logits (N,K), target int32 (N) in [0,K) or -1 to leave a row out; weight (N) or NULL. The mean
 * is over weights, as in PyTorch with class weights: sum(w_i l_i) / sum(w_i). */
tensor *op_cross_entropy(tensor *logits, tensor *target, tensor *weight, double label_smoothing);
tensor *op_mse(tensor *prediction, tensor *target, tensor *weight);
tensor *op_huber(tensor *prediction, tensor *target, tensor *weight, double delta);
tensor *op_bce_logits(tensor *logits, tensor *target, tensor *weight);

#endif
