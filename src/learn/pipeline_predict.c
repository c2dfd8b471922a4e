/* What a fitted pipeline answers: about itself, and for rows. */
#include "learn/pipeline_inner.h"

#include "base/mem.h"
#include "learn/calibrate.h"

#include <math.h>
#include <string.h>

enum { PREDICT_ROWS = 256 };

const json_t *pipeline_manifest(const pipeline *p) {
  return p->manifest;
}

const learner_ops *pipeline_learner(const pipeline *p) {
  return p->ops;
}

const learner *pipeline_fitted(const pipeline *p) {
  return p->learner;
}

task pipeline_task(const pipeline *p) {
  return p->shape.task;
}

size_t pipeline_context(const pipeline *p) {
  return p->context;
}

size_t pipeline_n_features(const pipeline *p) {
  return p->shape.n_features;
}

int pipeline_n_outputs(const pipeline *p) {
  return task_has_classes(p->shape.task) ? p->shape.n_classes : 1;
}

const char *pipeline_feature_name(const pipeline *p, size_t i) {
  REQUIRE(i < p->shape.n_features, "pipeline_feature_name: %zu of %zu", i, p->shape.n_features);
  return p->feature_names[i];
}

const char *pipeline_output_name(const pipeline *p, int i) {
  REQUIRE(i >= 0 && i < pipeline_n_outputs(p), "pipeline_output_name: %d", i);
  return task_has_classes(p->shape.task) ? p->class_names[i] : "value";
}

const char *pipeline_sha256(const pipeline *p) {
  return p->sha256;
}

const table_read_config *pipeline_read_config(const pipeline *p) {
  return &p->config.read;
}

double pipeline_threshold(const pipeline *p, double *target) {
  *target = task_has_classes(p->shape.task) ? PIPELINE_TARGET : 0;
  return p->threshold;
}

double pipeline_temperature(const pipeline *p) {
  return p->calibrator.kind == CALIBRATION_NONE || p->calibrator.kind == CALIBRATION_TEMPERATURE
             ? p->calibrator.temperature
             : NAN;
}

garam_status pipeline_dataset(dataset **out, const pipeline *p, const table *t, bool labelled,
                              garam_error *err) {
  table *repaired;
  *out = NULL;
  TRY(pipeline_repair(&repaired, p, t, labelled, err));
  if (repaired) t = repaired;
  garam_status status = p->market ? market_dataset(out, NULL, NULL, p, t, labelled, err)
                                  : table_dataset(out, p, t, labelled, err);
  table_free(repaired);
  return status;
}

/* Scales n windows into the scratch; what stands in front of a series is 0 whatever it held. */
static garam_status scale_windows(const float **out, pipeline *p, const float *x,
                                  const int32_t *begin, size_t n, garam_error *err) {
  size_t width = p->shape.n_features, window = p->context * width, size;
  if (!size_mul(&size, n, window)) return fail_memory(err, SIZE_MAX);
  TRY(mem_grow(&p->scaled_x, &p->scaled_capacity, size, sizeof *p->scaled_x, err));
  scaler_apply(&p->scaler, p->scaled_x, x, n * p->context);
  for (size_t i = 0; begin && i < n; i++)
    if (begin[i] > 0)
      memset(p->scaled_x + i * window, 0, (size_t)begin[i] * width * sizeof *p->scaled_x);
  *out = p->scaled_x;
  return GARAM_OK;
}

garam_status pipeline_finish(const pipeline *p, float *out, size_t n, garam_error *err) {
  bool finite = true;
  if (!task_has_classes(p->shape.task)) {
    for (size_t i = 0; i < n; i++) {
      out[i] = (float)(p->value_center + p->value_scale * (double)out[i]);
      finite = finite && isfinite(out[i]);
    }
  } else {
    finite = calibrator_apply(&p->calibrator, out, n);
  }
  if (!finite)
    return fail(err, GARAM_NUMERIC, "%s: a prediction is not a finite number", p->ops->name);
  return GARAM_OK;
}

bool pipeline_is_new(const pipeline *p, const float *row) {
  return p->novelty.n > 0 && novelty_index(&p->novelty, row) > 1;
}

void pipeline_prior(const pipeline *p, float *out) {
  size_t k = (size_t)pipeline_n_outputs(p);
  double total = 0;
  if (!task_has_classes(p->shape.task)) out[0] = (float)p->train_mean;
  for (size_t c = 0; p->class_counts && c < k; c++) total += (double)p->class_counts[c];
  for (size_t c = 0; p->class_counts && c < k; c++)
    out[c] = total > 0 ? (float)((double)p->class_counts[c] / total) : 1 / (float)k;
}

