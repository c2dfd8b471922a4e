/* The rules side by side on streams of which the best expert, combination and sequence in hindsight
 * are worked out: what `garam bench online` prints, and what the tests hold to the bounds. */
#include "ensemble/online_bound.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

enum { TIMING_ROUNDS = 3, COMBINATION_STEPS = 4000 };

const opt_row online_study_options[] = {
    {"experts", OPT_INT, OPT_AT(online_study_config, experts), .def = 10, .min = 2, .max = 1000,
     .help = "experts in each stream"},
    {"ticks", OPT_INT, OPT_AT(online_study_config, ticks), .def = 20000, .min = 16, .max = 10000000,
     .help = "outcomes in each stream"},
    {"switches", OPT_INT, OPT_AT(online_study_config, switches), .def = 7, .min = 1, .max = 1000,
     .help = "changes of the best expert in the stream \"switching\""},
};
const size_t online_study_n_options = COUNT_OF(online_study_options);

typedef enum stream_kind { STATIONARY, SWITCHING, COMBINATION, ADVERSARIAL, N_STREAMS } stream_kind;
static const char *const stream_names[] = {"stationary", "switching", "combination", "adversarial"};

typedef struct stream {
  stream_kind kind;
  size_t n, ticks, switches;
  float *x;  /* (ticks, n) in [0, 1] */
  double *y; /* (ticks) in [0, 1]; adversarial: filled as each rule plays */
} stream;

static double clamped(double v) {
  return v < 0 ? 0 : v > 1 ? 1 : v;
}

/* Expert j is off by its own bias; in a segment of "switching" another one has none. */
static void fill(stream *s, uint64_t seed) {
  rng r;
  rng_init(&r, seed, RNG_SIMULATE, (uint64_t)s->kind);
  for (size_t t = 0; t < s->ticks; t++) {
    float *x = s->x + t * s->n;
    size_t segment = t * (s->switches + 1) / s->ticks, good = (segment * 7 + 3) % s->n;
    double level = 0.5 + 0.2 * sin((double)t / 50);
    if (s->kind == COMBINATION) { /* experts see parts of what matters */
      double sum = 0;
      for (size_t j = 0; j < s->n; j++) x[j] = (float)rng_uniform(&r);
      for (size_t j = 0; j < 3 && j < s->n; j++) sum += (j == 0 ? 0.5 : 0.25) * (double)x[j];
      s->y[t] = clamped(sum + 0.05 * rng_normal(&r));
      continue;
    }
    for (size_t j = 0; j < s->n; j++) {
      bool is_good = s->kind == SWITCHING ? j == good : j == s->n / 2;
      double bias = is_good ? 0 : (j % 2 ? 0.25 : -0.25) * (0.5 + (double)j / (double)s->n);
      x[j] = s->kind == ADVERSARIAL ? (float)j / (float)(s->n - 1)
                                    : (float)clamped(level + bias + 0.1 * rng_normal(&r));
    }
    s->y[t] = clamped(level + 0.1 * rng_normal(&r));
  }
}

/* ---- in hindsight ---------------------------------------------------------------------------- */

static double squared(double e) {
  return e * e;
}

static double best_expert(const stream *s, size_t *which) {
  double least = INFINITY;
  for (size_t j = 0; j < s->n; j++) {
    double sum = 0;
    for (size_t t = 0; t < s->ticks; t++) sum += squared((double)s->x[t * s->n + j] - s->y[t]);
    if (sum < least) least = sum, *which = j;
  }
  return least;
}

/* Frank-Wolfe on q G q / 2 - b q over the simplex, G and b from the stream; the gap at the end is
 * taken off, so that what comes back is under the true least. work (n, n + 3). */
static double best_combination(const stream *s, double *work) {
  size_t n = s->n;
  double *g = work, *b = work + n * n, *q = b + n, *gq = q + n, squares = 0, gap = 0;
  memset(work, 0, n * (n + 3) * sizeof *work);
  for (size_t t = 0; t < s->ticks; t++) {
    const float *x = s->x + t * n;
    squares += s->y[t] * s->y[t];
    for (size_t i = 0; i < n; i++) {
      b[i] += s->y[t] * (double)x[i];
      for (size_t j = 0; j < n; j++) g[i * n + j] += (double)x[i] * (double)x[j];
    }
  }
  for (size_t i = 0; i < n; i++) q[i] = 1 / (double)n;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) gq[i] += g[i * n + j] * q[j];
  for (int step = 0; step < COMBINATION_STEPS; step++) {
    size_t to = 0, from = 0;
    bool any = false;
    for (size_t i = 1; i < n; i++)
      if (gq[i] - b[i] < gq[to] - b[to]) to = i;
    for (size_t i = 0; i < n; i++)
      if (q[i] > 0 && (!any || gq[i] - b[i] > gq[from] - b[from])) from = i, any = true;
    gap = 0;
    for (size_t i = 0; i < n; i++) gap += q[i] * (gq[i] - b[i]);
    gap = 2 * (gap - (gq[to] - b[to]));
    double slope = (gq[from] - b[from]) - (gq[to] - b[to]);
    double curve = g[from * n + from] + g[to * n + to] - 2 * g[from * n + to];
    if (!(slope > 1e-12) || !(curve > 0)) break;
    double move = fmin(slope / curve, q[from]); /* pairwise: from one to another */
    q[from] -= move;
    q[to] += move;
    for (size_t i = 0; i < n; i++) gq[i] += move * (g[i * n + to] - g[i * n + from]);
  }
  double value = squares;
  for (size_t i = 0; i < n; i++) value += q[i] * (gq[i] - 2 * b[i]);
  return value - (gap > 0 ? gap : 0);
}

