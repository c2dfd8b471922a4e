/* What learners learn from: rows of numbers in order of time, targets with the time their outcome
 * is known, and sets of rows. A learner that wants context sees, for row i, the window of rows
 * that ends at i: no copy is kept. */
#ifndef LEARN_DATASET_H
#define LEARN_DATASET_H

#include "base/status.h"

typedef enum task { TASK_CLASSIFICATION, TASK_BINARY, TASK_REGRESSION, TASK_RANKING } task;
extern const char *const task_names[]; /* NULL at the end */
static inline bool task_has_classes(task t) {
  return t == TASK_CLASSIFICATION || t == TASK_BINARY;
}

typedef struct dataset {
  task task;
  size_t n_rows, n_features;
  int n_classes; /* classification: K; binary: 2; values, grades: 0 */
  char **feature_names;
  char **class_names;
  float *x;      /* (n_rows, n_features), raw; NaN is missing. What a learner that
                    wants_scaled is given to fit on is scaled, without NaN */
  int32_t *y;    /* (n_rows); -1 unknown; NULL for values */
  float *value;  /* (n_rows); grades of a ranking; regression targets (scaled likewise); market: log
                    return; NaN unknown; may be NULL */
  float *weight; /* (n_rows) or NULL */
  uint32_t *group;        /* (n_rows) ranking: code of the row's query, from 0; else NULL */
  float *init;            /* (n_rows) scores that a learner with takes_init starts from; NULL: 0 */
  int64_t *known_at;      /* (n_rows) when the row could be acted on; NULL: no time */
  int64_t *label_end;     /* (n_rows) when the outcome is known; NULL: no time */
  uint32_t *series_begin; /* (n_rows) first row of the row's series; NULL: one series from
                             row 0. Windows never reach before it. */
  uint8_t *categorical;   /* (n_features) 1: codes of categories, whose order means nothing; NULL:
                             none are */
  uint8_t *usable;        /* (n_rows) 1: features complete enough to predict from */
} dataset;

typedef struct row_set {
  const uint32_t *rows; /* ascending unless shuffled */
  size_t n;
} row_set;

/* Storage for all rows: x zeroed, y -1, value NaN, usable 1; names, weights, times and series
 * stay NULL. n_classes 0 means regression. */
garam_status dataset_new(dataset **out, task kind, size_t n_rows, size_t n_features, int n_classes,
                         garam_error *err);
void dataset_free(dataset *d);                       /* NULL is fine */
bool dataset_labelled(const dataset *d, size_t row); /* the outcome of the row is known */

/* The windows of `context` rows that end at rows[0..n): x (n, context, n_features) as they stand
 * in the dataset, oldest first; begin[i] (may be NULL) rows in front are padding, as zeros,
 * where the series has not begun yet. */
void dataset_gather(float *x, int32_t *begin, const dataset *d, const uint32_t *rows, size_t n,
                    size_t context);

/* ---- folds (fold.c) ---------------------------------------------------------------------- */

typedef struct fold {
  row_set train, valid, test; /* owned; any may be empty */
} fold;

/* Splits of the rows that are usable and labelled. No query (group) is cut in two: a cut in time
 * moves back to where one begins, and one whose rows lie apart stays in its latest part only.
 * Holdout by time: the first train share, then valid, then the rest test. Rows whose label ends
 * at or after the first known_at of the next part are purged from the earlier part; the first
 * `embargo` rows of valid and of test are left out as well, so that serial correlation does not
 * carry over (Lopez de Prado 2018, ch. 7). Without time the order is shuffled by the seed, classes
 * kept in proportion, each part ascending. */
garam_status fold_holdout(fold *out, const dataset *d, double train, double valid, size_t embargo,
                          uint64_t seed, garam_error *err);
/* Walk-forward: the rows are cut into n_folds + 1 blocks; fold k trains on all before block k + 1
 * and is tested on it. `valid` is the share of the training rows, the last ones, kept for
 * validation. Purged as above. `out` has n_folds elements. */
garam_status fold_walk_forward(fold *out, size_t n_folds, const dataset *d, double valid,
                               size_t embargo, garam_error *err);
/* Purged, embargoed K-fold: each block in turn is the test part; training rows whose label's
 * interval [known_at, label_end] meets the block's are purged, and `embargo` rows after the block
 * are left out. Without time: shuffled, stratified K-fold by `seed`. */
garam_status fold_purged_kfold(fold *out, size_t n_folds, const dataset *d, size_t embargo,
                               uint64_t seed, garam_error *err);
void fold_deinit(fold *f);

#endif