/* What a window says is judged by its last row, raw. */
static void pipeline_gate(const pipeline *p, const float *x, size_t n, float *out) {
  size_t width = p->shape.n_features, k = (size_t)pipeline_n_outputs(p);
  for (size_t i = 0; p->novelty.n > 0 && i < n; i++)
    if (pipeline_is_new(p, x + ((i + 1) * p->context - 1) * width)) pipeline_prior(p, out + i * k);
}

garam_status pipeline_predict_from(pipeline *p, const float *x, const int32_t *begin, size_t n,
                                   const dataset *d, const uint32_t *rows, float *out,
                                   garam_error *err) {
  const float *taken = x;
  if (p->scaled) TRY(scale_windows(&taken, p, x, begin, n, err));
  TRY(p->ops->predict(p->learner, taken, begin, n, out, err));
  if (d) pipeline_add_init(d, rows, n, out, (size_t)pipeline_n_outputs(p));
  TRY(pipeline_finish(p, out, n, err));
  pipeline_gate(p, x, n, out);
  return GARAM_OK;
}

garam_status pipeline_predict_windows(pipeline *p, const float *x, const int32_t *begin, size_t n,
                                      float *out, garam_error *err) {
  return pipeline_predict_from(p, x, begin, n, NULL, NULL, out, err);
}

garam_status pipeline_predict(pipeline *p, const dataset *d, row_set rows, float *out,
                              garam_error *err) {
  REQUIRE(d->n_features == p->shape.n_features, "pipeline_predict: %zu features, not %zu",
          d->n_features, p->shape.n_features);
  size_t window = p->context * d->n_features, k = (size_t)pipeline_n_outputs(p);
  size_t most = ((size_t)1 << 20) / window;
  most = most < 1 ? 1 : most > PREDICT_ROWS ? PREDICT_ROWS : most;
  TRY(mem_grow(&p->batch_x, &p->batch_capacity, most * window, sizeof *p->batch_x, err));
  TRY(mem_grow(&p->batch_begin, &p->begin_capacity, most, sizeof *p->batch_begin, err));
  for (size_t i = 0; i < rows.n; i += most) {
    size_t n = rows.n - i < most ? rows.n - i : most;
    dataset_gather(p->batch_x, p->batch_begin, d, rows.rows + i, n, p->context);
    TRY(pipeline_predict_from(p, p->batch_x, p->batch_begin, n, d, rows.rows + i, out + i * k,
                              err));
  }
  return GARAM_OK;
}

bool pipeline_has_bounds(const pipeline *p) {
  if (p->shape.task != TASK_REGRESSION) return false;
  return (p->ops->stream && p->ops->stream->bounds) || isfinite(p->conformal);
}

/* The learner's own, of rows whose windows are gathered in batch_x. */
static garam_status own_bounds(pipeline *p, size_t n, float *out, garam_error *err) {
  const learner_stream *s = p->ops->stream;
  size_t width = s->width(p->learner);
  TRY(mem_grow(&p->view, &p->view_capacity, n * width, sizeof *p->view, err));
  TRY(s->view(p->learner, p->batch_x, p->batch_begin, n, p->view, err));
  for (size_t i = 0; i < n; i++) s->bounds(p->learner, p->view + i * width, out + 2 * i);
  return GARAM_OK;
}

garam_status pipeline_bounds(pipeline *p, const dataset *d, row_set rows, const float *value,
                             float *out, garam_error *err) {
  REQUIRE(pipeline_has_bounds(p), "pipeline_bounds: %s has none", p->ops->name);
  bool own = p->ops->stream && p->ops->stream->bounds;
  size_t window = p->context * d->n_features, most = ((size_t)1 << 20) / window;
  most = most < 1 ? 1 : most > PREDICT_ROWS ? PREDICT_ROWS : most;
  TRY(mem_grow(&p->batch_x, &p->batch_capacity, most * window, sizeof *p->batch_x, err));
  TRY(mem_grow(&p->batch_begin, &p->begin_capacity, most, sizeof *p->batch_begin, err));
  for (size_t i = 0; i < rows.n; i += most) {
    size_t n = rows.n - i < most ? rows.n - i : most;
    if (own) {
      dataset_gather(p->batch_x, p->batch_begin, d, rows.rows + i, n, p->context);
      TRY(own_bounds(p, n, out + 2 * i, err));
    }
    for (size_t j = i; j < i + n; j++) {
      if (!own) out[2 * j] = (float)((double)value[j] - p->conformal);
      if (!own) out[2 * j + 1] = (float)((double)value[j] + p->conformal);
      if (!pipeline_is_new(p, d->x + rows.rows[j] * d->n_features)) continue;
      out[2 * j] = -INFINITY;
      out[2 * j + 1] = INFINITY;
    }
  }
  return GARAM_OK;
}
