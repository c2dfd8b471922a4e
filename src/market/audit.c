/* Does a column peek? Every numeric column and feature is set beside what was to come.
 *
 * What comes next is partly foretold by what was: the part of the next returns that the last
 * AUDIT_LAGS returns and the price's level do not explain linearly is news. So both the next
 * returns and the column are taken less their regression on those, and the share of the news that
 * the column explains (R^2 of the residuals) is compared with a bound:
 *
 *   - A column that holds the next close, return, sign, or an average or oscillator reaching past
 *     its row explains most of the news of some horizon: 0.3 to 1.
 *   - What honest columns explain is far less: at most 0.04 over the bars we know (hours and
 *     minutes of shares, currencies, bitcoin; days of shares), and 0.15 over half-second books
 *     (the log ratio of the best sizes, the strongest honest predictor that we know of).
 *
 * The bound is 0.1, or 0.2 where there is a book, and what the past explains by itself on top: a
 * market that is more predictable from its past may well be more predictable from its columns.
 * So a column that is the next return under noise of up to three times (book: twice) the
 * return's deviation is caught; under more, it is not told from a good predictor by this screen.
 * What garam computes itself is checked to the bit by audit_recompute. The p-value comes from
 * circular shifts of the news against the column, which keep both series' own memory (Politis and
 * Romano 1992), times the number of comparisons made (Bonferroni). */
#include "market/market.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
  AUDIT_LAGS = 20,
  AUDIT_REGRESSORS = AUDIT_LAGS + 2, /* and the price's level, and a constant */
  AUDIT_STEPS = 10,                  /* rows ahead */
  AUDIT_SHIFTS = 199,
  AUDIT_MIN_ROWS = 100,
  AUDIT_MAX_ROWS = 32768, /* the last ones: more would only take longer */
};
static const int horizons[] = {1, 2, 3, 5, 10};
enum { N_HORIZONS = 5 };

/* Volatility is foretold far better than direction: hence its own bound. */
static const double bar_bound = 0.1, book_bound = 0.2, size_bound = 0.4, max_p = 1e-3;

/* One series to foretell: its lags as regressors, its news ahead. */
typedef struct target {
  size_t n;                                          /* rows; row i is `first + i` of the bars */
  double *lags;                                      /* (n, AUDIT_REGRESSORS) */
  double factor[AUDIT_REGRESSORS][AUDIT_REGRESSORS]; /* Cholesky of lags' lags + ridge */
  double *news[N_HORIZONS];                          /* residuals of sums over the horizons */
  double news_norm[N_HORIZONS];                      /* root of the sum of squares */
  double foretold[N_HORIZONS];                       /* R^2 of the lags alone */
  double *step[AUDIT_STEPS];                         /* residuals of single rows ahead */
  double step_norm[AUDIT_STEPS];
} target;

static void target_deinit(target *g) {
  mem_free(g->lags);
  for (int i = 0; i < N_HORIZONS; i++) mem_free(g->news[i]);
  for (int i = 0; i < AUDIT_STEPS; i++) mem_free(g->step[i]);
}

/* Values beyond six mean deviations are cut, and again beyond six of what is then left: one
 * crash, split or hole must not be the whole R^2. */
static void clip_once(double *x, size_t n) {
  double mean = 0, deviation = 0;
  for (size_t i = 0; i < n; i++) mean += x[i];
  mean /= (double)n;
  for (size_t i = 0; i < n; i++) deviation += fabs(x[i] - mean);
  deviation *= 6 / (double)n;
  for (size_t i = 0; i < n; i++) x[i] = fmax(mean - deviation, fmin(mean + deviation, x[i]));
}

static void clip(double *x, size_t n) {
  clip_once(x, n);
  clip_once(x, n);
}

