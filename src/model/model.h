/* Models: one file an architecture. The map of this room.
 *
 * A model is a record: how long a window it reads, whether its options fit together, and a
 * function that builds its graph from x (B,T,F) to scores (B,K). Its options are rows in
 * NAME.def, on a config struct that this header declares; what trains it is not its concern. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "base/opt.h"
#include "nn/nn.h"

typedef struct model_ops {
  const char *name;
  /* Rows of window that a prediction reads (T). */
  int64_t (*context)(const void *config);
  /* What the rows' ranges cannot say. The message names the options. NULL: nothing to check. */
  garam_status (*check)(const void *config, garam_error *err);
  /* x (B,T,F) real, begin (B) int32: the steps of each window before it are padding, with
   * zeros in x. Returns (B, n_outputs): scores before softmax, or values. */
  tensor *(*build)(const void *config, tensor *x, tensor *begin, int64_t n_outputs);
  /* Instead of build, of a model of tokens: tokens (B,T) int32 below n_tokens, begin as above.
   * Returns (B,T,n_tokens): scores before softmax at every step. */
  tensor *(*build_tokens)(const void *config, tensor *tokens, tensor *begin, int64_t n_tokens);
} model_ops;

/* ---- transformer.c: the trading transformer ------------------------------------------------- */

typedef struct transformer_config {
  int d_model, heads, layers, d_ff;
  double dropout;
  int seq;                                  /* T */
  int positions, norm, activation, pooling; /* nn_position, nn_norm_place, ... */
  bool causal;
  int window; /* 0: the whole sequence */
} transformer_config;
extern const model_ops model_transformer;
extern const opt_row transformer_options[]; /* on transformer_config */
extern const size_t transformer_n_options;

/* ---- mlp.c: a perceptron over the flattened window ---------------------------------------------
 */

typedef struct mlp_config {
  int hidden, layers;
  double dropout;
  int seq, activation;
  bool layer_norm;
} mlp_config;
extern const model_ops model_mlp;

/* ---- recurrent.c: LSTM and GRU
 * ------------------------------------------------------------------- */

typedef struct recurrent_config {
  int hidden, layers;
  double dropout;
  int seq, pooling;
} recurrent_config;
extern const model_ops model_lstm, model_gru;

/* ---- sequence.c: tokens, scored at every step ------------------------------------------------ */

typedef struct sequence_config {
  int d_model, heads, layers, d_ff;
  double dropout;
  int seq; /* T */
} sequence_config;
extern const model_ops model_gpt, model_bert;

#endif
