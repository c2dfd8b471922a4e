/* Conformal sets that follow drift, beside the fixed ones, overall and in calm, usual and rough
 * times: adaptive conformal inference (conformal.h) over the scored rows in time, each outcome
 * counted once it is known. Until enough are, the fixed limit of the validation part stands in. */
#include "learn/evaluate_inner.h"

#include "base/mem.h"
#include "learn/conformal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 500, LEAST_SCORES = 100, REGIMES = 3 };
#define GAMMA 0.005 /* Gibbs & Candes 2021, section 2.2 */

static const char *const regime_names[REGIMES] = {"calm", "usual", "rough"};

typedef struct outcome {
  int64_t time;
  uint32_t at;
} outcome;

static int compare_outcomes(const void *a, const void *b) {
  const outcome *x = a, *y = b;
  if (x->time != y->time) return x->time < y->time ? -1 : 1;
  return x->at < y->at ? -1 : x->at > y->at;
}

static int compare_f32(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* How far the truth is from what was said; a set or interval holds it up to a limit. */
static double score_of(const evaluation *e, size_t i) {
  if (e->k == 0) return fabs((double)e->out[i] - (double)e->value[i]);
  return 1 - (double)e->out[i * (size_t)e->k + (size_t)e->y[i]];
}

/* Classes in the set, or half the width of the interval. */
static double size_of(const evaluation *e, size_t i, double limit) {
  double n = 0;
  if (e->k == 0) return limit;
  for (int c = 0; c < e->k; c++) n += 1 - (double)e->out[i * (size_t)e->k + (size_t)c] <= limit;
  return n;
}

/* limit (n) of each scored row, in order of time. */
static garam_status adapt(double *limit, const evaluation *e, garam_error *err) {
  conformal_window w;
  const dataset *d = e->d;
  const int64_t *end = d->label_end ? d->label_end : d->known_at;
  outcome *known = mem_array(e->n, sizeof *known);
  if (!known) return fail_memory(err, e->n * sizeof *known);
  garam_status status = conformal_window_init(&w, WINDOW, 1 - PIPELINE_TARGET, GAMMA, err);
  size_t next = 0;
  for (size_t i = 0; i < e->n; i++) known[i] = (outcome){end[e->rows[i]], (uint32_t)i};
  qsort(known, e->n, sizeof *known, compare_outcomes);
  for (size_t i = 0; i < e->n && status == GARAM_OK; i++) {
    for (; next < e->n && known[next].time <= d->known_at[e->rows[i]]; next++) {
      size_t at = known[next].at;
      double score = score_of(e, at);
      if (at < i) conformal_window_learn(&w, score, score > limit[at]);
    }
    limit[i] = w.n < LEAST_SCORES ? e->p->conformal : conformal_window_limit(&w);
  }
  conformal_window_deinit(&w);
  mem_free(known);
  return status;
}

/* The feature that says how rough times are: the first named after volatility. */
static bool volatility_of(size_t *out, const dataset *d) {
  for (size_t j = 0; d->feature_names && j < d->n_features; j++)
    if (strstr(d->feature_names[j], "volatility")) {
      *out = j;
      return true;
    }
  return false;
}

static json_t *summary(const evaluation *e, const double *limit, const uint8_t *regime, int which) {
  double n = 0, fixed = 0, adaptive = 0, size = 0, finite = 0;
  for (size_t i = 0; i < e->n; i++) {
    if (which >= 0 && regime[i] != which) continue;
    double score = score_of(e, i), s = size_of(e, i, limit[i]);
    n++;
    fixed += score <= e->p->conformal;
    adaptive += score <= limit[i];
    if (isfinite(s)) size += s, finite++;
  }
  json_t *o =
      json_pack("{s:I, s:o, s:o, s:o}", "rows", (json_int_t)n, "fixed",
                json_number_or_null(fixed / n), "adaptive", json_number_or_null(adaptive / n),
                e->k > 0 ? "mean_size" : "half_width", json_number_or_null(size / finite));
  if (o && which >= 0 && json_object_set_new(o, "regime", json_string(regime_names[which])) != 0) {
    json_decref(o);
    return NULL;
  }
  return o;
}

garam_status evaluate_conformal(evaluation *e, garam_error *err) {
  const dataset *d = e->d;
  size_t feature;
  if (!d->known_at || e->n == 0 || d->task == TASK_RANKING) return GARAM_OK;
  double *limit = mem_array(e->n, sizeof *limit);
  uint8_t *regime = mem_array(e->n, 1);
  float *sorted = mem_array(e->n, sizeof *sorted);
  garam_status status =
      limit && regime && sorted ? adapt(limit, e, err) : fail_memory(err, e->n * sizeof *limit);
  if (status == GARAM_OK) {
    json_t *o = summary(e, limit, regime, -1), *array = NULL;
    if (volatility_of(&feature, d)) {
      array = json_array();
      for (size_t i = 0; i < e->n; i++) sorted[i] = d->x[e->rows[i] * d->n_features + feature];
      qsort(sorted, e->n, sizeof *sorted, compare_f32);
      for (size_t i = 0; i < e->n; i++) {
        float v = d->x[e->rows[i] * d->n_features + feature];
        regime[i] = (uint8_t)((v >= sorted[e->n / 3]) + (v >= sorted[2 * e->n / 3]));
      }
      for (int r = 0; r < REGIMES; r++)
        if (json_array_append_new(array, summary(e, limit, regime, r)) != 0) e->no_memory = true;
    }
    if (array && (!o || json_object_set(o, "by_regime", array) != 0)) e->no_memory = true;
    json_decref(array);
    evaluation_put(e, e->detail, "conformal", o);
  }
  mem_free(limit);
  mem_free(regime);
  mem_free(sorted);
  return status;
}
