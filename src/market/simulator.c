/* A market whose odds are known. The step's standardised move is
 *
 *   y[t+1] = m (D_k + A_k clip(y[t], -2, 2)) + e,   e ~ N(0, 1)
 *   r[t+1] = sigma[t+1] y[t+1] / sqrt(v)            log return
 *   sigma[t+1]^2 = V^2 (1 - c) + (c - a) sigma[t]^2 + a sigma[t]^2 y[t]^2 / v
 *
 * with k the regime, a hidden Markov chain: rising and falling ones with a drift D, ranges with
 * a reversal A < 0. m is the strength, c the clustering of volatility (GARCH(1,1), Bollerslev
 * 1986), V a step's deviation, v the variance of y. Everything but k is seen at t, so the forward
 * algorithm (Rabiner, Proceedings of the IEEE 77 (1989), section III.A) gives the exact
 * probability of k given all rows so far, and with it that of the next row's class.
 *
 * High and low are the extremes of a Brownian bridge from open to close, whose law given both
 * does not depend on the drift, and volume is a function of what is seen and of noise: neither
 * says more about k than the close does. */
#include "market/market.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/number_text.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_REGIMES = 6, PILOT_ROWS = 40000 };
#define CLUSTER_KICK 0.1 /* share of a squared move that goes into the next variance, at most c */

const opt_row simulate_options[] = {
    {"rows", OPT_I64, OPT_AT(simulate_config, rows), .def = 50000, .min = 10, .max = 1e9,
     .unit = "rows", .help = "how many bars"},
    {"regimes", OPT_INT, OPT_AT(simulate_config, regimes), .def = 3, .min = 1, .max = MAX_REGIMES,
     .help = "hidden regimes: up, down, range, and weaker ones; 1: none"},
    {"momentum", OPT_F64, OPT_AT(simulate_config, momentum), .def = 1, .min = 0, .max = 3,
     .help = "strength of drift and momentum beside the noise; 0: no direction is predictable"},
    {"volatility", OPT_F64, OPT_AT(simulate_config, volatility), .def = 0.001, .min = 1e-7,
     .max = 0.1, .scale = OPT_LOG, .help = "standard deviation of a step's log return"},
    {"clustering", OPT_F64, OPT_AT(simulate_config, clustering), .def = 0.8, .min = 0, .max = 0.98,
     .help = "persistence of volatility; 0: constant"},
    {"persistence", OPT_F64, OPT_AT(simulate_config, persistence), .def = 0.99, .min = 0.34,
     .max = 0.9999, .help = "probability to stay in a regime at each step"},
    {"step-seconds", OPT_I64, OPT_AT(simulate_config, step_seconds), .def = 60, .min = 1,
     .max = 86400, .unit = "seconds", .help = "time from bar to bar"},
    {"start-price", OPT_F64, OPT_AT(simulate_config, start_price), .def = 100, .min = 1e-3,
     .max = 1e9, .help = "open of the first bar"},
    {"posterior", OPT_BOOL, OPT_AT(simulate_config, posterior),
     .help = "columns p_down, p_flat, p_up: the true odds of the next row"},
};
const size_t simulate_n_options = COUNT_OF(simulate_options);

/* D and A of each regime; with one regime only momentum is left. */
typedef struct regime {
  double drift, momentum;
} regime;
static const regime regimes[MAX_REGIMES] = {
    {1, 0.2}, {-1, 0.2}, {0, -0.5}, {0.5, 0.4}, {-0.5, 0.4}, {0, 0.7},
};
static const regime lone_regime = {0, 0.6};

/* The market at one moment: what is seen, the true regime, and what can be known of it. */
typedef struct market_state {
  int n;
  regime regime[MAX_REGIMES];
  double strength, stay, clustering, kick, spread; /* spread: v */
  int k;
  double y;
  double variance;            /* of the next step, in units of V^2 */
  double filter[MAX_REGIMES]; /* P(regime of the last step | all rows so far) */
  bool started;
} market_state;

static void state_init(market_state *s, const simulate_config *c, double spread) {
  *s = (market_state){.n = c->regimes,
                      .strength = c->momentum,
                      .stay = c->regimes == 1 ? 1 : c->persistence,
                      .clustering = c->clustering,
                      .kick = fmin(CLUSTER_KICK, c->clustering),
                      .spread = spread,
                      .variance = 1};
  for (int k = 0; k < s->n; k++) s->regime[k] = s->n == 1 ? lone_regime : regimes[k];
}

