/* Elo's scale: 400 points are odds of ten to one. */
#include "rl/elo.h"

#include "base/mem.h"

#include <math.h>

static const double points = 400;

double elo_expected(double a, double b) {
  return 1 / (1 + pow(10, (b - a) / points));
}

void elo_update(double *a, double *b, double score, double k) {
  const double surprise = score - elo_expected(*a, *b);
  *a += k * surprise;
  *b -= k * surprise;
}

/* Hunter 2004, eq. 3: strength_i <- score_i / sum_j games_ij / (strength_i + strength_j), with a
 * player of strength 1 that everybody drew against. */
garam_status elo_fit(double *rating, const double *score, const double *games, size_t n,
                     double mean, double prior, garam_error *err) {
  enum { ROUNDS = 10000 };
  REQUIRE(prior > 0, "elo_fit: a prior of %g draws, expected more than 0", prior);
  double *strength = mem_array(2 * n + 1, sizeof *strength), *next = strength + n;
  if (!strength) return fail_memory(err, 2 * n * sizeof *strength);
  for (size_t i = 0; i < n; i++) strength[i] = 1;
  for (int round = 0; round < ROUNDS; round++) {
    double moved = 0;
    for (size_t i = 0; i < n; i++) {
      double scored = prior / 2, weight = prior / (strength[i] + 1);
      for (size_t j = 0; j < n; j++) {
        if (j == i) continue;
        scored += score[i * n + j];
        weight += games[i * n + j] / (strength[i] + strength[j]);
      }
      next[i] = scored / weight;
      moved = fmax(moved, fabs(log(next[i] / strength[i])));
    }
    for (size_t i = 0; i < n; i++) strength[i] = next[i];
    if (moved < 1e-12) break;
  }
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += rating[i] = points * log10(strength[i]);
  for (size_t i = 0; i < n; i++) rating[i] += mean - sum / (double)n;
  mem_free(strength);
  return GARAM_OK;
}