static double dot(const double *a, const double *b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

static void factorise(target *g) {
  enum { K = AUDIT_REGRESSORS };
  double gram[K][K] = {{0}};
  for (size_t i = 0; i < g->n; i++) {
    const double *row = g->lags + i * K;
    for (int a = 0; a < K; a++)
      for (int b = 0; b <= a; b++) gram[a][b] += row[a] * row[b];
  }
  for (int a = 0; a < K; a++) gram[a][a] += 1e-10 * gram[a][a] + 1e-300;
  for (int a = 0; a < K; a++)
    for (int b = 0; b <= a; b++) {
      double sum = gram[a][b];
      for (int k = 0; k < b; k++) sum -= g->factor[a][k] * g->factor[b][k];
      g->factor[a][b] = a == b ? sqrt(fmax(sum, 1e-300)) : sum / g->factor[b][b];
    }
}

/* x becomes what its regression on the lags leaves; returns the share that is left. */
static double take_residual(const target *g, double *x) {
  enum { K = AUDIT_REGRESSORS };
  double beta[K] = {0}, mean = 0, whole = 0, left = 0;
  for (size_t i = 0; i < g->n; i++) {
    const double *row = g->lags + i * K;
    mean += x[i];
    for (int a = 0; a < K; a++) beta[a] += row[a] * x[i];
  }
  mean /= (double)g->n;
  for (int a = 0; a < K; a++) {
    for (int k = 0; k < a; k++) beta[a] -= g->factor[a][k] * beta[k];
    beta[a] /= g->factor[a][a];
  }
  for (int a = K - 1; a >= 0; a--) {
    for (int k = a + 1; k < K; k++) beta[a] -= g->factor[k][a] * beta[k];
    beta[a] /= g->factor[a][a];
  }
  for (size_t i = 0; i < g->n; i++) {
    const double *row = g->lags + i * K;
    whole += (x[i] - mean) * (x[i] - mean);
    for (int a = 0; a < K; a++) x[i] -= beta[a] * row[a];
    left += x[i] * x[i];
  }
  return whole > 0 ? left / whole : 0;
}

/* series[j], j = 0 .. n_rows - 1, clipped already; rows first .. first + n - 1 are compared. */
static garam_status target_init(target *g, const double *series, const bars *b, size_t first,
                                size_t n, garam_error *err) {
  enum { K = AUDIT_REGRESSORS };
  *g = (target){.n = n};
  g->lags = mem_array(n, K * sizeof *g->lags);
  bool complete = g->lags != NULL;
  for (int i = 0; i < N_HORIZONS; i++)
    complete = (g->news[i] = mem_array(n, sizeof *g->news[i])) && complete;
  for (int i = 0; i < AUDIT_STEPS; i++)
    complete = (g->step[i] = mem_array(n, sizeof *g->step[i])) && complete;
  if (!complete) return fail_memory(err, n * K * sizeof *g->lags);
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < AUDIT_LAGS; k++) g->lags[i * K + k] = series[first + i - k];
    g->lags[i * K + AUDIT_LAGS] = log(b->close[first + i] / b->close[first]);
    g->lags[i * K + AUDIT_LAGS + 1] = 1;
    double sum = 0;
    for (int s = 0, h = 0; s < AUDIT_STEPS; s++) {
      g->step[s][i] = series[first + i + (size_t)s + 1];
      sum += g->step[s][i];
      if (s + 1 == horizons[h]) g->news[h++][i] = sum;
    }
  }
  factorise(g);
  for (int h = 0; h < N_HORIZONS; h++) {
    g->foretold[h] = 1 - take_residual(g, g->news[h]);
    g->news_norm[h] = sqrt(dot(g->news[h], g->news[h], n));
  }
  for (int s = 0; s < AUDIT_STEPS; s++) {
    take_residual(g, g->step[s]);
    g->step_norm[s] = sqrt(dot(g->step[s], g->step[s], n));
  }
  return GARAM_OK;
}

/* The most that a column says of a target. */
typedef struct finding {
  double r2, excess; /* excess: R^2 less its bound */
  int horizon;       /* index */
  int shift;         /* rows ahead of which it seems to know */
} finding;

/* x (n) is left as residuals. */
static finding examine(const target *g, double *x, double bound) {
  finding f = {.excess = -INFINITY, .shift = 1};
  clip(x, g->n);
  if (take_residual(g, x) < 1e-6) return f; /* no more than the lags themselves */
  double norm = sqrt(dot(x, x, g->n));
  for (int h = 0; h < N_HORIZONS; h++) {
    if (!(norm > 0) || !(g->news_norm[h] > 0)) continue;
    double r = dot(x, g->news[h], g->n) / norm / g->news_norm[h];
    double excess = r * r - (bound + g->foretold[h] * (1 - bound));
    if (excess > f.excess) f = (finding){r * r, excess, h, 1};
  }
  if (f.excess < 0) return f;
  double best = 0, r2[AUDIT_STEPS];
  for (int s = 0; s < AUDIT_STEPS; s++) {
    double r = g->step_norm[s] > 0 ? dot(x, g->step[s], g->n) / norm / g->step_norm[s] : 0;
    r2[s] = r * r;
    if (r2[s] > best) best = r2[s];
  }
  for (int s = 0; s < AUDIT_STEPS; s++)
    if (r2[s] > 0.5 * best) f.shift = s + 1;
  return f;
}

