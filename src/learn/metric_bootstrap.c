/* Intervals for scores of rows that lean on their neighbours: the circular block bootstrap
 * (Politis & Romano 1992). Blocks of consecutive rows are drawn, going round from the last row to
 * the first, so that every row is as likely as any other. */
#include "learn/metric.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_f64(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

/* Linear between order statistics. */
static double quantile(const double *sorted, size_t n, double q) {
  double at = q * (double)(n - 1);
  size_t i = (size_t)at;
  if (i + 1 >= n) return sorted[n - 1];
  return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

static void central_95(double *low, double *high, double *values, size_t n) {
  size_t m = 0;
  for (size_t i = 0; i < n; i++)
    if (!isnan(values[i])) values[m++] = values[i];
  *low = *high = NAN;
  if (m == 0) return;
  qsort(values, m, sizeof *values, compare_f64);
  *low = quantile(values, m, 0.025);
  *high = quantile(values, m, 0.975);
}

/* Calls take(context, begin, end) for the pieces of one resample of n rows. */
typedef void (*take_fn)(void *context, size_t begin, size_t end);
static void resample(size_t n, size_t block, uint64_t seed, int number, take_fn take,
                     void *context) {
  rng r;
  rng_init(&r, seed, RNG_BOOTSTRAP, (uint64_t)number);
  for (size_t taken = 0; taken < n;) {
    size_t length = block < n - taken ? block : n - taken;
    size_t begin = (size_t)rng_below(&r, n), end = begin + length;
    take(context, begin, end < n ? end : n);
    if (end > n) take(context, 0, end - n);
    taken += length;
  }
}

typedef struct mean_context {
  const double *prefix; /* (n + 1) */
  double sum;
} mean_context;

static void take_mean(void *context, size_t begin, size_t end) {
  mean_context *c = context;
  c->sum += c->prefix[end] - c->prefix[begin];
}

void metric_block_bootstrap(double *low, double *high, const double *score, size_t n, size_t block,
                            int resamples, uint64_t seed) {
  *low = *high = NAN;
  if (n == 0 || resamples < 1) return;
  if (block < 1) block = 1;
  if (block > n) block = n;
  double *prefix = mem_array(n + 1, sizeof *prefix);
  double *means = mem_array((size_t)resamples, sizeof *means);
  if (prefix && means) {
    for (size_t i = 0; i < n; i++) prefix[i + 1] = prefix[i] + score[i];
    for (int r = 0; r < resamples; r++) {
      mean_context c = {.prefix = prefix};
      resample(n, block, seed, r, take_mean, &c);
      means[r] = c.sum / (double)n;
    }
    central_95(low, high, means, (size_t)resamples);
  }
  mem_free(prefix);
  mem_free(means);
}

/* Macro-F1 needs, for each class, how often it was true, predicted, and both. With few classes
 * running sums answer a block at once; with many the rows are counted. */
enum { PREFIX_CLASSES = 8 };
typedef struct f1_context {
  const int32_t *predicted, *y;
  const uint32_t *prefix; /* (n + 1, 3K) or NULL */
  size_t *counts;         /* (3K): true, predicted, both */
  size_t k;
} f1_context;

static void take_f1(void *context, size_t begin, size_t end) {
  f1_context *c = context;
  size_t k = c->k;
  if (c->prefix) {
    const uint32_t *to = c->prefix + end * 3 * k, *from = c->prefix + begin * 3 * k;
    for (size_t j = 0; j < 3 * k; j++) c->counts[j] += to[j] - from[j];
    return;
  }
  for (size_t i = begin; i < end; i++) {
    c->counts[c->y[i]]++;
    c->counts[k + (size_t)c->predicted[i]]++;
    if (c->y[i] == c->predicted[i]) c->counts[2 * k + (size_t)c->y[i]]++;
  }
}

static double f1_of(const size_t *counts, size_t k) {
  double sum = 0;
  size_t seen = 0;
  for (size_t c = 0; c < k; c++) {
    size_t either = counts[c] + counts[k + c];
    if (either == 0) continue;
    seen++;
    sum += 2.0 * (double)counts[2 * k + c] / (double)either;
  }
  return seen ? sum / (double)seen : NAN;
}

void metric_block_bootstrap_f1(double *low, double *high, const int32_t *predicted,
                               const int32_t *y, size_t n, int k, size_t block, int resamples,
                               uint64_t seed) {
  *low = *high = NAN;
  if (n == 0 || resamples < 1) return;
  if (block < 1) block = 1;
  if (block > n) block = n;
  size_t width = 3 * (size_t)k;
  uint32_t *prefix = k <= PREFIX_CLASSES ? mem_array((n + 1) * width, sizeof *prefix) : NULL;
  double *scores = mem_array((size_t)resamples, sizeof *scores);
  size_t *counts = mem_array(width, sizeof *counts);
  if (scores && counts) {
    for (size_t i = 0; prefix && i < n; i++) {
      uint32_t *at = prefix + (i + 1) * width;
      memcpy(at, at - width, width * sizeof *at);
      at[y[i]]++;
      at[k + predicted[i]]++;
      if (y[i] == predicted[i]) at[2 * k + y[i]]++;
    }
    for (int r = 0; r < resamples; r++) {
      f1_context c = {predicted, y, prefix, counts, (size_t)k};
      memset(counts, 0, width * sizeof *counts);
      resample(n, block, seed, r, take_f1, &c);
      scores[r] = f1_of(counts, (size_t)k);
    }
    central_95(low, high, scores, (size_t)resamples);
  }
  mem_free(prefix);
  mem_free(scores);
  mem_free(counts);
}