/* Least loss of a sequence of experts that changes at most `switches` times: least[m][j] after
 * each tick. work ((switches + 1), n). */
static double best_sequence(const stream *s, double *work) {
  size_t n = s->n, m_most = s->switches;
  for (size_t i = 0; i < (m_most + 1) * n; i++) work[i] = 0;
  for (size_t t = 0; t < s->ticks; t++) {
    double before = INFINITY; /* the least of any expert with one change fewer, before this tick */
    for (size_t m = 0; m <= m_most; m++) {
      double *row = work + m * n, least = INFINITY;
      for (size_t j = 0; j < n; j++) {
        if (row[j] < least) least = row[j];
        double reached = row[j] < before ? row[j] : before;
        row[j] = reached + squared((double)s->x[t * n + j] - s->y[t]);
      }
      before = least;
    }
  }
  double least = INFINITY;
  for (size_t i = 0; i < (m_most + 1) * n; i++) least = work[i] < least ? work[i] : least;
  return least;
}

/* ---- a rule on a stream ---------------------------------------------------------------------- */

static double play(online *o, stream *s, double *scratch, double *p) {
  double sum = 0;
  for (size_t t = 0; t < s->ticks; t++) {
    const float *x = s->x + t * s->n;
    if (s->kind == ADVERSARIAL) { /* the end that is farther from the mixture */
      float m;
      online_weights(p, o, NULL);
      online_mix(&m, p, x, s->n, 1);
      s->y[t] = m < 0.5f ? 1 : 0;
    }
    sum += online_update(o, x, 1, 0, s->y[t], NULL, scratch);
  }
  return sum;
}

static garam_status study_rule(online_result *out, stream *s, int rule, bool time_ticks,
                               double *work, garam_error *err) {
  online o;
  double ticks = (double)s->ticks, m = (double)s->switches, n = (double)s->n;
  online_config c = {.rule = rule, .loss = ONLINE_SQUARED, .gradient = rule >= 3, .range = 1};
  bool share = online_rules[rule] == &online_fixed_share;
  if (c.gradient) c.range = 2; /* of 2 (m - y) x */
  if (share) {                 /* tuned for the number of changes, as the bound is minimised */
    c.share = m / (ticks - 1);
    double path = (m + 1) * log(n) - m * log(c.share) - (ticks - m - 1) * log1p(-c.share);
    c.rate = sqrt(8 * path / ticks);
  }
  TRY(online_new(&o, s->n, &c, err));
  double *scratch = work, *p = work + 2 * s->n;
  double sum = play(&o, s, scratch, p), best_ns = NAN;
  for (int i = 0; time_ticks && i < TIMING_ROUNDS; i++) {
    online_reset(&o);
    int64_t began = clock_monotonic_ns();
    play(&o, s, scratch, p);
    double ns = (double)(clock_monotonic_ns() - began) / ticks;
    if (!(best_ns <= ns)) best_ns = ns;
  }
  size_t which = 0;
  double expert = best_expert(s, &which), sequence = best_sequence(s, work + 3 * s->n);
  double combination = best_combination(s, work + 3 * s->n), uniform = 0, largest = -INFINITY;
  double combination_bound = NAN;
  for (size_t t = 0; t < s->ticks; t++) {
    double mean = 0;
    for (size_t j = 0; j < s->n; j++) mean += (double)s->x[t * s->n + j] / n;
    uniform += squared(mean - s->y[t]);
  }
  for (size_t j = 0; c.gradient && j < s->n; j++) {
    double bound = online_bound(&o, j);
    if (!(bound <= largest)) largest = bound;
    combination_bound = largest;
  }
  *out = (online_result){.stream = stream_names[s->kind],
                         .rule = o.rule->name,
                         .loss = sum / ticks,
                         .best_expert = expert / ticks,
                         .best_combination = combination / ticks,
                         .best_sequence = sequence / ticks,
                         .uniform = uniform / ticks,
                         .regret = sum - (share ? sequence : expert),
                         .bound = share ? online_bound_switching(&o, s->switches)
                                        : online_bound(&o, which),
                         .combination_regret = c.gradient ? sum - combination : NAN,
                         .combination_bound = combination_bound,
                         .ns_per_tick = best_ns};
  online_deinit(&o);
  return GARAM_OK;
}

garam_status online_study(online_result out[ONLINE_STUDY_MOST], size_t *n,
                          const online_study_config *config, uint64_t seed, garam_error *err) {
  stream s = {.n = (size_t)config->experts,
              .ticks = (size_t)config->ticks,
              .switches = (size_t)config->switches};
  size_t size = s.n * (3 + s.n + 3) + (s.switches + 1) * s.n, cells = 0;
  garam_status status = GARAM_OK;
  *n = 0;
  if (s.switches + 1 >= s.ticks)
    return fail(err, GARAM_INVALID, "--switches %zu: not fewer than the ticks", s.switches);
  if (size_mul(&cells, s.ticks, s.n)) s.x = mem_array(cells, sizeof *s.x);
  s.y = mem_array(s.ticks, sizeof *s.y);
  double *work = mem_array(size, sizeof *work);
  if (!s.x || !s.y || !work) status = fail_memory(err, cells * sizeof *s.x);
  for (int kind = 0; kind < N_STREAMS && status == GARAM_OK; kind++) {
    s.kind = (stream_kind)kind;
    fill(&s, seed);
    for (int rule = 0; online_rule_names[rule] && status == GARAM_OK; rule++)
      if (online_rules[rule] != &online_uniform)
        status = study_rule(&out[(*n)++], &s, rule, config->time_ticks, work, err);
  }
  mem_free(s.x);
  mem_free(s.y);
  mem_free(work);
  return status;
}