/* Two-sided p-value of the correlation of x and news under circular shifts: their spread gives
 * the normal tail, for a p-value below what so few shifts can count. */
static double shift_p(const double *x, const double *news, size_t n, uint64_t seed, uint64_t step) {
  rng r;
  rng_init(&r, seed, RNG_AUDIT, step);
  double norm = sqrt(dot(x, x, n) * dot(news, news, n)), squares = 0;
  size_t margin = n / 20;
  for (int i = 0; i < AUDIT_SHIFTS; i++) {
    size_t by = margin + (size_t)rng_below(&r, n - 2 * margin);
    double c = (dot(x + by, news, n - by) + dot(x, news + (n - by), by)) / norm;
    squares += c * c;
  }
  double observed = fmin(fabs(dot(x, news, n) / norm), 1 - 1e-15);
  double spread = fmax(sqrt(squares / AUDIT_SHIFTS), 1 / sqrt((double)n));
  return erfc(atanh(observed) / spread * M_SQRT1_2);
}

/* One column under test. */
typedef struct suspect {
  const column *raw; /* or: */
  const feature_matrix *m;
  size_t feature;
} suspect;

static const char *suspect_name(const suspect *s) {
  return s->raw ? s->raw->name : s->m->names[s->feature];
}

static double suspect_value(const suspect *s, size_t row) {
  return s->raw ? column_f64(s->raw, row) : s->m->x[row * s->m->n_features + s->feature];
}

/* The column's values from row first - 1 on, holes filled with the value before; false when half
 * of it is missing or nothing varies. */
static bool load(double *x, const suspect *s, size_t first, size_t n) {
  size_t missing = 0;
  double last = 0;
  bool some = false, varies = false;
  for (size_t i = 0; i <= n; i++) {
    double value = suspect_value(s, first - 1 + i);
    if (!isfinite(value)) {
      missing++;
    } else {
      varies = varies || (some && value != last);
      some = true;
      last = value;
    }
    x[i] = last;
  }
  return varies && missing <= n / 2;
}

typedef struct audit_job {
  const bars *b;
  const suspect *suspects;
  size_t n_suspects, first, n;
  const target *moves, *sizes; /* returns, and their absolute values */
  double bound;                /* of R^2 with returns */
  uint64_t seed;
  leak *leaks; /* (n_suspects) */
  bool *found;
  atomic_bool failed; /* no memory */
} audit_job;

enum { FORM_LEVEL, FORM_CHANGE, N_FORMS };

static void fill_form(double *x, const double *loaded, size_t n, int form) {
  bool positive = true;
  for (size_t i = 0; i <= n; i++) positive = positive && loaded[i] > 0;
  for (size_t i = 0; i < n; i++)
    x[i] = form == FORM_LEVEL ? loaded[i + 1]
           : positive         ? log(loaded[i + 1] / loaded[i])
                              : loaded[i + 1] - loaded[i];
}

static void examine_suspect(audit_job *job, size_t at, double *loaded, double *x) {
  const suspect *s = &job->suspects[at];
  if (!load(loaded, s, job->first, job->n)) return;
  const double comparisons = (double)job->n_suspects * N_FORMS * 2 * N_HORIZONS;
  double best = 0;
  for (int form = 0; form < N_FORMS; form++)
    for (int size = 0; size < 2; size++) {
      const target *g = size ? job->sizes : job->moves;
      fill_form(x, loaded, job->n, form);
      finding f = examine(g, x, size ? size_bound : job->bound);
      if (f.excess <= 0 || f.r2 <= best) continue;
      double p = comparisons * shift_p(x, g->news[f.horizon], job->n, job->seed, at);
      if (p > max_p) continue;
      best = f.r2;
      job->found[at] = true;
      leak *l = &job->leaks[at];
      *l = (leak){.shift = f.shift, .score = f.r2, .p = fmin(p, 1)};
      snprintf(l->column, sizeof l->column, "%s", suspect_name(s));
      snprintf(l->kind, sizeof l->kind, "%s",
               f.r2 < 0.9                    ? "peeks"
               : form == FORM_LEVEL && !size ? "copies-target"
                                             : "near-perfect");
    }
}

