/* Splits inside the training rows that an ensemble was given: learn's folds, kept to those rows.
 * Nothing here is new but that: purging and embargo are fold.c's, and in one place. */
#ifndef ENSEMBLE_PART_H
#define ENSEMBLE_PART_H

#include "learn/dataset.h"

typedef enum part_kind {
  PART_KFOLD,        /* each block in turn is predicted from the others */
  PART_WALK_FORWARD, /* each block but the first from those before it */
  PART_HOLDOUT,      /* the last share from the rest */
} part_kind;
extern const char *const part_kind_names[]; /* NULL at the end */

typedef struct part_config {
  part_kind kind;
  size_t n_folds; /* 1 for a holdout */
  double share;   /* that a holdout predicts */
  size_t embargo;
} part_config;

/* Rows in the longest label of `rows`: what an embargo of -1 stands for. 0 without times. */
size_t part_label_rows(const dataset *d, row_set rows);

/* out[k].train and out[k].test, both of `rows`; out[k].valid is empty. GARAM_INVALID, with `where`
 * in front, when a fold leaves fewer than 16 rows or one class to train on. */
garam_status part_folds(fold *out, const part_config *config, const dataset *d, row_set rows,
                        uint64_t seed, const char *where, garam_error *err);

/* Cuts rows for early stopping off a training part: the last `share` of it in time (drawn by seed
 * without times), rows before it purged where their labels reach into it. Where too few rows would
 * be left for either, all are trained on and out->valid is empty. */
garam_status part_stopping(fold *out, const dataset *d, row_set rows, double share, size_t embargo,
                           uint64_t seed, garam_error *err);

#endif
