/* Drift detectors: see drift.h. */
#include "ensemble/drift.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const drift_kind_names[] = {"none", "adwin", "page-hinkley", NULL};

const opt_row drift_options[] = {
    {"drift", OPT_ENUM, OPT_AT(drift_config, kind), .choices = drift_kind_names,
     .help = "what watches the ensemble's loss; an alarm begins its weights anew"},
    {"drift-confidence", OPT_F64, OPT_AT(drift_config, confidence), .def = 0.002, .min = 1e-12,
     .max = 0.5, .scale = OPT_LOG, .help = "adwin: chance of a false alarm"},
    {"drift-slack", OPT_F64, OPT_AT(drift_config, slack), .def = 0.1, .min = 0, .max = 100,
     .unit = "deviations", .help = "page-hinkley: rise over the mean that is no drift"},
    {"drift-threshold", OPT_F64, OPT_AT(drift_config, threshold), .def = 50, .min = 0.1, .max = 1e9,
     .unit = "deviations", .help = "page-hinkley: sum of rises that is a drift"},
    {"drift-least", OPT_INT, OPT_AT(drift_config, least), .def = 30, .min = 2, .max = 1000000,
     .unit = "outcomes", .help = "outcomes before the first alarm"},
};
const size_t drift_n_options = COUNT_OF(drift_options);

enum { CUT_EVERY = 8, LEAST_PART = 5 };

void drift_init(drift *d, const drift_config *config) {
  *d = (drift){.config = *config};
}

double drift_mean(const drift *d) {
  return d->n > 0 ? d->sum / d->n : NAN;
}

double drift_length(const drift *d) {
  return d->n;
}

/* ---- adwin ----------------------------------------------------------------------------------- */

/* Sum of squares about the common mean of two parts. */
static double joined(double sum_a, double squares_a, double n_a, double sum_b, double squares_b,
                     double n_b) {
  if (n_a == 0) return squares_b;
  if (n_b == 0) return squares_a;
  double gap = sum_a / n_a - sum_b / n_b;
  return squares_a + squares_b + gap * gap * n_a * n_b / (n_a + n_b);
}

static void drop_bucket(struct drift_level *l) {
  l->n--;
  memmove(l->sum, l->sum + 1, (size_t)l->n * sizeof *l->sum);
  memmove(l->squares, l->squares + 1, (size_t)l->n * sizeof *l->squares);
}

static void adwin_add(drift *d, double value) {
  d->squares = joined(d->sum, d->squares, d->n, value, 0, 1);
  d->sum += value;
  d->n++;
  double sum = value, squares = 0, size = 1;
  for (int i = 0; i < DRIFT_LEVELS; i++, size *= 2) {
    struct drift_level *l = &d->level[i];
    int at = (int)l->n++;
    l->sum[at] = sum;
    l->squares[at] = squares;
    if (l->n <= DRIFT_BUCKETS || i + 1 == DRIFT_LEVELS) break;
    sum = l->sum[0] + l->sum[1]; /* the two oldest become one of the next level */
    squares = joined(l->sum[0], l->squares[0], size, l->sum[1], l->squares[1], size);
    drop_bucket(l);
    drop_bucket(l);
  }
  if (d->level[DRIFT_LEVELS - 1].n > DRIFT_BUCKETS) drop_bucket(&d->level[DRIFT_LEVELS - 1]);
}

static void drop_oldest(drift *d) {
  int i = DRIFT_LEVELS - 1;
  while (i > 0 && d->level[i].n == 0) i--;
  struct drift_level *l = &d->level[i];
  double size = ldexp(1, i), sum = l->sum[0], squares = l->squares[0];
  double rest = d->n - size, rest_sum = d->sum - sum;
  double gap = rest > 0 ? sum / size - rest_sum / rest : 0;
  d->squares -= squares + gap * gap * size * rest / d->n;
  if (d->squares < 0 || rest <= 0) d->squares = 0;
  d->sum = rest > 0 ? rest_sum : 0;
  d->n = rest > 0 ? rest : 0;
  drop_bucket(l);
}

