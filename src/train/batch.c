/* Rows, orders and windows: see batch.h. */
#include "train/batch.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

void batch_windows(float *x, int32_t *begin, const dataset *d, size_t context, const uint32_t *rows,
                   size_t n) {
  const size_t width = d->n_features, window = context * width;
  for (size_t i = 0; i < n; i++) {
    size_t row = rows[i], first = d->series_begin ? d->series_begin[row] : 0;
    size_t there = row - first + 1 < context ? row - first + 1 : context;
    float *to = x + i * window;
    size_t padding = context - there;
    memset(to, 0, padding * width * sizeof *to);
    memcpy(to + padding * width, d->x + (row + 1 - there) * width, there * width * sizeof *to);
    begin[i] = (int32_t)padding;
  }
}

garam_status batch_order_init(batch_order *o, row_set rows, size_t batch, uint64_t seed,
                              garam_error *err) {
  *o = (batch_order){.rows = rows.rows,
                     .n = rows.n,
                     .batch = batch,
                     .pass_steps = (rows.n + batch - 1) / batch,
                     .seed = seed,
                     .pass = UINT64_MAX};
  o->shuffled = mem_array(rows.n, sizeof *o->shuffled);
  return o->shuffled ? GARAM_OK : fail_memory(err, rows.n * sizeof *o->shuffled);
}

void batch_order_deinit(batch_order *o) {
  mem_free(o->shuffled);
  o->shuffled = NULL;
}

row_set batch_order_at(batch_order *o, uint64_t step) {
  uint64_t pass = step / o->pass_steps;
  if (pass != o->pass) {
    rng r;
    memcpy(o->shuffled, o->rows, o->n * sizeof *o->shuffled);
    rng_init(&r, o->seed, RNG_SHUFFLE, pass);
    rng_shuffle(&r, o->shuffled, o->n);
    o->pass = pass;
  }
  size_t at = (size_t)(step % o->pass_steps) * o->batch;
  return (row_set){o->shuffled + at, o->n - at < o->batch ? o->n - at : o->batch};
}

static bool learnable(const dataset *d, size_t row) {
  if (d->weight && !(d->weight[row] > 0 && isfinite(d->weight[row]))) return false;
  return d->task == TASK_REGRESSION ? isfinite(d->value[row]) : d->y[row] >= 0;
}

garam_status batch_learnable(uint32_t **out, size_t *n_out, const dataset *d, row_set from,
                             garam_error *err) {
  uint32_t *rows = mem_array(from.n ? from.n : 1, sizeof *rows);
  size_t n = 0;
  *out = rows;
  *n_out = 0;
  if (!rows) return fail_memory(err, from.n * sizeof *rows);
  for (size_t i = 0; i < from.n; i++) {
    REQUIRE(from.rows[i] < d->n_rows, "row %u of %zu", from.rows[i], d->n_rows);
    if (learnable(d, from.rows[i])) rows[n++] = from.rows[i];
  }
  *n_out = n;
  return GARAM_OK;
}

void batch_class_weights(float *out, const dataset *d, row_set rows, int kind) {
  for (int k = 0; k < d->n_classes; k++) out[k] = 1;
  if (kind != CLASS_WEIGHTS_BALANCED) return;
  for (int k = 0; k < d->n_classes; k++) {
    size_t count = 0;
    for (size_t i = 0; i < rows.n; i++) count += d->y[rows.rows[i]] == k;
    out[k] = count ? (float)((double)rows.n / ((double)d->n_classes * (double)count)) : 0;
  }
}
