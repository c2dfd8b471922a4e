/* Bernstein online aggregation: exponential weights of regrets less their squares, a rate for each
 * expert. Wintenberger, "Optimal learning with Bernstein online aggregation", Machine Learning 106
 * (2017). p_j ~ eta_j exp(eta_j S_j), S_j = sum of r - eta_j r^2.
 *
 * With a range E: eta_j = min(1 / (2 E), sqrt(ln n / V_j)) of the squares seen so far, V_j, and
 * the square is taken with the rate that made the weights, so that |eta r| <= 1/2 and
 * exp(x - x^2) <= 1 + x bound the regret (online_bound.h). Without: as the R package opera has it,
 * 1 / eta_j^2 = 2.2 V_j, the square taken with the new rate.
 * State: row 0 the sums S, row 1 the sums of squares V. */
#include "ensemble/online.h"

#include <math.h>

static double rate_of(const online *o, size_t i) {
  double range = o->config.range, squares = o->row[1][i], log_n = log((double)o->n);
  if (!(range > 0)) return squares > 0 ? 1 / sqrt(2.2 * squares) : INFINITY;
  double most = 1 / (2 * range);
  if (o->n < 2 || !(squares > 0)) return most;
  double eta = sqrt(log_n / squares);
  return eta < most ? eta : most;
}

static void learn(online *o, const double *r, const uint8_t *awake) {
  (void)awake;
  double *s = o->row[0], *squares = o->row[1], most = -INFINITY, total = 0;
  bool known = o->config.range > 0, empty = true;
  for (size_t i = 0; i < o->n; i++) {
    double before = known ? rate_of(o, i) : 0;
    squares[i] += r[i] * r[i];
    double eta = known ? before : rate_of(o, i);
    if (isfinite(eta)) s[i] += r[i] - eta * r[i] * r[i];
  }
  /* log(eta) + eta S, where a rate is there; the others (never heard of yet) keep equal shares. */
  double n_heard = 0;
  for (size_t i = 0; i < o->n; i++) {
    double eta = rate_of(o, i);
    if (!isfinite(eta)) continue;
    empty = false;
    n_heard++;
    double z = log(eta) + eta * s[i];
    if (z > most) most = z;
  }
  if (empty) return;
  for (size_t i = 0; i < o->n; i++) {
    double eta = rate_of(o, i);
    o->weight[i] = isfinite(eta) ? exp(log(eta) + eta * s[i] - most) : 0;
    total += o->weight[i];
  }
  for (size_t i = 0; i < o->n; i++)
    o->weight[i] =
        isfinite(rate_of(o, i)) ? o->weight[i] / total * n_heard / (double)o->n : 1 / (double)o->n;
}

static bool valid(const online *o) {
  for (size_t i = 0; i < o->n; i++)
    if (o->row[1][i] < 0) return false;
  return true;
}

const online_rule online_boa = {.name = "boa", .n_rows = 2, .learn = learn, .valid = valid};
