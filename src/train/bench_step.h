/* How long a training step takes and what it holds: `garam bench step`. */
#ifndef TRAIN_BENCH_STEP_H
#define TRAIN_BENCH_STEP_H

#include "model/model.h"

typedef struct bench_step_config {
  transformer_config model; /* model.seq is T */
  int batch, n_features, n_classes;
  int steps, warmup; /* measured, and run before */
  bool profile;      /* seconds by op, through line */
  void (*line)(void *context, const char *text);
  void *context;
} bench_step_config;

typedef struct bench_step_result {
  double step_seconds;      /* median */
  double *step_seconds_all; /* (n_steps), owned */
  int n_steps;
  size_t parameters;
  size_t planned_bytes;  /* parameters, gradients, two moments, the plan's arena */
  size_t resident_bytes; /* growth of the process's peak resident memory */
  double flops;          /* of forward and backward, one step */
  double flops_per_second;
  double loss; /* of the last step: a bench that computes nonsense is no bench */
} bench_step_result;

/* Forward, backward, clipping and AdamW in float on one random batch. */
garam_status bench_step(bench_step_result *out, const bench_step_config *config, garam_error *err);
void bench_step_deinit(bench_step_result *r);

#endif
