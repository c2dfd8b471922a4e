/* Scores and how sure they are. Probabilities are (n, K) row-major; y in [0, K). */
#ifndef LEARN_METRIC_H
#define LEARN_METRIC_H

#include "base/status.h"

double metric_accuracy(const float *p, const int32_t *y, size_t n, int k);
double metric_macro_f1(const float *p, const int32_t *y, size_t n, int k); /* over classes seen in y or predicted */
double metric_log_loss(const float *p, const int32_t *y, const float *weight, size_t n, int k);
double metric_brier(const float *p, const int32_t *y, size_t n, int k);
/* Expected calibration error of the top class, `bins` of equal width (Guo et al. 2017). */
double metric_calibration_error(const float *p, const int32_t *y, size_t n, int k, int bins);
void metric_confusion(size_t *counts /* (K,K) true x predicted */, const float *p, const int32_t *y,
                      size_t n, int k);
double metric_auc(const float *score, const int32_t *y, const float *weight, size_t n);
double metric_mcc(const size_t *confusion, int k);
double metric_mse(const float *p, const float *y, const float *weight, size_t n);
double metric_mae(const float *p, const float *y, const float *weight, size_t n);
double metric_r2(const float *p, const float *y, const float *weight, size_t n);

/* Smallest confidence at which accuracy on (p, y) is at least `target` (Wilson lower bound at 90 %,
 * so that luck does not pass); 2 when none is. `only` < 0: all rows; else a mask of classes. */
double metric_threshold_at(double target, const float *p, const int32_t *y, size_t n, int k,
                           unsigned class_mask);
/* Share of rows at or over the threshold, and the accuracy there. */
void metric_coverage(double *coverage, double *accuracy, double threshold, const float *p,
                     const int32_t *y, size_t n, int k, unsigned class_mask);

/* Circular block bootstrap (Politis & Romano 1992): interval of a mean of per-row scores. */
void metric_block_bootstrap(double *low, double *high, const double *score, size_t n,
                            size_t block, int resamples, uint64_t seed);

#endif
