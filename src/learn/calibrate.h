/* From scores to odds that can be taken at their word, fitted on the validation part. */
#ifndef LEARN_CALIBRATE_H
#define LEARN_CALIBRATE_H

#include "base/status.h"

/* Temperature scaling (Guo et al., "On calibration of modern neural networks", ICML 2017): the T
 * in [0.05, 100] for which softmax(logits / T) has the least log loss. 1 when there are no rows. */
double calibrate_temperature(const float *logits, const int32_t *y, const float *weight, size_t n,
                             int k);
/* Logits (n, K) become probabilities, in place. False when one is not finite. */
bool calibrate_softmax(float *logits, size_t n, int k, double temperature);

/* Split-conformal sets with the score 1 - p(y) (Sadinle, Lei & Wasserman 2019): a class is in the
 * set when p >= 1 - quantile. Holds y in a share of at least 1 - alpha of exchangeable rows.
 * 1 (every class) when there are too few rows; NaN when memory is out. */
double calibrate_conformal(const float *p, const int32_t *y, size_t n, int k, double alpha);
void calibrate_conformal_score(double *coverage, double *mean_size, double quantile, const float *p,
                               const int32_t *y, size_t n, int k);
/* The same for values: half the width of an interval around the prediction; infinity when there
 * are too few rows. */
double calibrate_conformal_width(const float *p, const float *y, size_t n, double alpha);

#endif
