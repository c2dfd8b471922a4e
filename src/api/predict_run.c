/* Predictions for the rows of a table: see predict_run.h. */
#include "api/predict_run.h"

#include "base/arena.h"

#include <string.h>

/* The public struct with the memory behind it. */
typedef struct predictions {
  garam_predictions shown; /* first: the public pointer is this one's */
  arena memory;
} predictions;

void garam_predictions_free(garam_predictions *p) {
  if (!p) return;
  arena_deinit(&((predictions *)p)->memory);
  mem_free(p);
}

static garam_status fill(predictions *x, pipeline *p, const table *t, const dataset *d,
                         garam_error *err) {
  garam_predictions *shown = &x->shown;
  size_t k = (size_t)pipeline_n_outputs(p);
  bool classes = pipeline_task(p) != TASK_REGRESSION && pipeline_task(p) != TASK_RANKING;
  size_t n = 0;
  for (size_t i = 0; i < d->n_rows; i++) n += d->usable[i] != 0;
  if (n == 0)
    return fail(err, GARAM_INVALID,
                "%s: no row has enough history before it; this model reads %zu rows of features, "
                "and the file has %zu rows",
                t->source, pipeline_context(p), t->n_rows);
  uint32_t *rows = arena_array(&x->memory, n, sizeof *rows);
  float *output = arena_array(&x->memory, n * k, sizeof *output);
  int64_t *time = t->time_column < 0 ? NULL : arena_array(&x->memory, n, sizeof *time);
  int32_t *label = classes ? arena_array(&x->memory, n, sizeof *label) : NULL;
  uint8_t *abstain = classes ? arena_array(&x->memory, n, sizeof *abstain) : NULL;
  float *bounds = pipeline_has_bounds(p) ? arena_array(&x->memory, 2 * n, sizeof *bounds) : NULL;
  if (!rows || !output || (pipeline_has_bounds(p) && !bounds) || (t->time_column >= 0 && !time) ||
      (classes && (!label || !abstain)))
    return fail_memory(err, n * (k + 4) * sizeof *output);
  n = 0;
  for (size_t i = 0; i < d->n_rows; i++)
    if (d->usable[i]) rows[n++] = (uint32_t)i;
  TRY(pipeline_predict(p, d, (row_set){rows, n}, output, err));
  if (bounds) TRY(pipeline_bounds(p, d, (row_set){rows, n}, output, bounds, err));
  double target, threshold = pipeline_threshold(p, &target);
  for (size_t i = 0; i < n; i++) {
    if (time) time[i] = t->columns[t->time_column].i64[rows[i]];
    if (!classes) continue;
    label[i] = metric_top(output + i * k, (int)k);
    abstain[i] = (double)output[i * k + (size_t)label[i]] < threshold;
  }
  *shown = (garam_predictions){n, k, rows, time, output, label, abstain, bounds};
  return GARAM_OK;
}

garam_status predict_run(garam_predictions **out, pipeline *p, const char *data,
                         const table_read_config *read, table_progress_fn progress, void *context,
                         garam_error *err) {
  garam_status status;
  table *t = NULL, *repaired = NULL;
  dataset *d = NULL;
  *out = NULL;
  predictions *x = mem_zalloc(sizeof *x);
  if (!x) return fail_memory(err, sizeof *x);
  arena_init(&x->memory, 0);
  TRY_GOTO(done, table_open(&t, data, read, progress, context, err));
  TRY_GOTO(done, pipeline_repair(&repaired, p, t, false, err));
  TRY_GOTO(done, pipeline_dataset(&d, p, t, false, err));
  TRY_GOTO(done, fill(x, p, repaired ? repaired : t, d, err));
  *out = &x->shown;
  x = NULL;
done:
  if (x) garam_predictions_free(&x->shown);
  dataset_free(d);
  table_free(repaired);
  table_free(t);
  return status;
}
