/* Online aggregation: storage, mixtures, losses, packages. The rules stand in online_*.c. */
#include "ensemble/online.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const online_loss_names[] = {"squared", "log", "absolute", "pinball", NULL};
const char *const online_rule_names[] = {"hedge", "adahedge", "fixed-share", "mlpol",
                                         "boa",   "uniform",  NULL};
const online_rule *const online_rules[] = {&online_hedge, &online_adahedge, &online_fixed_share,
                                           &online_mlpol, &online_boa,      &online_uniform};

const opt_row online_options[] = {
    {"rule", OPT_ENUM, OPT_AT(online_config, rule), .def = 3, .choices = online_rule_names,
     .help = "how weights follow losses"},
    {"loss", OPT_ENUM, OPT_AT(online_config, loss), .choices = online_loss_names,
     .help = "that experts are weighed by; log for probabilities only"},
    {"rate", OPT_F64, OPT_AT(online_config, rate), .def = 0, .min = 0, .max = 1e6,
     .help = "learning rate of hedge and fixed-share; 0: chosen as ticks pass"},
    {"share", OPT_F64, OPT_AT(online_config, share), .def = 0.01, .min = 0, .max = 1,
     .help = "fixed-share: of the weight that is dealt out to everyone at each tick"},
    {"quantile", OPT_F64, OPT_AT(online_config, quantile), .def = 0.5, .min = 1e-6, .max = 1 - 1e-6,
     .help = "of the pinball loss"},
    {"gradient", OPT_BOOL, OPT_AT(online_config, gradient), .def = 1,
     .help = "losses linearised at the mixture: as good as the best combination, not only the "
             "best expert"},
    {"range", OPT_F64, OPT_AT(online_config, range), .def = 0, .min = 0, .max = 1e12,
     .help = "most that two losses of a tick can differ by; 0: learned as ticks pass"},
};
const size_t online_n_options = COUNT_OF(online_options);

enum { BLOCK_ROWS = 2 + ONLINE_ROWS };
#define LEAST_PROBABILITY 1e-6 /* a log loss is finite whatever an expert says */

garam_status online_new(online *out, size_t n, const online_config *config, garam_error *err) {
  REQUIRE(n > 0, "online_new: no experts");
  *out = (online){.config = *config, .rule = online_rules[config->rule], .n = n};
  size_t size = 0;
  if (size_mul(&size, n, BLOCK_ROWS)) out->block = mem_array(size, sizeof *out->block);
  if (!out->block) return fail_memory(err, size * sizeof *out->block);
  out->weight = out->block;
  out->regret = out->block + n;
  for (size_t i = 0; i < ONLINE_ROWS; i++) out->row[i] = out->block + (2 + i) * n;
  online_reset(out);
  return GARAM_OK;
}

void online_deinit(online *o) {
  mem_free(o->block);
  *o = (online){0};
}

void online_reset(online *o) {
  memset(o->block, 0, BLOCK_ROWS * o->n * sizeof *o->block);
  memset(o->scalar, 0, sizeof o->scalar);
  o->ticks = 0;
  for (size_t i = 0; i < o->n; i++) o->weight[i] = 1 / (double)o->n;
  if (o->rule->begin) o->rule->begin(o);
}

void online_copy(online *to, const online *from) {
  REQUIRE(to->n == from->n && to->rule == from->rule, "online_copy: of another kind");
  memcpy(to->block, from->block, BLOCK_ROWS * to->n * sizeof *to->block);
  memcpy(to->scalar, from->scalar, sizeof to->scalar);
  to->ticks = from->ticks;
}

void online_weights(double *p, const online *o, const uint8_t *awake) {
  double sum = 0, n_awake = 0;
  for (size_t i = 0; i < o->n; i++) {
    bool on = !awake || awake[i];
    p[i] = on ? o->weight[i] : 0;
    sum += p[i];
    n_awake += on;
  }
  if (sum > 0) {
    for (size_t i = 0; i < o->n; i++) p[i] /= sum;
    return;
  }
  for (size_t i = 0; i < o->n; i++) /* those awake have no weight: equal shares of them */
    p[i] = n_awake > 0 ? (!awake || awake[i]) / n_awake : 1 / (double)o->n;
}

