/* Splits inside given rows: see part.h. */
#include "ensemble/part.h"

#include "base/mem.h"

#include <string.h>

enum { LEAST_TRAIN_ROWS = 16, LEAST_STOPPING_ROWS = 8 };

const char *const part_kind_names[] = {"kfold", "walk-forward", "holdout", NULL};

size_t part_label_rows(const dataset *d, row_set rows) {
  size_t most = 0;
  if (!d->known_at || !d->label_end) return 0;
  for (size_t i = 0; i < rows.n; i++) {
    size_t row = rows.rows[i], low = row, high = d->n_rows; /* the first row after the label */
    while (low < high) {
      size_t middle = low + (high - low) / 2;
      if (d->known_at[middle] <= d->label_end[row]) low = middle + 1;
      else high = middle;
    }
    size_t length = low > row ? low - row - 1 : 0;
    if (length > most) most = length;
  }
  return most;
}

/* The dataset with no usable rows but `rows`. */
static garam_status masked(dataset *out, const dataset *d, row_set rows, garam_error *err) {
  *out = *d;
  size_t n = 0;
  for (size_t i = 0; i < rows.n; i++)
    if (rows.rows[i] >= n) n = (size_t)rows.rows[i] + 1;
  out->n_rows = n; /* what comes after need not even be in order of time */
  out->usable = mem_array(n + 1, sizeof *out->usable);
  if (!out->usable) return fail_memory(err, n);
  for (size_t i = 0; i < rows.n; i++) out->usable[rows.rows[i]] = 1;
  return GARAM_OK;
}

static garam_status check_fold(const fold *f, size_t k, size_t n, const dataset *d, row_set rows,
                               const char *where, garam_error *err) {
  if (f->train.n < LEAST_TRAIN_ROWS || f->test.n == 0)
    return fail(err, GARAM_INVALID,
                "%s: of %zu training rows fold %zu of %zu trains on %zu and predicts %zu after "
                "purging and embargo; at least %d to train on are needed",
                where, rows.n, k + 1, n, f->train.n, f->test.n, LEAST_TRAIN_ROWS);
  if (d->n_classes < 2) return GARAM_OK;
  for (size_t i = 1; i < f->train.n; i++)
    if (d->y[f->train.rows[i]] != d->y[f->train.rows[0]]) return GARAM_OK;
  return fail(err, GARAM_INVALID,
              "%s: all %zu rows that fold %zu of %zu trains on are of one class", where, f->train.n,
              k + 1, n);
}

/* A holdout's later part is what it predicts. */
static void later_part_is_test(fold *f) {
  row_set empty = f->test;
  f->test = f->valid;
  f->valid = empty;
}

garam_status part_folds(fold *out, const part_config *c, const dataset *d, row_set rows,
                        uint64_t seed, const char *where, garam_error *err) {
  dataset view;
  garam_status status;
  size_t n = c->kind == PART_HOLDOUT ? 1 : c->n_folds;
  memset(out, 0, n * sizeof *out);
  TRY(masked(&view, d, rows, err));
  switch (c->kind) {
  case PART_KFOLD: status = fold_purged_kfold(out, n, &view, c->embargo, seed, err); break;
  case PART_WALK_FORWARD: status = fold_walk_forward(out, n, &view, 0, c->embargo, err); break;
  default:
    status = fold_holdout(out, &view, 1 - c->share, c->share, c->embargo, seed, err);
    if (status == GARAM_OK) later_part_is_test(out);
  }
  mem_free(view.usable);
  if (status != GARAM_OK) return fail_within(err, status, "%s", where);
  for (size_t k = 0; k < n && status == GARAM_OK; k++)
    status = check_fold(&out[k], k, n, d, rows, where, err);
  for (size_t k = 0; status != GARAM_OK && k < n; k++) fold_deinit(&out[k]);
  return status;
}

garam_status part_stopping(fold *out, const dataset *d, row_set rows, double share, size_t embargo,
                           uint64_t seed, garam_error *err) {
  dataset view;
  TRY(masked(&view, d, rows, err));
  garam_status status = fold_holdout(out, &view, 1 - share, share, embargo, seed, err);
  mem_free(view.usable);
  if (status != GARAM_OK) return status;
  if (out->train.n >= LEAST_TRAIN_ROWS && out->valid.n >= LEAST_STOPPING_ROWS) return GARAM_OK;
  fold_deinit(out);
  uint32_t *all = mem_array(rows.n + 1, sizeof *all);
  if (!all) return fail_memory(err, rows.n * sizeof *all);
  memcpy(all, rows.rows, rows.n * sizeof *all);
  out->train = (row_set){all, rows.n};
  return GARAM_OK;
}
