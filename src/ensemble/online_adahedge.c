/* AdaHedge: the rate falls only as fast as the mixability gap grows, so easy data stay easy. de
 * Rooij, van Erven, Grunwald & Koolen, "Follow the leader if you can, hedge if you must", JMLR 15
 * (2014), figure 1. State: row 0 the regrets, scalar 0 the sum of the gaps, Delta; scalar 1 the sum
 * of the weighted variances, for the bound of theorem 6. */
#include "ensemble/online.h"

#include <math.h>

/* p_j ~ exp(eta R_j); eta infinite: equal shares of those that lead. */
static void weigh(online *o) {
  double *sum = o->row[0], *z = o->row[1], gap = o->scalar[0];
  double eta = gap > 0 ? log((double)o->n) / gap : INFINITY, most = -INFINITY, n_lead = 0;
  if (isfinite(eta)) {
    for (size_t i = 0; i < o->n; i++) z[i] = eta * sum[i];
    online_softmax(o->weight, z, NULL, o->n);
    return;
  }
  for (size_t i = 0; i < o->n; i++)
    if (sum[i] > most) most = sum[i];
  for (size_t i = 0; i < o->n; i++) n_lead += sum[i] >= most;
  for (size_t i = 0; i < o->n; i++) o->weight[i] = (sum[i] >= most) / n_lead;
}

static void learn(online *o, const double *r, const uint8_t *awake) {
  double *sum = o->row[0], gap = o->scalar[0];
  double total = 0, most = -INFINITY;
  for (size_t i = 0; i < o->n; i++) {
    if (awake && !awake[i]) continue;
    total += o->weight[i];
    if (o->weight[i] > 0 && r[i] > most) most = r[i];
  }
  /* h - m with losses -r: h the mean loss, m = -ln(sum p exp(eta r)) / eta. */
  double delta = 0, variance = 0;
  if (total > 0) {
    double mean = 0, inner = 0, eta = gap > 0 ? log((double)o->n) / gap : INFINITY;
    for (size_t i = 0; i < o->n; i++)
      if (!awake || awake[i]) mean += o->weight[i] / total * r[i];
    for (size_t i = 0; i < o->n; i++) {
      if (awake && !awake[i]) continue;
      double p = o->weight[i] / total;
      variance += p * (r[i] - mean) * (r[i] - mean);
      if (isfinite(eta) && p > 0) inner += p * exp(eta * (r[i] - most));
    }
    delta = (isfinite(eta) ? most + log(inner) / eta : most) - mean;
  }
  o->scalar[0] = gap + (delta > 0 ? delta : 0);
  o->scalar[1] += variance;
  for (size_t i = 0; i < o->n; i++) sum[i] += r[i];
  weigh(o);
}

static bool valid(const online *o) {
  return o->scalar[0] >= 0 && o->scalar[1] >= 0;
}

const online_rule online_adahedge = {
    .name = "adahedge", .n_rows = 2, .learn = learn, .valid = valid};
