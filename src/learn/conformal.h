/* Intervals that hold what they promise, whatever the learner. Split conformal is in calibrate.h;
 * here are those that need more than one quantile:
 *
 *   quantile   conformalised quantile regression: Romano, Patterson & Candes, NeurIPS 2019
 *   cross      jackknife+ and CV+: Barber, Candes, Ramdas & Tibshirani, Annals of Statistics 2021
 *   ensemble   EnbPI, for time series: Xu & Xie, ICML 2021
 *   adaptive   ACI, under drift: Gibbs & Candes, NeurIPS 2021 */
#ifndef LEARN_CONFORMAL_H
#define LEARN_CONFORMAL_H

#include "base/status.h"

#define CONFORMAL_TARGET 0.95 /* what intervals and sets are to hold */

/* The score that at most a share of alpha of exchangeable ones is over, from n of them. INFINITY
 * when they are too few, NaN when memory is out. */
double conformal_limit(const double *score, size_t n, double alpha);

/* How much both ends of [low, high] (n each), predictions of the alpha / 2 and 1 - alpha / 2
 * quantiles, must move out (negative: in) to hold y in a share of 1 - alpha of exchangeable rows.
 * INFINITY when rows are too few, NaN when memory is out. */
double conformal_quantile_regression(const float *low, const float *high, const float *y, size_t n,
                                     double alpha);

/* CV+: residual[i] (n), |y - prediction| of training row i by the model fitted without i's fold,
 * and said[m] what model m says of the new row; of[i] is i's fold. With a fold for each row it is
 * the jackknife+. Holds y with chance at least 1 - 2 alpha always, near 1 - alpha in practice.
 * scratch (2 n). Infinite ends when n is too small. */
void conformal_cross(double *low, double *high, const float *residual, const uint32_t *of, size_t n,
                     const float *said, double alpha, double *scratch);

/* The same, to the bit, from residuals that rise within each fold: those of fold f are
 * residual[begin[f]] to residual[begin[f + 1] - 1]. Nothing is sorted: for one row at a time. */
void conformal_cross_sorted(double *low, double *high, const float *residual, const uint32_t *begin,
                            const float *said, size_t folds, double alpha);

/* The last `capacity` scores, in order, and a level that follows the errors: level moves by gamma
 * (target - miss) after each outcome. gamma 0 is the sliding window of EnbPI. No malloc a tick. */
typedef struct conformal_window {
  double target;       /* share of misses wanted: 0.05 */
  double gamma, level; /* level: alpha as it stands; may leave [0, 1] */
  size_t capacity, n, next;
  float *ring, *sorted; /* (capacity) */
} conformal_window;
garam_status conformal_window_init(conformal_window *w, size_t capacity, double target,
                                   double gamma, garam_error *err);
void conformal_window_deinit(conformal_window *w);
/* The score that at most a share of `level` is over: INFINITY at a level of 0 or less, or when
 * scores are too few; -INFINITY at 1 or more. */
double conformal_window_limit(const conformal_window *w);
/* An outcome: its score goes in, and the level moves by whether it was over the limit that stood
 * when it was predicted. */
void conformal_window_learn(conformal_window *w, double score, bool missed);
/* A score of before the first outcome: the level stays. */
void conformal_window_add(conformal_window *w, double score);
void conformal_window_clear(conformal_window *w); /* as after init */
/* Of the same capacity; `to` has the oldest score first in its ring. */
void conformal_window_copy(conformal_window *to, const conformal_window *from);

#endif
