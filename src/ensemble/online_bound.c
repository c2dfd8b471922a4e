/* Bounds on regret, each for its rule, from the state that the rule keeps. */
#include "ensemble/online_bound.h"

#include <math.h>

/* Exponential weights at a fixed rate: ln n / eta + eta T range^2 / 8; at sqrt(8 ln n / t): the
 * next line. Cesa-Bianchi & Lugosi 2006, theorems 2.2 and 2.3. */
static double bound_hedge(const online *o) {
  double log_n = log((double)o->n), t = (double)o->ticks, range = o->config.range;
  double eta = o->config.rate;
  if (o->config.loss == ONLINE_LOG && !o->config.gradient && !(eta > 0)) return log_n;
  if (eta > 0) return log_n / eta + eta * t * range * range / 8;
  return range * (2 * sqrt(t / 2 * log_n) + sqrt(log_n / 8));
}

/* de Rooij et al. 2014, theorem 6: V the sum of the variances, S the widest tick. */
static double bound_adahedge(const online *o) {
  double log_n = log((double)o->n), s = o->scalar[ONLINE_SCALARS - 1];
  return 2 * sqrt(o->scalar[1] * log_n) + s * (4.0 / 3 * log_n + 2);
}

/* Gaillard et al. 2014, theorem 5, in units of the range. */
static double bound_mlpol(const online *o, size_t k) {
  double e = o->config.range, t = (double)o->ticks;
  return sqrt((double)o->n * (1 + log(1 + t)) * (e * e + o->row[1][k]));
}

/* With W = mean of exp(eta_j S_j): exp(x - x^2) <= 1 + x at x = eta r >= -1/2 (Wintenberger 2017)
 * and sum of p r <= 0 keep W from growing at a fixed rate; when rates fall, y <= y^a + (a - 1) / e
 * (Gaillard et al. 2014, lemma 13) adds (eta before / eta after - 1) / e, of which the sum is at
 * most (1 + 1/(4 ln n)) / 2 times ln(T / (4 ln n)). So eta S <= ln n + ln W, and the squares in S
 * sum to 2 sqrt((1 + 1/(4 ln n)) V ln n) + E / 2 at most. */
static double bound_boa(const online *o, size_t k) {
  double e = o->config.range, v = o->row[1][k], log_n = log((double)o->n), t = (double)o->ticks;
  if (o->n < 2) return 0;
  double c = 1 + 1 / (4 * log_n), ahead = log(t / (4 * log_n));
  double log_w = log(1 + c * (ahead > 0 ? ahead : 0) / (2 * exp(1)));
  return 2 * sqrt(c * v * log_n) + e / 2 + (log_n + log_w) * fmax(2 * e, sqrt(v / log_n));
}

double online_bound(const online *o, size_t k) {
  bool known = o->config.range > 0;
  if (o->rule == &online_adahedge) return bound_adahedge(o);
  if (!known && !(o->rule == &online_hedge && o->config.loss == ONLINE_LOG)) return NAN;
  if (o->rule == &online_hedge) return bound_hedge(o);
  if (o->rule == &online_fixed_share) return online_bound_switching(o, 0);
  if (o->rule == &online_mlpol) return bound_mlpol(o, k);
  if (o->rule == &online_boa) return bound_boa(o, k);
  return NAN;
}

/* A path with m changes has prior weight at least n^-(m+1) share^m (1 - share)^(T-m-1); the rest is
 * as for exponential weights. Herbster & Warmuth 1998; Cesa-Bianchi & Lugosi 2006, theorem 5.2. */
double online_bound_switching(const online *o, size_t switches) {
  double share = o->config.share, eta = o->config.rate, range = o->config.range;
  double m = (double)switches, t = (double)o->ticks;
  if (o->rule != &online_fixed_share || !(eta > 0) || !(range > 0)) return NAN;
  double path = (m + 1) * log((double)o->n);
  if (m > 0) path -= m * log(share);
  if (t > m + 1 && share > 0) path -= (t - m - 1) * log1p(-share);
  return path / eta + eta * t * range * range / 8;
}