void online_mix(float *out, const double *p, const float *x, size_t n, size_t k) {
  for (size_t c = 0; c < k; c++) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
      if (p[i] > 0) sum += p[i] * (double)x[i * k + c];
    out[c] = (float)sum;
  }
}

/* ---- losses ---------------------------------------------------------------------------------- */

static double floored(double p) {
  return p > LEAST_PROBABILITY ? p : LEAST_PROBABILITY;
}

double online_loss_of(const online_config *c, const float *x, size_t k, int32_t y, double value) {
  double sum = 0;
  if (k == 1) {
    double e = (double)x[0] - value;
    switch ((online_loss)c->loss) {
    case ONLINE_ABSOLUTE: return fabs(e);
    case ONLINE_PINBALL: return e > 0 ? (1 - c->quantile) * e : -c->quantile * e;
    case ONLINE_SQUARED:
    case ONLINE_LOG: return e * e;
    }
  }
  if (c->loss == ONLINE_LOG) return -log(floored((double)x[y]));
  for (size_t j = 0; j < k; j++) {
    double e = (double)x[j] - ((int32_t)j == y);
    sum += c->loss == ONLINE_SQUARED ? e * e : fabs(e);
  }
  return sum;
}

/* A subgradient of the loss at the mixture m, dotted with an expert's prediction. */
static double linear_loss(const online_config *c, const float *m, const float *x, size_t k,
                          int32_t y, double value) {
  double sum = 0;
  if (k == 1) {
    double e = (double)m[0] - value, slope = 0;
    switch ((online_loss)c->loss) {
    case ONLINE_ABSOLUTE: slope = (e > 0) - (e < 0); break;
    case ONLINE_PINBALL: slope = e > 0 ? 1 - c->quantile : -c->quantile; break;
    case ONLINE_SQUARED:
    case ONLINE_LOG: slope = 2 * e; break;
    }
    return slope * (double)x[0];
  }
  if (c->loss == ONLINE_LOG) return -(double)x[y] / floored((double)m[y]);
  for (size_t j = 0; j < k; j++) {
    double e = (double)m[j] - ((int32_t)j == y);
    sum += (c->loss == ONLINE_SQUARED ? 2 * e : (double)((e > 0) - (e < 0))) * (double)x[j];
  }
  return sum;
}

/* ---- ticks ----------------------------------------------------------------------------------- */

/* regret (n) holds the instantaneous ones. */
static void learn(online *o, const double *regret, const uint8_t *awake) {
  double low = 0, high = 0; /* the mixture's own is 0 */
  for (size_t i = 0; i < o->n; i++) {
    low = regret[i] < low ? regret[i] : low;
    high = regret[i] > high ? regret[i] : high;
    o->regret[i] += regret[i];
  }
  double spread = high - low;
  if (spread > o->scalar[ONLINE_SCALARS - 1]) o->scalar[ONLINE_SCALARS - 1] = spread;
  o->ticks++;
  o->rule->learn(o, regret, awake);
}

double online_update(online *o, const float *x, size_t k, int32_t y, double value,
                     const uint8_t *awake, double *scratch) {
  REQUIRE(k == 1 || (y >= 0 && (size_t)y < k), "online_update: class %d of %zu", (int)y, k);
  double *p = scratch, *r = scratch + o->n, sum = 0;
  float m[64];
  size_t n_awake = 0;
  REQUIRE(k <= COUNT_OF(m), "online_update: %zu classes", k);
  for (size_t i = 0; i < o->n; i++) {
    bool on = !awake || awake[i];
    for (size_t c = 0; c < k; c++) on = on && isfinite(x[i * k + c]);
    p[i] = on ? o->weight[i] : -1;
    if (on) sum += p[i];
    n_awake += on;
  }
  if (n_awake == 0) return NAN;
  for (size_t c = 0; c < k; c++) {
    double of_class = 0;
    for (size_t i = 0; i < o->n; i++)
      if (p[i] >= 0)
        of_class += (sum > 0 ? p[i] / sum : 1 / (double)n_awake) * (double)x[i * k + c];
    m[c] = (float)of_class;
  }
  const online_config *c = &o->config;
  double loss = online_loss_of(c, m, k, y, value);
  double mine = c->gradient ? linear_loss(c, m, m, k, y, value) : loss;
  for (size_t i = 0; i < o->n; i++) {
    const float *xi = x + i * k;
    r[i] = p[i] < 0 ? 0
                    : mine - (c->gradient ? linear_loss(c, m, xi, k, y, value)
                                          : online_loss_of(c, xi, k, y, value));
  }
  if (n_awake < o->n) { /* rules ask who slept: as bytes, over p, which is not needed any more */
    uint8_t *on = (uint8_t *)scratch;
    for (size_t i = 0; i < o->n; i++) on[i] = p[i] >= 0;
    learn(o, r, on);
  } else {
    learn(o, r, NULL);
  }
  return loss;
}

