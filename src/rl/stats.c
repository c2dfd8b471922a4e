/* Aggregates, and what they would have been had other runs been drawn. */
#include "rl/stats.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const stats_kind_names[] = {"iqm", "mean", "median", "optimality_gap", NULL};

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double stats_quantile(const double *sorted, size_t n, double q) {
  if (n == 0) return (double)NAN;
  const double at = q * (double)(n - 1);
  const size_t low = (size_t)at, high = low + 1 < n ? low + 1 : low;
  return sorted[low] + (at - (double)low) * (sorted[high] - sorted[low]);
}

/* scipy.stats.trim_mean(x, 0.25): a quarter, rounded down, is cut from each end. */
static double trimmed_mean(double *x, size_t n) {
  const size_t cut = n / 4;
  double sum = 0;
  qsort(x, n, sizeof *x, ascending);
  for (size_t i = cut; i < n - cut; i++) sum += x[i];
  return sum / (double)(n - 2 * cut);
}

static double median_of_means(stats_scores s, double *mean) {
  for (size_t t = 0; t < s.n_tasks; t++) {
    mean[t] = 0;
    for (size_t r = 0; r < s.n_runs; r++) mean[t] += s.x[r * s.n_tasks + t] / (double)s.n_runs;
  }
  qsort(mean, s.n_tasks, sizeof *mean, ascending);
  return stats_quantile(mean, s.n_tasks, 0.5);
}

double stats_aggregate(stats_kind kind, stats_scores s, double *scratch) {
  const size_t n = s.n_runs * s.n_tasks;
  double sum = 0;
  if (n == 0) return (double)NAN;
  switch (kind) {
  case STATS_IQM: memcpy(scratch, s.x, n * sizeof *scratch); return trimmed_mean(scratch, n);
  case STATS_MEDIAN: return median_of_means(s, scratch);
  case STATS_MEAN:
    for (size_t i = 0; i < n; i++) sum += s.x[i];
    return sum / (double)n;
  case STATS_OPTIMALITY_GAP:
    for (size_t i = 0; i < n; i++) sum += fmin(s.x[i], 1);
    return 1 - sum / (double)n;
  }
  return (double)NAN;
}

/* ---- the bootstrap -------------------------------------------------------------------------- */

/* Within each task, runs with replacement (Agarwal et al., section 4.1). */
static void draw(double *out, stats_scores s, rng *r) {
  for (size_t t = 0; t < s.n_tasks; t++)
    for (size_t i = 0; i < s.n_runs; i++)
      out[i * s.n_tasks + t] = s.x[rng_below(r, s.n_runs) * s.n_tasks + t];
}

static void percentiles(stats_interval *out, double *values, size_t n) {
  qsort(values, n, sizeof *values, ascending);
  out->low = stats_quantile(values, n, 0.025);
  out->high = stats_quantile(values, n, 0.975);
}

garam_status stats_bootstrap(stats_interval *out, stats_kind kind, stats_scores s, uint64_t seed,
                             garam_error *err) {
  const size_t n = s.n_runs * s.n_tasks;
  double *drawn = mem_array(2 * n + STATS_DRAWS + 1, sizeof *drawn);
  if (!drawn) return fail_memory(err, (2 * n + STATS_DRAWS) * sizeof *drawn);
  double *scratch = drawn + n, *values = scratch + n;
  const double value = stats_aggregate(kind, s, scratch);
  *out = (stats_interval){value, value, value};
  if (s.n_runs > 1 && n > 0) {
    for (uint64_t i = 0; i < STATS_DRAWS; i++) {
      rng r;
      rng_init(&r, seed, RNG_BOOTSTRAP, i);
      draw(drawn, s, &r);
      values[i] = stats_aggregate(kind, (stats_scores){drawn, s.n_runs, s.n_tasks}, scratch);
    }
    percentiles(out, values, STATS_DRAWS);
  }
  mem_free(drawn);
  return GARAM_OK;
}

garam_status stats_mean(stats_interval *out, const double *x, size_t n, uint64_t seed,
                        garam_error *err) {
  return stats_bootstrap(out, STATS_MEAN, (stats_scores){x, n, 1}, seed, err);
}

/* ---- one against another ----------------------------------------------------------------------
 */

double stats_improvement(stats_scores x, stats_scores y) {
  REQUIRE(x.n_tasks == y.n_tasks, "stats_improvement: %zu tasks against %zu", x.n_tasks, y.n_tasks);
  if (x.n_runs == 0 || y.n_runs == 0 || x.n_tasks == 0) return (double)NAN;
  double sum = 0;
  for (size_t t = 0; t < x.n_tasks; t++)
    for (size_t i = 0; i < x.n_runs; i++)
      for (size_t j = 0; j < y.n_runs; j++) {
        const double a = x.x[i * x.n_tasks + t], b = y.x[j * y.n_tasks + t];
        sum += a > b ? 1 : a < b ? 0 : 0.5;
      }
  return sum / (double)(x.n_runs * y.n_runs * x.n_tasks);
}

garam_status stats_improvement_bootstrap(stats_interval *out, stats_scores x, stats_scores y,
                                         uint64_t seed, garam_error *err) {
  const size_t n = x.n_runs * x.n_tasks, m = y.n_runs * y.n_tasks;
  double *a = mem_array(n + m + STATS_DRAWS + 1, sizeof *a);
  if (!a) return fail_memory(err, (n + m + STATS_DRAWS) * sizeof *a);
  double *b = a + n, *values = b + m;
  const double value = stats_improvement(x, y);
  *out = (stats_interval){value, value, value};
  if (n > 0 && m > 0) {
    for (uint64_t i = 0; i < STATS_DRAWS; i++) {
      rng r;
      rng_init(&r, seed, RNG_BOOTSTRAP, i);
      draw(a, x, &r);
      draw(b, y, &r);
      values[i] = stats_improvement((stats_scores){a, x.n_runs, x.n_tasks},
                                    (stats_scores){b, y.n_runs, y.n_tasks});
    }
    percentiles(out, values, STATS_DRAWS);
  }
  mem_free(a);
  return GARAM_OK;
}

/* ---- performance profiles ----------------------------------------------------------------------
 */

static double share_over(stats_scores s, double tau) {
  size_t over = 0, n = s.n_runs * s.n_tasks;
  for (size_t i = 0; i < n; i++) over += s.x[i] > tau;
  return (double)over / (double)n;
}

garam_status stats_profile(stats_interval *out, stats_scores s, const double *tau, size_t n_tau,
                           uint64_t seed, garam_error *err) {
  enum { DRAWS = 2000 }; /* as rliable has it for profiles */
  const size_t n = s.n_runs * s.n_tasks;
  double *drawn = mem_array(n + DRAWS * n_tau + 1, sizeof *drawn);
  if (!drawn) return fail_memory(err, (n + DRAWS * n_tau) * sizeof *drawn);
  double *values = drawn + n;
  for (uint64_t i = 0; n > 0 && i < DRAWS; i++) {
    rng r;
    rng_init(&r, seed, RNG_BOOTSTRAP, i);
    draw(drawn, s, &r);
    for (size_t k = 0; k < n_tau; k++)
      values[k * DRAWS + i] = share_over((stats_scores){drawn, s.n_runs, s.n_tasks}, tau[k]);
  }
  for (size_t k = 0; k < n_tau; k++) {
    out[k] = (stats_interval){(double)NAN, (double)NAN, (double)NAN};
    if (n == 0) continue;
    out[k].value = share_over(s, tau[k]);
    percentiles(&out[k], values + k * DRAWS, DRAWS);
  }
  mem_free(drawn);
  return GARAM_OK;
}
