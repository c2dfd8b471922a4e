/* Conformal intervals: see conformal.h. */
#include "learn/conformal.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_f64(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int compare_f32(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* From 1: the place among n sorted scores that a share of 1 - alpha is at or under; n + 1: none. */
static size_t place_of(size_t n, double alpha) {
  double rank = ceil((double)(n + 1) * (1 - alpha) - 1e-9);
  return rank < 1 ? 1 : rank > (double)n ? n + 1 : (size_t)rank;
}

double conformal_quantile_regression(const float *low, const float *high, const float *y, size_t n,
                                     double alpha) {
  float *score = mem_array(n + 1, sizeof *score);
  if (!score) return NAN;
  for (size_t i = 0; i < n; i++) score[i] = fmaxf(low[i] - y[i], y[i] - high[i]);
  qsort(score, n, sizeof *score, compare_f32);
  size_t place = place_of(n, alpha);
  double out = place > n ? INFINITY : (double)score[place - 1];
  mem_free(score);
  return out;
}

void conformal_cross(double *low, double *high, const float *residual, const uint32_t *of, size_t n,
                     const float *said, double alpha, double *scratch) {
  double *under = scratch, *over = scratch + n;
  for (size_t i = 0; i < n; i++) {
    under[i] = (double)said[of[i]] - (double)residual[i];
    over[i] = (double)said[of[i]] + (double)residual[i];
  }
  qsort(under, n, sizeof *under, compare_f64);
  qsort(over, n, sizeof *over, compare_f64);
  size_t place = place_of(n, alpha);
  *low = place > n ? -INFINITY : under[n - place];
  *high = place > n ? INFINITY : over[place - 1];
}

void conformal_out_of_bag(float *out, const float *said, const uint8_t *in_bag, size_t models,
                          size_t n, const float *y) {
  for (size_t i = 0; i < n; i++) {
    double sum = 0, count = 0;
    for (size_t m = 0; m < models; m++) {
      if (in_bag[m * n + i]) continue;
      sum += (double)said[m * n + i];
      count++;
    }
    out[i] = count > 0 ? (float)((double)y[i] - sum / count) : NAN;
  }
}

garam_status conformal_window_init(conformal_window *w, size_t capacity, double target,
                                   double gamma, garam_error *err) {
  REQUIRE(capacity > 0, "conformal_window_init: no room");
  *w = (conformal_window){.target = target, .gamma = gamma, .level = target, .capacity = capacity};
  w->ring = mem_array(capacity, sizeof *w->ring);
  w->sorted = mem_array(capacity, sizeof *w->sorted);
  if (w->ring && w->sorted) return GARAM_OK;
  conformal_window_deinit(w);
  return fail_memory(err, 2 * capacity * sizeof *w->ring);
}

void conformal_window_deinit(conformal_window *w) {
  mem_free(w->ring);
  mem_free(w->sorted);
  *w = (conformal_window){0};
}

double conformal_window_limit(const conformal_window *w) {
  if (w->level <= 0) return INFINITY;
  if (w->level >= 1) return -INFINITY;
  size_t place = place_of(w->n, w->level);
  return place > w->n ? INFINITY : (double)w->sorted[place - 1];
}

/* Where in the sorted scores the first one at or over v stands. */
static size_t find(const conformal_window *w, float v) {
  size_t low = 0, high = w->n;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (w->sorted[middle] < v) low = middle + 1;
    else high = middle;
  }
  return low;
}

void conformal_window_learn(conformal_window *w, double score, bool missed) {
  w->level += w->gamma * (w->target - (missed ? 1 : 0));
  if (!isfinite(score)) return;
  float v = (float)score;
  if (w->n == w->capacity) {
    size_t at = find(w, w->ring[w->next]);
    memmove(w->sorted + at, w->sorted + at + 1, (w->n - at - 1) * sizeof *w->sorted);
    w->n--;
  }
  size_t at = find(w, v);
  memmove(w->sorted + at + 1, w->sorted + at, (w->n - at) * sizeof *w->sorted);
  w->sorted[at] = v;
  w->n++;
  w->ring[w->next] = v;
  w->next = (w->next + 1) % w->capacity;
}
