/* Datasets: storage and windows. */
#include "learn/dataset.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

const char *const task_names[] = {"classification", "binary", "regression", "ranking", NULL};

garam_status dataset_new(dataset **out, task kind, size_t n_rows, size_t n_features, int n_classes,
                         garam_error *err) {
  *out = NULL;
  dataset *d = mem_zalloc(sizeof *d);
  if (!d) return fail_memory(err, sizeof *d);
  size_t n = 0;
  if (!size_mul(&n, n_rows, n_features) || n_rows > UINT32_MAX) {
    mem_free(d);
    return fail(err, GARAM_LIMIT, "%zu rows of %zu features are more than a dataset holds", n_rows,
                n_features);
  }
  *d = (dataset){.task = kind, .n_rows = n_rows, .n_features = n_features, .n_classes = n_classes};
  d->x = mem_array(n, sizeof *d->x);
  d->usable = mem_array(n_rows, 1);
  d->value = mem_array(n_rows, sizeof *d->value);
  if (n_classes > 0) d->y = mem_array(n_rows, sizeof *d->y);
  if (!d->x || !d->usable || !d->value || (n_classes > 0 && !d->y)) {
    dataset_free(d);
    return fail_memory(err, n * sizeof *d->x);
  }
  for (size_t i = 0; i < n_rows; i++) {
    d->usable[i] = 1;
    d->value[i] = NAN;
    if (d->y) d->y[i] = -1;
  }
  *out = d;
  return GARAM_OK;
}

static void names_free(char **names, size_t n) {
  for (size_t i = 0; names && i < n; i++) mem_free(names[i]);
  mem_free(names);
}

void dataset_free(dataset *d) {
  if (!d) return;
  names_free(d->feature_names, d->n_features);
  names_free(d->class_names, d->n_classes > 0 ? (size_t)d->n_classes : 0);
  mem_free(d->x);
  mem_free(d->y);
  mem_free(d->value);
  mem_free(d->weight);
  mem_free(d->group);
  mem_free(d->init);
  mem_free(d->known_at);
  mem_free(d->label_end);
  mem_free(d->series_begin);
  mem_free(d->categorical);
  mem_free(d->usable);
  mem_free(d);
}

bool dataset_labelled(const dataset *d, size_t row) {
  return d->n_classes > 0 ? d->y[row] >= 0 : isfinite(d->value[row]);
}

void dataset_gather(float *x, int32_t *begin, const dataset *d, const uint32_t *rows, size_t n,
                    size_t context) {
  size_t width = d->n_features;
  for (size_t i = 0; i < n; i++) {
    size_t first = d->series_begin ? d->series_begin[rows[i]] : 0;
    size_t there = rows[i] + (size_t)1 - first;
    if (there > context) there = context;
    size_t padding = context - there;
    float *window = x + i * context * width;
    memset(window, 0, padding * width * sizeof *window);
    memcpy(window + padding * width, d->x + (rows[i] + 1 - there) * width,
           there * width * sizeof *window);
    if (begin) begin[i] = (int32_t)padding;
  }
}
