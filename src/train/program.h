/* A model as a program: its graph with inputs, outputs and loss, compiled for one batch size.
 * What training, prediction, the bench and the probe share. */
#ifndef TRAIN_PROGRAM_H
#define TRAIN_PROGRAM_H

#include "learn/dataset.h"
#include "model/model.h"

typedef struct program_config {
  const model_ops *model;
  const void *model_config;
  int64_t batch, context, n_features, n_outputs;
  task task;
  bool training; /* loss, gradients, dropout; false: scores alone */
  double label_smoothing, huber;
  uint64_t seed; /* of dropout */
  dtype real;    /* DTYPE_REAL: float */
} program_config;

/* Inputs and outputs lie in the plan; floats are doubles when `real` says so. */
typedef struct program {
  graph *graph;
  plan *plan;
  int64_t batch;
  size_t item; /* bytes of a real */
  bool training, reads_tokens;
  void *x;            /* (B,T,F) */
  int32_t *tokens;    /* (B,T) of a model that reads them; x is NULL then */
  int32_t *begin;     /* (B) */
  int32_t *target;    /* (B) classification; (B,T) of a model of tokens */
  void *value;        /* (B) regression */
  void *weight;       /* (B) of each row in the loss; 0 leaves it out. Of tokens (B,T) */
  const void *scores; /* (B,K); of tokens (B,T,K) */
  const void *loss;   /* scalar */
} program;

/* Two steps, since the blocks' size is known after the first: the graph, then its plan over the
 * caller's flat blocks; the gradients' is NULL unless training. */
garam_status program_build(program *out, const program_config *config, garam_error *err);
garam_status program_compile(program *p, const plan_config *config, garam_error *err);
void program_deinit(program *p);

/* A zeroed, 64-byte aligned block like the graph's parameters. mem_free_aligned. */
garam_status program_block(void **out, const program *p, garam_error *err);

#endif
