/* Hedge: p_j ~ exp(eta R_j). Freund & Schapire, JCSS 1997; the rate that changes with time and its
 * bound: Cesa-Bianchi & Lugosi, "Prediction, learning, and games", 2006, theorem 2.3. State:
 * row 0 the regrets. And fixed share (Herbster & Warmuth 1998), which deals a share of the weight
 * out to everyone after each tick, so that no expert is ever beyond recall. State: row 0 the
 * logarithms of the weights. */
#include "ensemble/online.h"

#include <math.h>
#include <string.h>

/* Losses within `range`: eta = sqrt(8 ln n / t) / range is within a constant of the best fixed
 * rate for every t. Log loss that is not linearised is mixable: eta 1 is the Bayesian mixture. */
static double rate_of(const online *o) {
  const online_config *c = &o->config;
  if (c->rate > 0) return c->rate;
  if (c->loss == ONLINE_LOG && !c->gradient) return 1;
  double range = c->range > 0 ? c->range : o->scalar[ONLINE_SCALARS - 1];
  if (!(range > 0)) return 0;
  return sqrt(8 * log((double)o->n) / (double)(o->ticks + 1)) / range;
}

static void hedge_learn(online *o, const double *r, const uint8_t *awake) {
  (void)awake;
  double *sum = o->row[0], *z = o->row[1], eta = rate_of(o);
  for (size_t i = 0; i < o->n; i++) {
    sum[i] += r[i];
    z[i] = eta * sum[i];
  }
  online_softmax(o->weight, z, NULL, o->n);
}

const online_rule online_hedge = {.name = "hedge", .n_rows = 2, .learn = hedge_learn};

static void share_learn(online *o, const double *r, const uint8_t *awake) {
  (void)awake;
  double *z = o->row[1], eta = rate_of(o), share = o->config.share, even = share / (double)o->n;
  for (size_t i = 0; i < o->n; i++) z[i] = eta * r[i];
  online_softmax(o->weight, z, o->weight, o->n);
  for (size_t i = 0; i < o->n; i++) o->weight[i] = (1 - share) * o->weight[i] + even;
}

const online_rule online_fixed_share = {.name = "fixed-share", .n_rows = 2, .learn = share_learn};
