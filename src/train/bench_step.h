/* How long a training step takes and what it holds: `garam bench step`. */
#ifndef TRAIN_BENCH_STEP_H
#define TRAIN_BENCH_STEP_H

#include "train/bench_model.h"
#include "train/update.h"

typedef struct bench_step_config {
  bench_model model;
  const void *config;        /* of model.config_size bytes: batch, precision, memory are in it */
  int n_features, n_outputs; /* of tokens: n_outputs different ones */
  int steps, warmup;         /* measured, and run before */
  bool profile;              /* seconds by op, through line */
  void (*line)(void *context, const char *text);
  void *context;
} bench_step_config;

typedef struct bench_step_result {
  double step_seconds;      /* median */
  double *step_seconds_all; /* (n_steps), owned */
  int n_steps;
  size_t parameters;
  update_memory planned;
  size_t resident_bytes; /* growth of the process's peak resident memory */
  int precision, micro;  /* what was chosen: train_precision, rows */
  double flops;          /* of forward and backward, one step */
  double flops_per_second;
  double loss; /* of the last step: a bench that computes nonsense is no bench */
} bench_step_result;

/* Forward, backward, clipping and AdamW in float on one random batch. What it will take goes to
 * `line` before it begins. */
garam_status bench_step(bench_step_result *out, const bench_step_config *config, garam_error *err);
void bench_step_deinit(bench_step_result *r);

#endif
