/* Conformal intervals: see conformal.h. */
#include "learn/conformal.h"

#include "base/mem.h"

#include <float.h>
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

/* Doubles as whole numbers in the same order. */
static int64_t ordered(double v) {
  int64_t bits;
  memcpy(&bits, &v, sizeof bits);
  return bits < 0 ? INT64_MIN - bits : bits;
}

static double from_ordered(int64_t at) {
  double v;
  int64_t bits = at < 0 ? INT64_MIN - at : at;
  memcpy(&v, &bits, sizeof v);
  return v;
}

/* How many of said[f] + sign r are at or under v. */
static size_t count_to(const float *residual, const uint32_t *begin, const float *said,
                       size_t folds, double sign, double v) {
  size_t n = 0;
  for (size_t f = 0; f < folds; f++) {
    size_t low = begin[f], high = begin[f + 1];
    while (low < high) { /* rising: the first over v; falling: the first at or under it */
      size_t middle = low + (high - low) / 2;
      bool under = (double)said[f] + sign * (double)residual[middle] <= v;
      if (under == (sign > 0)) low = middle + 1;
      else high = middle;
    }
    n += sign > 0 ? low - begin[f] : begin[f + 1] - low;
  }
  return n;
}

/* The place-th smallest, from 1, by bisection over all doubles there are. */
static double select_place(const float *residual, const uint32_t *begin, const float *said,
                           size_t folds, double sign, size_t place) {
  int64_t low = ordered(-DBL_MAX), high = ordered(DBL_MAX);
  while (low < high) {
    int64_t middle = low + (int64_t)(((uint64_t)high - (uint64_t)low) / 2);
    if (count_to(residual, begin, said, folds, sign, from_ordered(middle)) >= place) high = middle;
    else low = middle + 1;
  }
  return from_ordered(low);
}

void conformal_cross_sorted(double *low, double *high, const float *residual, const uint32_t *begin,
                            const float *said, size_t folds, double alpha) {
  size_t n = begin[folds], place = place_of(n, alpha);
  *low = -INFINITY;
  *high = INFINITY;
  if (place > n) return;
  *low = select_place(residual, begin, said, folds, -1, n - place + 1);
  *high = select_place(residual, begin, said, folds, 1, place);
}

double conformal_limit(const double *score, size_t n, double alpha) {
  double *sorted = mem_array(n + 1, sizeof *sorted);
  if (!sorted) return NAN;
  memcpy(sorted, score, n * sizeof *sorted);
  qsort(sorted, n, sizeof *sorted, compare_f64);
  size_t place = place_of(n, alpha);
  double out = place > n ? INFINITY : sorted[place - 1];
  mem_free(sorted);
  return out;
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
  conformal_window_add(w, score);
}

void conformal_window_clear(conformal_window *w) {
  w->level = w->target;
  w->n = w->next = 0;
}

void conformal_window_copy(conformal_window *to, const conformal_window *from) {
  REQUIRE(to->capacity == from->capacity, "conformal_window_copy: %zu scores into %zu", from->n,
          to->capacity);
  size_t oldest = from->n == from->capacity ? from->next : 0;
  to->level = from->level;
  to->n = from->n;
  to->next = from->n % from->capacity;
  for (size_t i = 0; i < from->n; i++) to->ring[i] = from->ring[(oldest + i) % from->capacity];
  memcpy(to->sorted, from->sorted, from->n * sizeof *to->sorted);
}

void conformal_window_add(conformal_window *w, double score) {
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
