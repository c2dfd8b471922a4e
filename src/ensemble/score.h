/* Scores of members as probabilities, and how good they are: in doubles, in the order of rows. */
#ifndef ENSEMBLE_SCORE_H
#define ENSEMBLE_SCORE_H

#include "learn/dataset.h"

#define SCORE_LEAST 1e-15 /* no probability is smaller, as in metric_log_loss */

/* Class scores (n, k) become log-probabilities, none under log(SCORE_LEAST). In place. */
void score_log_softmax(float *z, size_t n, size_t k);

/* Loss of a prediction for a row: -log p of the class, from log-probabilities (k), or the squared
 * error of a value. */
double score_row_loss(const dataset *d, size_t row, const float *prediction, size_t k);

/* Over rows, weighed as the data says; NaN for no rows. predictions (rows.n, k). */
double score_loss(const dataset *d, row_set rows, const float *predictions, size_t k);
double score_accuracy(const dataset *d, row_set rows, const float *predictions, size_t k);

/* Adds share x exp(log p) of (n, k), or share x value, to the sums; and back to log-probabilities
 * (n, k) once all shares are in. `classes` false: values. */
void score_pool_add(float *sums, const float *predictions, size_t size, double share, bool classes);
void score_pool_end(float *sums, size_t size, bool classes);

#endif