static double drift(const market_state *s, int k) {
  double y = fmax(-2, fmin(2, s->y));
  return s->strength * (s->regime[k].drift + s->regime[k].momentum * y);
}

/* P(regime of the next step | all rows so far). */
static void next_regime(const market_state *s, double out[MAX_REGIMES]) {
  double leave = s->n > 1 ? (1 - s->stay) / (s->n - 1) : 0;
  for (int k = 0; k < s->n; k++)
    out[k] = s->started ? s->filter[k] * s->stay + (1 - s->filter[k]) * leave : 1.0 / s->n;
}

static double normal_below(double x) {
  return 0.5 * erfc(-x * M_SQRT1_2);
}

/* The next step's standardised move and what it teaches. Draws from r: regime, then noise. */
static void advance(market_state *s, rng *r) {
  double prior[MAX_REGIMES], likelihood[MAX_REGIMES], sum = 0;
  next_regime(s, prior);
  double u = rng_uniform(r);
  if (!s->started) {
    s->k = (int)(u * s->n);
  } else if (u >= s->stay) {
    int step = 1 + (int)((u - s->stay) / (1 - s->stay) * (s->n - 1));
    s->k = (s->k + (step < s->n ? step : s->n - 1)) % s->n;
  }
  double y = drift(s, s->k) + rng_normal(r);
  double nearest = INFINITY;
  for (int k = 0; k < s->n; k++) {
    double off = y - drift(s, k);
    likelihood[k] = 0.5 * off * off;
    if (likelihood[k] < nearest) nearest = likelihood[k];
  }
  for (int k = 0; k < s->n; k++) {
    s->filter[k] = prior[k] * exp(nearest - likelihood[k]);
    sum += s->filter[k];
  }
  for (int k = 0; k < s->n; k++) s->filter[k] /= sum;
  s->variance = (1 - s->clustering) + (s->clustering - s->kick) * s->variance +
                s->kick * s->variance * y * y / s->spread;
  s->y = y;
  s->started = true;
}

/* P(down, flat, up) of the next step under a dead band in units of V. */
static void posterior(const market_state *s, double band, double p[3]) {
  double prior[MAX_REGIMES], edge = band / sqrt(s->variance / s->spread);
  next_regime(s, prior);
  p[0] = p[2] = 0;
  for (int k = 0; k < s->n; k++) {
    double mean = drift(s, k);
    p[0] += prior[k] * normal_below(-edge - mean);
    p[2] += prior[k] * normal_below(mean - edge);
  }
  p[1] = fmax(0, 1 - p[0] - p[2]);
}