static void examine_range(void *context, size_t begin, size_t end) {
  audit_job *job = context;
  double *loaded = mem_array(job->n + 1, sizeof *loaded);
  double *x = mem_array(job->n, sizeof *x);
  if (!loaded || !x) {
    job->failed = true;
  } else {
    for (size_t i = begin; i < end; i++) examine_suspect(job, i, loaded, x);
  }
  mem_free(loaded);
  mem_free(x);
}

static garam_status gather(suspect **out, size_t *n_out, const bars *b, const feature_matrix *m,
                           garam_error *err) {
  const table *t = b->source;
  size_t n_features = m ? m->n_features : 0, n = 0;
  suspect *list = mem_array(t->n_columns + n_features + 1, sizeof *list);
  if (!list) return fail_memory(err, (t->n_columns + n_features) * sizeof *list);
  for (size_t i = 0; i < t->n_columns; i++)
    if ((int)i != t->time_column &&
        (t->columns[i].type == COLUMN_F64 || t->columns[i].type == COLUMN_I64))
      list[n++] = (suspect){.raw = &t->columns[i]};
  for (size_t i = 0; i < n_features; i++)
    if (strncmp(m->names[i], "raw:", 4) != 0) /* has been screened as a column */
      list[n++] = (suspect){.m = m, .feature = i};
  *out = list;
  *n_out = n;
  return GARAM_OK;
}

static garam_status screen(audit_job *job, leak *out, size_t n, size_t *n_found, garam_error *err) {
  job->leaks = mem_array(job->n_suspects + 1, sizeof *job->leaks);
  job->found = mem_array(job->n_suspects + 1, sizeof *job->found);
  garam_status status = GARAM_OK;
  if (!job->leaks || !job->found) {
    status = fail_memory(err, job->n_suspects * sizeof *job->leaks);
  } else {
    thread_for(job->n_suspects, 1, examine_range, job);
    if (job->failed) status = fail_memory(err, job->n * sizeof(double));
    for (size_t i = 0; status == GARAM_OK && i < job->n_suspects; i++)
      if (job->found[i]) {
        if (*n_found < n) out[*n_found] = job->leaks[i];
        ++*n_found;
      }
  }
  mem_free(job->leaks);
  mem_free(job->found);
  return status;
}

garam_status audit_leaks(leak *out, size_t n, size_t *n_found, const bars *b,
                         const feature_matrix *m, uint64_t seed, garam_error *err) {
  *n_found = 0;
  size_t warmup = m ? m->warmup : 0;
  size_t first = warmup + 1 > AUDIT_LAGS ? warmup + 1 : AUDIT_LAGS; /* r[1] is the first return */
  if (b->n_rows < first + AUDIT_STEPS + AUDIT_MIN_ROWS)
    return fail(err, GARAM_INVALID, "%s: %zu rows are too few for an audit; at least %zu",
                b->source->source, b->n_rows, first + AUDIT_STEPS + (size_t)AUDIT_MIN_ROWS);
  audit_job job = {.b = b, .first = first, .n = b->n_rows - AUDIT_STEPS - first, .seed = seed};
  if (job.n > AUDIT_MAX_ROWS) {
    job.first += job.n - AUDIT_MAX_ROWS;
    job.n = AUDIT_MAX_ROWS;
  }
  job.bound = b->bid_size ? book_bound : bar_bound;
  target moves = {0}, sizes = {0};
  suspect *suspects = NULL;
  garam_status status = GARAM_OK;
  double *series = mem_array(b->n_rows, sizeof *series);
  if (!series) return fail_memory(err, b->n_rows * sizeof *series);
  for (size_t t = 1; t < b->n_rows; t++) series[t] = log(b->close[t] / b->close[t - 1]);
  clip(series + 1, b->n_rows - 1);
  TRY_GOTO(done, target_init(&moves, series, b, job.first, job.n, err));
  for (size_t t = 1; t < b->n_rows; t++) series[t] = fabs(series[t]);
  TRY_GOTO(done, target_init(&sizes, series, b, job.first, job.n, err));
  TRY_GOTO(done, gather(&suspects, &job.n_suspects, b, m, err));
  job.suspects = suspects;
  job.moves = &moves;
  job.sizes = &sizes;
  TRY_GOTO(done, screen(&job, out, n, n_found, err));
done:
  target_deinit(&moves);
  target_deinit(&sizes);
  mem_free(suspects);
  mem_free(series);
  return status;
}
