/* Scores and how sure they are. Probabilities are (n, K) row-major; y in [0, K); weights NULL are
 * all 1. A score of no rows, or one for which memory is out, is NaN. Ties between classes go to
 * the first. */
#ifndef LEARN_METRIC_H
#define LEARN_METRIC_H

#include "base/status.h"

int metric_top(const float *p, int k); /* the class of the largest probability */

double metric_accuracy(const float *p, const int32_t *y, size_t n, int k);
double metric_macro_f1(const float *p, const int32_t *y, size_t n, int k); /* of classes seen */
double metric_macro_f1_of(const size_t *confusion, int k);
/* Mean of -log p, p no smaller than 1e-15. */
double metric_log_loss(const float *p, const int32_t *y, const float *weight, size_t n, int k);
/* Mean over rows of the sum over classes of (p - 1{y})^2: 0 to 2 (Brier 1950). */
double metric_brier(const float *p, const int32_t *y, size_t n, int k);
/* Expected calibration error of the top class, `bins` of equal width (Guo et al. 2017). */
double metric_calibration_error(const float *p, const int32_t *y, size_t n, int k, int bins);
typedef struct metric_bin {
  double confidence, accuracy; /* means of the rows in it; NaN when empty */
  size_t n;
} metric_bin;
void metric_reliability(metric_bin *out, const float *p, const int32_t *y, size_t n, int k,
                        int bins);
void metric_confusion(size_t *counts /* (K,K) true x predicted */, const float *p, const int32_t *y,
                      size_t n, int k);
/* Area under the ROC curve: the chance that a positive (y = 1) scores over a negative; ties count
 * half. */
double metric_auc(const float *score, const int32_t *y, const float *weight, size_t n);
/* Matthews' correlation for K classes (Gorodkin 2004, R_K); 0 where it is not defined. */
double metric_mcc(const size_t *confusion, int k);
double metric_mse(const float *p, const float *y, const float *weight, size_t n);
double metric_mae(const float *p, const float *y, const float *weight, size_t n);
double metric_r2(const float *p, const float *y, const float *weight, size_t n);

/* Masks say which predicted classes count as calls: bit 1 << class. */
#define METRIC_ALL_CLASSES (~0u)
/* Smallest confidence at which the accuracy of the calls on (p, y) is at least `target`: by the
 * Wilson lower bound at 90 % (one-sided), so that luck does not pass. 2 when none is. */
double metric_threshold_at(double target, const float *p, const int32_t *y, size_t n, int k,
                           unsigned class_mask);
/* Share of all rows that are calls at or over the threshold, and the accuracy there (NaN when
 * there are none). */
void metric_coverage(double *coverage, double *accuracy, double threshold, const float *p,
                     const int32_t *y, size_t n, int k, unsigned class_mask);

/* Circular block bootstrap (Politis & Romano 1992): the central 95 % interval of a mean of
 * per-row scores. */
void metric_block_bootstrap(double *low, double *high, const double *score, size_t n, size_t block,
                            int resamples, uint64_t seed);
/* The same for the macro-F1 of predicted classes. */
void metric_block_bootstrap_f1(double *low, double *high, const int32_t *predicted,
                               const int32_t *y, size_t n, int k, size_t block, int resamples,
                               uint64_t seed);

#endif
