/* From rows of a dataset to what a plan reads: the order of rows in training, and windows. */
#ifndef TRAIN_BATCH_H
#define TRAIN_BATCH_H

#include "learn/dataset.h"
#include "train/train.h"

/* The windows of `context` rows that end at rows[0..n): x (n, context, n_features), begin (n).
 * Rows before a series' first are zeros, and counted in begin. */
void batch_windows(float *x, int32_t *begin, const dataset *d, size_t context, const uint32_t *rows,
                   size_t n);

/* The rows of a training run, pass after pass. Each pass is a permutation keyed by (seed,
 * RNG_SHUFFLE, pass), so that what step s reads is a function of s alone. */
typedef struct batch_order {
  const uint32_t *rows;
  uint32_t *shuffled;
  size_t n, batch, pass_steps;
  uint64_t seed, pass; /* of what `shuffled` holds; UINT64_MAX: nothing yet */
} batch_order;
garam_status batch_order_init(batch_order *o, row_set rows, size_t batch, uint64_t seed,
                              garam_error *err);
void batch_order_deinit(batch_order *o);
/* The rows of step `step`, from 0: `batch` of them, fewer in the last step of a pass. */
row_set batch_order_at(batch_order *o, uint64_t step);

/* Rows of `from` that can be learned from: a known target and a weight above 0. mem_free(*out). */
garam_status batch_learnable(uint32_t **out, size_t *n_out, const dataset *d, row_set from,
                             garam_error *err);

/* Factors of the classes by their frequency in rows: n / (K n_k) when balanced (a class without
 * rows gets 0), else ones. */
void batch_class_weights(float *out, const dataset *d, row_set rows, int kind);

#endif
