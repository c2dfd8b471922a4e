/* Polynomially weighted averages with a rate for each expert: Gaillard, Stoltz & van Erven, "A
 * second-order bound with excess losses", COLT 2014, figure 3 (ML-Poly); without a range, as the R
 * package opera has it: the largest squared regret so far stands for it. No rate to choose.
 * State: row 0 the regrets R, row 1 the sums of their squares; scalar 0 the largest square. */
#include "ensemble/online.h"

static void learn(online *o, const double *r, const uint8_t *awake) {
  (void)awake;
  double *sum = o->row[0], *squares = o->row[1], total = 0;
  double range = o->config.range, base = range * range;
  for (size_t i = 0; i < o->n; i++) {
    sum[i] += r[i];
    squares[i] += r[i] * r[i];
    if (r[i] * r[i] > o->scalar[0]) o->scalar[0] = r[i] * r[i];
  }
  if (!(range > 0)) base = o->scalar[0];
  for (size_t i = 0; i < o->n; i++) {
    double inverse = base + squares[i];
    o->weight[i] = sum[i] > 0 && inverse > 0 ? sum[i] / inverse : 0;
    total += o->weight[i];
  }
  for (size_t i = 0; i < o->n; i++)
    o->weight[i] = total > 0 ? o->weight[i] / total : 1 / (double)o->n;
}

static bool valid(const online *o) {
  for (size_t i = 0; i < o->n; i++)
    if (o->row[1][i] < 0) return false;
  return o->scalar[0] >= 0;
}

const online_rule online_mlpol = {.name = "mlpol", .n_rows = 2, .learn = learn, .valid = valid};