static int compare_f64(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* A pilot market, the same for every seed and length, measures the variance of y and the band
 * that leaves a third of the moves flat: both depend on the options alone, so that a longer
 * simulation begins with the shorter one. */
static garam_status measure(double *spread, double *band, const simulate_config *c,
                            garam_error *err) {
  double *moves = mem_array(PILOT_ROWS, sizeof *moves);
  if (!moves) return fail_memory(err, PILOT_ROWS * sizeof *moves);
  market_state s;
  rng r;
  double sum = 0;
  state_init(&s, c, 1);
  s.clustering = s.kick = 0;
  rng_init(&r, 0, RNG_SIMULATE, UINT64_MAX);
  for (int i = 0; i < PILOT_ROWS; i++) {
    advance(&s, &r);
    sum += s.y * s.y;
  }
  *spread = sum / PILOT_ROWS;
  state_init(&s, c, *spread);
  rng_init(&r, 0, RNG_SIMULATE, UINT64_MAX - 1);
  for (int i = 0; i < PILOT_ROWS; i++) {
    double deviation = sqrt(s.variance / s.spread);
    advance(&s, &r);
    moves[i] = fabs(deviation * s.y);
  }
  qsort(moves, PILOT_ROWS, sizeof *moves, compare_f64);
  char text[32]; /* short, so that it can be typed as --dead-band */
  snprintf(text, sizeof text, "%.6g", moves[PILOT_ROWS / 3] * c->volatility);
  int64_t whole;
  number_parse(&whole, band, text, strlen(text), strchr(text, ',') ? ',' : '.'); /* the locale's */
  mem_free(moves);
  return GARAM_OK;
}

/* Highest point above the start of a Brownian bridge to `end` with this variance. */
static double bridge_top(double end, double variance, double u) {
  return 0.5 * (end + sqrt(end * end - 2 * variance * log1p(-u)));
}

enum { COL_TIME, COL_OPEN, COL_HIGH, COL_LOW, COL_CLOSE, COL_VOLUME, COL_P, N_COLUMNS = COL_P + 3 };
static const char *const column_names[N_COLUMNS] = {"time",   "open",   "high",   "low", "close",
                                                    "volume", "p_down", "p_flat", "p_up"};

static garam_status fill(table *t, const simulate_config *c, double spread, double band,
                         double *bayes, garam_error *err) {
  column *at = t->columns;
  market_state s;
  state_init(&s, c, spread);
  double level = log(c->start_price), best = 0, unit = c->volatility;
  double start = c->start_price;
  const int64_t first = INT64_C(1577836800) * CLOCK_NS_PER_SECOND; /* 2020-01-01 */
  for (size_t i = 0; i < t->n_rows; i++) {
    rng r;
    rng_init(&r, (uint64_t)c->seed, RNG_SIMULATE, i);
    double deviation = unit * sqrt(s.variance / s.spread), size = sqrt(s.variance);
    advance(&s, &r);
    double move = deviation * s.y, variance = deviation * deviation;
    double top = bridge_top(move, variance, rng_uniform(&r));
    double bottom = bridge_top(-move, variance, rng_uniform(&r));
    double next = exp(level + move);
    at[COL_TIME].i64[i] = first + (int64_t)i * c->step_seconds * CLOCK_NS_PER_SECOND;
    at[COL_OPEN].f64[i] = start;
    at[COL_CLOSE].f64[i] = next;
    at[COL_HIGH].f64[i] = fmax(exp(level + top), fmax(start, next));
    at[COL_LOW].f64[i] = fmin(exp(level - bottom), fmin(start, next));
    at[COL_VOLUME].f64[i] =
        ceil(1000 * size * exp(0.3 * fabs(s.y) / sqrt(spread) + 0.3 * rng_normal(&r)));
    level += move;
    start = next;
    if (!(at[COL_LOW].f64[i] > 1e-290) || !(at[COL_HIGH].f64[i] < 1e290))
      return fail(err, GARAM_NUMERIC,
                  "row %zu: the price has left the numbers (%g); fewer --rows, or less "
                  "--volatility",
                  i + 1, next);
    double p[3];
    posterior(&s, band / unit, p);
    if (i + 1 < t->n_rows) best += fmax(p[0], fmax(p[1], p[2]));
    for (int k = 0; c->posterior && k < 3; k++) at[COL_P + k].f64[i] = p[k];
  }
  *bayes = best / (double)(t->n_rows - 1);
  return GARAM_OK;
}

garam_status simulate(table **out, const simulate_config *config, double *bayes, double *dead_band,
                      garam_error *err) {
  *out = NULL;
  for (size_t i = 0; i < simulate_n_options; i++) { /* a config need not come from flags */
    const opt_row *row = &simulate_options[i];
    const void *field = (const char *)config + row->offset;
    double value = row->type == OPT_F64   ? *(const double *)field
                   : row->type == OPT_I64 ? (double)*(const int64_t *)field
                   : row->type == OPT_INT ? *(const int *)field
                                          : 0;
    if (row->type != OPT_BOOL && !(value >= row->min && value <= row->max))
      return fail(err, GARAM_INVALID, "--%s: %g is outside %g to %g", row->name, value, row->min,
                  row->max);
  }
  double spread;
  TRY(measure(&spread, dead_band, config, err));
  table *t = NULL;
  garam_status status = table_new(&t, "simulation", (size_t)config->rows, err);
  if (status != GARAM_OK) return status;
  for (int i = 0; i < (config->posterior ? N_COLUMNS : COL_P); i++) {
    column *added;
    TRY_GOTO(done, table_add_column(&added, t, column_names[i],
                                    i == COL_TIME ? COLUMN_TIME : COLUMN_F64, err));
  }
  t->time_column = COL_TIME;
  snprintf(t->zone, sizeof t->zone, "UTC");
  TRY_GOTO(done, fill(t, config, spread, *dead_band, bayes, err));
done:
  if (status != GARAM_OK) {
    table_free(t);
    return status;
  }
  *out = t;
  return GARAM_OK;
}
