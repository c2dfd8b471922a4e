/* Standardisation: see scaler.h. */
#include "learn/scaler.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

const char *const scaler_names[] = {"standard", "robust", NULL};

static int compare_f32(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static double quantile(const float *sorted, size_t n, double q) {
  double at = q * (double)(n - 1);
  size_t i = (size_t)at;
  if (i + 1 >= n) return (double)sorted[n - 1];
  return (double)sorted[i] + (at - (double)i) * ((double)sorted[i + 1] - (double)sorted[i]);
}

/* Mean and deviation of the n values that are there; two passes. */
static void moments(const float *v, size_t n, double *mean, double *deviation) {
  double sum = 0, squares = 0;
  for (size_t i = 0; i < n; i++) sum += (double)v[i];
  *mean = n ? sum / (double)n : 0;
  for (size_t i = 0; i < n; i++) squares += ((double)v[i] - *mean) * ((double)v[i] - *mean);
  *deviation = n ? sqrt(squares / (double)n) : 0;
}

garam_status scaler_fit(scaler *out, scaler_kind kind, double clip, const dataset *d, row_set rows,
                        garam_error *err) {
  *out = (scaler){.n = d->n_features, .clip = (float)clip};
  out->center = mem_array(out->n, sizeof *out->center);
  out->inverse = mem_array(out->n, sizeof *out->inverse);
  float *values = mem_array(rows.n + 1, sizeof *values);
  if (!out->center || !out->inverse || !values) {
    mem_free(values);
    scaler_deinit(out);
    return fail_memory(err, (rows.n + 2 * out->n) * sizeof *values);
  }
  for (size_t j = 0; j < out->n; j++) {
    size_t n = 0;
    for (size_t i = 0; i < rows.n; i++) {
      float v = d->x[rows.rows[i] * out->n + j];
      if (isfinite(v)) values[n++] = v;
    }
    double center, spread;
    moments(values, n, &center, &spread);
    if (kind == SCALER_ROBUST && n > 0) {
      qsort(values, n, sizeof *values, compare_f32);
      double range = (quantile(values, n, 0.75) - quantile(values, n, 0.25)) / 1.3489795003921634;
      center = quantile(values, n, 0.5);
      if (range > 0) spread = range; /* mostly one value: the deviation says more */
    }
    double inverse = spread > 0 ? 1 / spread : 0;
    out->center[j] = (float)center;
    out->inverse[j] = isfinite((float)inverse) ? (float)inverse : 0;
  }
  mem_free(values);
  return GARAM_OK;
}

void scaler_deinit(scaler *s) {
  mem_free(s->center);
  mem_free(s->inverse);
  *s = (scaler){0};
}

void scaler_apply(const scaler *s, float *out, const float *x, size_t n_rows) {
  float limit = s->clip > 0 ? s->clip : INFINITY;
  for (size_t i = 0; i < n_rows; i++)
    for (size_t j = 0; j < s->n; j++) {
      float v = (x[i * s->n + j] - s->center[j]) * s->inverse[j];
      v = v > limit ? limit : v < -limit ? -limit : v;
      out[i * s->n + j] = isfinite(v) ? v : 0;
    }
}