/* Theorem 3.2's variant for deviations that are not known beforehand (section 3.1 of the paper). */
static bool adwin_differs(const drift *d) {
  double old_n = 0, old_sum = 0;
  double log_term = log(2 * log(d->n) / d->config.confidence), variance = d->squares / d->n;
  for (int i = DRIFT_LEVELS - 1; i >= 0; i--) {
    const struct drift_level *l = &d->level[i];
    for (int b = 0; b < (int)l->n; b++) {
      old_n += ldexp(1, i);
      old_sum += l->sum[b];
      double new_n = d->n - old_n;
      if (old_n < LEAST_PART) continue;
      if (new_n < LEAST_PART) return false;
      double m = 1 / (1 / (old_n - LEAST_PART + 1) + 1 / (new_n - LEAST_PART + 1));
      double cut = sqrt(2 / m * variance * log_term) + 2 / (3 * m) * log_term * sqrt(variance);
      if (fabs(old_sum / old_n - (d->sum - old_sum) / new_n) > cut) return true;
    }
  }
  return false;
}

static bool adwin_update(drift *d, double value) {
  bool changed = false;
  adwin_add(d, value);
  if (fmod(d->ticks, CUT_EVERY) != 0 || d->n < (double)d->config.least) return false;
  while (d->n >= 2 * LEAST_PART && adwin_differs(d)) {
    drop_oldest(d);
    changed = true;
  }
  return changed;
}

/* ---- page-hinkley ---------------------------------------------------------------------------- */

static bool page_hinkley_update(drift *d, double value) {
  d->squares = joined(d->sum, d->squares, d->n, value, 0, 1);
  d->sum += value;
  d->n++;
  double deviation = sqrt(d->squares / d->n);
  d->rise += value - d->sum / d->n - d->config.slack * deviation;
  if (d->rise < d->least) d->least = d->rise;
  if (d->n < (double)d->config.least ||
      !(d->rise - d->least > d->config.threshold * deviation && deviation > 0))
    return false;
  d->n = d->sum = d->squares = d->rise = d->least = 0;
  return true;
}

bool drift_update(drift *d, double value) {
  bool alarm = false;
  if (d->config.kind == DRIFT_NONE || !isfinite(value)) return false;
  d->ticks++;
  alarm = d->config.kind == DRIFT_ADWIN ? adwin_update(d, value) : page_hinkley_update(d, value);
  d->alarms += alarm;
  return alarm;
}

/* ---- packages -------------------------------------------------------------------------------- */

enum { NUMBERS = (sizeof(drift) - offsetof(drift, n)) / sizeof(double) };
_Static_assert(NUMBERS == 7 + DRIFT_LEVELS * (1 + 2 * (DRIFT_BUCKETS + 1)), "state is doubles");

garam_status drift_save(const drift *d, package_writer *w, const char *prefix, garam_error *err) {
  char name[160];
  int64_t size = NUMBERS;
  snprintf(name, sizeof name, "%sdrift", prefix);
  return package_add(w, name, PACKAGE_F64, 1, &size, &d->n, err);
}

static bool is_sound(const drift *d) {
  double n = 0, sum = 0;
  if (!(d->n >= 0 && d->n <= d->ticks && d->ticks < 0x1p53 && d->squares >= 0 && d->alarms >= 0 &&
        d->alarms <= d->ticks && d->least <= 0))
    return false;
  for (int i = 0; i < DRIFT_LEVELS; i++) {
    const struct drift_level *l = &d->level[i];
    if (!(l->n >= 0 && l->n <= DRIFT_BUCKETS) || l->n != floor(l->n)) return false;
    for (int b = 0; b < (int)l->n; b++) {
      if (!(l->squares[b] >= 0)) return false;
      n += ldexp(1, i);
      sum += l->sum[b];
    }
  }
  return d->config.kind != DRIFT_ADWIN ||
         (n == d->n && fabs(sum - d->sum) <= 1e-6 * (1 + fabs(sum)));
}

garam_status drift_load(drift *out, const drift_config *config, const package_reader *r,
                        const char *prefix, garam_error *err) {
  char name[160];
  const package_tensor *t;
  int64_t size = NUMBERS;
  snprintf(name, sizeof name, "%sdrift", prefix);
  TRY(package_get_finite(&t, r, name, PACKAGE_F64, 1, &size, err));
  drift_init(out, config);
  memcpy(&out->n, t->data, t->bytes);
  if (is_sound(out)) return GARAM_OK;
  drift_init(out, config);
  return fail(err, GARAM_CORRUPT, "%s: \"%s\" is no state of a drift detector", package_name(r),
              name);
}
