/* Novelty: see novelty.h. */
#include "learn/novelty.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 10 };

void novelty_deinit(novelty *v) {
  mem_free(v->center);
  mem_free(v->scale);
  mem_free(v->rows);
  *v = (novelty){0};
}

static int compare_f64(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void fit_scale(novelty *v, const dataset *d, row_set rows, const double *importance) {
  double total = 0;
  for (size_t j = 0; importance && j < v->n_features; j++) total += fabs(importance[j]);
  for (size_t j = 0; j < v->n_features; j++) {
    double sum = 0, squares = 0, n = 0, share = 1;
    for (size_t i = 0; i < rows.n; i++) {
      float x = d->x[rows.rows[i] * v->n_features + j];
      if (isfinite(x)) sum += (double)x, n++;
    }
    double mean = n > 0 ? sum / n : 0;
    for (size_t i = 0; i < rows.n; i++) {
      float x = d->x[rows.rows[i] * v->n_features + j];
      if (isfinite(x)) squares += ((double)x - mean) * ((double)x - mean);
    }
    double deviation = n > 0 ? sqrt(squares / n) : 0;
    if (total > 0) share = fabs(importance[j]) / total * (double)v->n_features;
    v->center[j] = (float)mean;
    v->scale[j] = deviation > 0 ? (float)(share / deviation) : 0;
    if (!isfinite(v->scale[j])) v->scale[j] = 0;
  }
}

static void scaled(const novelty *v, float *out, const float *x) {
  for (size_t j = 0; j < v->n_features; j++)
    out[j] = isfinite(x[j]) ? (x[j] - v->center[j]) * v->scale[j] : 0;
}

static double distance(const float *a, const float *b, size_t n) {
  double sum = 0;
  for (size_t j = 0; j < n; j++) sum += (double)((a[j] - b[j]) * (a[j] - b[j]));
  return sqrt(sum);
}

garam_status novelty_fit(novelty *out, const dataset *d, row_set rows, const double *importance,
                         size_t most, garam_error *err) {
  size_t n = rows.n < most ? rows.n : most, width = d->n_features, size = 0;
  garam_status status = GARAM_OK;
  double sum = 0, pairs = 0, *nearest = NULL;
  *out = (novelty){.n = n, .n_features = width};
  if (n < 2 * BLOCKS)
    return fail(err, GARAM_INVALID, "%zu training rows are too few to say what is new", n);
  out->center = mem_array(width, sizeof *out->center);
  out->scale = mem_array(width, sizeof *out->scale);
  if (size_mul(&size, n, width)) out->rows = mem_array(size, sizeof *out->rows);
  nearest = mem_array(n, sizeof *nearest);
  if (!out->center || !out->scale || !out->rows || !nearest) {
    status = fail_memory(err, size * sizeof *out->rows);
    goto done;
  }
  fit_scale(out, d, rows, importance);
  for (size_t i = 0; i < n; i++)
    scaled(out, out->rows + i * width, d->x + rows.rows[i * rows.n / n] * width);
  for (size_t i = 0; i < n; i++) {
    nearest[i] = INFINITY;
    for (size_t j = 0; j < n; j++) {
      double far = distance(out->rows + i * width, out->rows + j * width, width);
      if (i != j) sum += far, pairs++;
      if (i * BLOCKS / n != j * BLOCKS / n && far < nearest[i]) nearest[i] = far;
    }
  }
  out->mean_distance = sum / pairs;
  if (!(out->mean_distance > 0) || !isfinite(out->mean_distance)) {
    status = fail(err, GARAM_INVALID, "the training rows are all alike: nothing can be new");
    goto done;
  }
  qsort(nearest, n, sizeof *nearest, compare_f64);
  double low = nearest[n / 4], high = nearest[3 * n / 4], whisker = high + 1.5 * (high - low);
  size_t last = n - 1;
  while (last > 0 && nearest[last] > whisker) last--;
  out->threshold = nearest[last] / out->mean_distance;
  if (!(out->threshold > 0)) out->threshold = 1e-9;
done:
  mem_free(nearest);
  if (status != GARAM_OK) novelty_deinit(out);
  return status;
}

double novelty_index(const novelty *v, const float *x) {
  double least = INFINITY;
  for (size_t i = 0; i < v->n; i++) {
    const float *row = v->rows + i * v->n_features;
    double sum = 0;
    for (size_t j = 0; j < v->n_features && sum < least; j++) {
      float u = isfinite(x[j]) ? (x[j] - v->center[j]) * v->scale[j] : 0;
      sum += (double)((u - row[j]) * (u - row[j]));
    }
    least = sum < least ? sum : least;
  }
  return sqrt(least) / v->mean_distance / v->threshold;
}

garam_status novelty_save(const novelty *v, package_writer *w, const char *prefix,
                          garam_error *err) {
  char name[96];
  int64_t dims[2] = {(int64_t)v->n, (int64_t)v->n_features}, two = 2;
  snprintf(name, sizeof name, "%scenter", prefix);
  TRY(package_add(w, name, PACKAGE_F32, 1, dims + 1, v->center, err));
  snprintf(name, sizeof name, "%sscale", prefix);
  TRY(package_add(w, name, PACKAGE_F32, 1, dims + 1, v->scale, err));
  snprintf(name, sizeof name, "%srows", prefix);
  TRY(package_add(w, name, PACKAGE_F32, 2, dims, v->rows, err));
  snprintf(name, sizeof name, "%slimits", prefix);
  return package_add(w, name, PACKAGE_F64, 1, &two, &v->mean_distance, err);
}

garam_status novelty_load(novelty *out, size_t n_features, const package_reader *r,
                          const char *prefix, garam_error *err) {
  char name[96];
  const package_tensor *center, *scale, *rows, *limits;
  int64_t dims[2] = {-1, (int64_t)n_features}, two = 2;
  *out = (novelty){0};
  snprintf(name, sizeof name, "%scenter", prefix);
  TRY(package_get_finite(&center, r, name, PACKAGE_F32, 1, dims + 1, err));
  snprintf(name, sizeof name, "%sscale", prefix);
  TRY(package_get_finite(&scale, r, name, PACKAGE_F32, 1, dims + 1, err));
  snprintf(name, sizeof name, "%srows", prefix);
  TRY(package_get_finite(&rows, r, name, PACKAGE_F32, 2, dims, err));
  snprintf(name, sizeof name, "%slimits", prefix);
  TRY(package_get_finite(&limits, r, name, PACKAGE_F64, 1, &two, err));
  out->n = (size_t)rows->dims[0];
  out->n_features = n_features;
  memcpy(&out->mean_distance, limits->data, limits->bytes);
  if (out->n == 0 || !(out->mean_distance > 0) || !(out->threshold > 0))
    return fail(err, GARAM_CORRUPT, "%s: \"%s\": no measure of distance", package_name(r), name);
  out->center = mem_array(n_features, sizeof *out->center);
  out->scale = mem_array(n_features, sizeof *out->scale);
  out->rows = mem_array(rows->count, sizeof *out->rows);
  if (!out->center || !out->scale || !out->rows) {
    novelty_deinit(out);
    return fail_memory(err, rows->bytes);
  }
  memcpy(out->center, center->data, center->bytes);
  memcpy(out->scale, scale->data, scale->bytes);
  memcpy(out->rows, rows->data, rows->bytes);
  return GARAM_OK;
}
