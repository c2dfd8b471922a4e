/* What learners learn from: rows of numbers in order of time, targets with the time their outcome
 * is known, and sets of rows. A learner that wants context sees, for row i, the window of rows
 * that ends at i: no copy is kept. */
#ifndef LEARN_DATASET_H
#define LEARN_DATASET_H

#include "base/status.h"

typedef enum task { TASK_CLASSIFICATION, TASK_BINARY, TASK_REGRESSION, TASK_RANKING } task;
extern const char *const task_names[]; /* NULL at the end */

typedef struct dataset {
  task task;
  size_t n_rows, n_features;
  int n_classes;              /* classification: K; binary: 2; regression: 0 */
  char **feature_names;
  char **class_names;
  float *x;                   /* (n_rows, n_features), raw; NaN is missing */
  int32_t *y;                 /* (n_rows); -1 unknown; NULL for regression */
  float *value;               /* (n_rows); regression targets; market: log return; may be NULL */
  float *weight;              /* (n_rows) or NULL */
  int64_t *known_at;          /* (n_rows) when the row could be acted on; NULL: no time */
  int64_t *label_end;         /* (n_rows) when the outcome is known; NULL: no time */
  uint32_t *series_begin;     /* (n_rows) first row of the row's series; NULL: one series from
                                 row 0. Windows never reach before it. */
  uint8_t *usable;            /* (n_rows) 1: features complete enough to predict from */
} dataset;

typedef struct row_set {
  const uint32_t *rows; /* ascending unless shuffled */
  size_t n;
} row_set;

void dataset_free(dataset *d);

/* ---- folds (fold.c) ---------------------------------------------------------------------- */

typedef struct fold {
  row_set train, valid, test; /* owned; any may be empty */
} fold;

/* Splits of the rows that are usable and labelled.
 * Holdout by time: the first train share, then valid, then the rest test. Rows whose label ends
 * at or after the first known_at of the next part are purged from the earlier part; `embargo`
 * rows after each test block are left out of training (Lopez de Prado 2018, ch. 7). Without time
 * the order is shuffled by the seed, classes kept in proportion. */
garam_status fold_holdout(fold *out, const dataset *d, double train, double valid, size_t embargo,
                          uint64_t seed, garam_error *err);
/* Walk-forward: n folds; fold k trains on all before test block k. */
garam_status fold_walk_forward(fold *out, size_t n_folds, const dataset *d, double valid,
                               size_t embargo, garam_error *err);
/* Purged, embargoed K-fold. */
garam_status fold_purged_kfold(fold *out, size_t n_folds, const dataset *d, size_t embargo,
                               garam_error *err);
void fold_deinit(fold *f);

#endif
