/* Layers: functions that append nodes and name their parameters. The map of this room, in the
 * order of its files.
 *
 * A layer takes its input and a name; its parameters are called like a PyTorch state dict's:
 * "blocks.0.attention.q.weight". Weights are stored (in, out), the transpose of PyTorch's
 * Linear. Errors are sticky in the graph: layers never check, graph_compile does. */
#ifndef NN_NN_H
#define NN_NN_H

#include "graph/op.h"

/* ---- name.c ---------------------------------------------------------------------------- */

/* "scope.leaf", or "leaf" when the scope is "" or NULL. Too long a name is cut, and then the
 * graph refuses it as a duplicate. Returns out. */
#define NN_NAME_MAX 128
char *nn_name(char out[NN_NAME_MAX], const char *scope, const char *leaf);

/* ---- linear.c --------------------------------------------------------------------------- */

typedef enum nn_init {
  NN_INIT_XAVIER,  /* Glorot & Bengio 2010: projections inside a block */
  NN_INIT_KAIMING, /* He et al. 2015, with gain 1: the outputs have the inputs' variance */
  NN_INIT_SMALL,   /* normal, 0.02: the last layer, so that training begins at the prior */
} nn_init;

/* x (...,I) -> (...,n_out). NAME.weight (I, n_out), decayed; NAME.bias (n_out), zeros, not. */
tensor *nn_linear(tensor *x, int64_t n_out, nn_init init, const char *name);
/* Its parameters alone: w (I,n_out) and b (n_out), for a layer that reads x (...,I). */
void nn_linear_params(tensor **w, tensor **b, tensor *x, int64_t n_out, nn_init init,
                      const char *name);

/* ---- activation.c ------------------------------------------------------------------------ */

typedef enum nn_activation { NN_RELU, NN_GELU, NN_SILU, NN_TANH } nn_activation;
extern const char *const nn_activation_names[]; /* NULL at the end: choices of an option row */
tensor *nn_activate(tensor *x, int activation);

/* ---- norm.c ------------------------------------------------------------------------------- */

/* Layer norm over the last axis (Ba, Kiros & Hinton 2016), epsilon 1e-5. NAME.weight ones,
 * NAME.bias zeros; neither is decayed. */
tensor *nn_norm(tensor *x, const char *name);

/* ---- position_*.c --------------------------------------------------------------------------- */

typedef enum nn_position { NN_SINUSOIDAL, NN_LEARNED, NN_NO_POSITION } nn_position;
extern const char *const nn_position_names[];
/* x (B,T,D) plus a code of each step's place in the window, from 0. */
tensor *nn_position_add(tensor *x, int position, const char *name);
/* Sines and cosines, base 10000 (Vaswani et al. 2017, section 3.5). No parameters. */
tensor *nn_position_sinusoidal(tensor *x);
void nn_position_sinusoidal_table(double *out, int64_t n_steps, int64_t n_columns); /* (T,D) */
/* NAME.weight (T,D), normal 0.02, not decayed. */
tensor *nn_position_learned(tensor *x, const char *name);

/* ---- attention_multi_head.c --------------------------------------------------------------------
 */

/* Multi-head self-attention (Vaswani et al. 2017, section 3.2.2) of x (B,T,D): projections
 * NAME.q, NAME.k, NAME.v and NAME.o, each (D,D) with bias. key_begin (B) int32 or NULL: the
 * steps of each window before it are padding, and no step sees them. */
tensor *nn_attention_multi_head(tensor *x, tensor *key_begin, const attention_options *options,
                                const char *name);

/* ---- feed_forward.c
 * -------------------------------------------------------------------------------- */

/* linear to d_ff, activation, dropout, linear back: NAME.in, NAME.out. */
tensor *nn_feed_forward(tensor *x, int64_t d_ff, int activation, double dropout, const char *name);

/* ---- block_transformer.c
 * ------------------------------------------------------------------------------ */

typedef enum nn_norm_place { NN_NORM_POST, NN_NORM_PRE } nn_norm_place;
extern const char *const nn_norm_names[];

typedef struct block_options {
  attention_options attention;
  int64_t d_ff;
  int activation, norm; /* nn_activation, nn_norm_place */
  double dropout;       /* after each sub-layer and inside the feed-forward */
} block_options;

/* One encoder block of x (B,T,D). Post-norm: norm(x + sublayer(x)), as in the paper. Pre-norm:
 * x + sublayer(norm(x)) (Xiong et al. 2020); the model then puts one more norm at the end.
 * NAME.attention, NAME.norm1, NAME.feed_forward, NAME.norm2. */
tensor *nn_block_transformer(tensor *x, tensor *key_begin, const block_options *options,
                             const char *name);

/* ---- pool.c
 * ------------------------------------------------------------------------------------------------
 */

typedef enum nn_pooling { NN_POOL_MEAN, NN_POOL_LAST } nn_pooling;
extern const char *const nn_pooling_names[];
/* x (B,T,D) -> (B,D): mean over the steps that are no padding, or the last step. */
tensor *nn_pool(tensor *x, tensor *begin, int pooling);

/* ---- head.c
 * -------------------------------------------------------------------------------------------------
 */

/* The trading head: linear to D/2, ReLU, dropout, linear to n_outputs: NAME.in, NAME.out. */
tensor *nn_head(tensor *x, int64_t n_outputs, double dropout, const char *name);

#endif
