/* The models whose training step can be measured: the neural learners by their own options and
 * presets, and the models of tokens. */
#ifndef TRAIN_BENCH_MODEL_H
#define TRAIN_BENCH_MODEL_H

#include "learn/learner.h"
#include "model/model.h"
#include "train/train.h"

typedef struct bench_model {
  const char *name;
  const model_ops *model;
  const opt_row *options; /* the model's and the trainer's, on a config of config_size bytes */
  size_t n_options, config_size, model_offset, train_offset;
  const learner_preset *presets;
} bench_model;

/* Fills out; the nearest name in the message on failure. */
garam_status bench_model_find(bench_model *out, const char *name, garam_error *err);

/* Defaults, then the preset's settings unless it is NULL. mem_free(*out). */
garam_status bench_model_config(void **out, const bench_model *m, const char *preset,
                                garam_error *err);

#endif