void online_update_losses(online *o, const double *loss, double mixture, const uint8_t *awake) {
  double *r = o->row[ONLINE_ROWS - 1]; /* no rule keeps state there */
  for (size_t i = 0; i < o->n; i++) r[i] = !awake || awake[i] ? mixture - loss[i] : 0;
  learn(o, r, awake);
}

void online_softmax(double *w, const double *z, const double *prior, size_t n) {
  double most = -INFINITY, sum = 0;
  for (size_t i = 0; i < n; i++)
    if ((!prior || prior[i] > 0) && z[i] > most) most = z[i];
  for (size_t i = 0; i < n; i++) {
    w[i] = (prior ? prior[i] : 1) * exp(z[i] - most);
    sum += w[i];
  }
  for (size_t i = 0; i < n; i++) w[i] /= sum;
}

static void uniform_learn(online *o, const double *r, const uint8_t *awake) {
  (void)o, (void)r, (void)awake;
}

const online_rule online_uniform = {.name = "uniform", .learn = uniform_learn};

/* ---- packages -------------------------------------------------------------------------------- */

garam_status online_save(const online *o, package_writer *w, const char *prefix, garam_error *err) {
  char name[160];
  int64_t dims[2] = {BLOCK_ROWS, (int64_t)o->n}, n_scalars = ONLINE_SCALARS;
  snprintf(name, sizeof name, "%sstate", prefix);
  TRY(package_add(w, name, PACKAGE_F64, 2, dims, o->block, err));
  snprintf(name, sizeof name, "%sscalars", prefix);
  TRY(package_add(w, name, PACKAGE_F64, 1, &n_scalars, o->scalar, err));
  snprintf(name, sizeof name, "%sticks", prefix);
  return package_add(w, name, PACKAGE_U64, 0, NULL, &o->ticks, err);
}

garam_status online_load(online *out, size_t n, const online_config *config,
                         const package_reader *r, const char *prefix, garam_error *err) {
  char name[160];
  const package_tensor *state, *scalars, *ticks;
  int64_t dims[2] = {BLOCK_ROWS, (int64_t)n}, n_scalars = ONLINE_SCALARS;
  *out = (online){0};
  snprintf(name, sizeof name, "%sscalars", prefix);
  TRY(package_get_finite(&scalars, r, name, PACKAGE_F64, 1, &n_scalars, err));
  snprintf(name, sizeof name, "%sticks", prefix);
  TRY(package_get(&ticks, r, name, PACKAGE_U64, 0, NULL, err));
  snprintf(name, sizeof name, "%sstate", prefix);
  TRY(package_get_finite(&state, r, name, PACKAGE_F64, 2, dims, err));
  TRY(online_new(out, n, config, err));
  memcpy(out->block, state->data, state->bytes);
  memcpy(out->scalar, scalars->data, scalars->bytes);
  memcpy(&out->ticks, ticks->data, sizeof out->ticks);
  double sum = 0;
  bool sound = out->scalar[ONLINE_SCALARS - 1] >= 0;
  for (size_t i = 0; i < n; i++) {
    sound = sound && out->weight[i] >= 0;
    sum += out->weight[i];
  }
  if (!sound || fabs(sum - 1) > 1e-9 || (out->rule->valid && !out->rule->valid(out))) {
    online_deinit(out);
    return fail(err, GARAM_CORRUPT, "%s: \"%s\": not a state that \"%s\" leaves", package_name(r),
                name, online_rule_names[config->rule]);
  }
  return GARAM_OK;
}
