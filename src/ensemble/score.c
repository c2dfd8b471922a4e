/* Scores of members: see score.h. */
#include "ensemble/score.h"

#include <math.h>

void score_log_softmax(float *z, size_t n, size_t k) {
  const float least = (float)log(SCORE_LEAST);
  for (size_t i = 0; i < n; i++, z += k) {
    double most = (double)z[0], sum = 0;
    for (size_t c = 1; c < k; c++)
      if ((double)z[c] > most) most = (double)z[c];
    for (size_t c = 0; c < k; c++) sum += exp((double)z[c] - most);
    double shift = most + log(sum);
    for (size_t c = 0; c < k; c++) {
      float log_p = (float)((double)z[c] - shift);
      z[c] = log_p < least ? least : log_p;
    }
  }
}

double score_row_loss(const dataset *d, size_t row, const float *prediction, size_t k) {
  if (d->n_classes > 0 && k > 1) return -(double)prediction[d->y[row]];
  double off = (double)prediction[0] - (double)d->value[row];
  return off * off;
}

static double weight_of(const dataset *d, size_t row) {
  return d->weight ? (double)d->weight[row] : 1;
}

double score_loss(const dataset *d, row_set rows, const float *predictions, size_t k) {
  double sum = 0, weights = 0;
  for (size_t i = 0; i < rows.n; i++) {
    double w = weight_of(d, rows.rows[i]);
    sum += w * score_row_loss(d, rows.rows[i], predictions + i * k, k);
    weights += w;
  }
  return weights > 0 ? sum / weights : NAN;
}

double score_accuracy(const dataset *d, row_set rows, const float *predictions, size_t k) {
  size_t hits = 0;
  if (k < 2 || rows.n == 0) return NAN;
  for (size_t i = 0; i < rows.n; i++) {
    const float *p = predictions + i * k;
    size_t top = 0;
    for (size_t c = 1; c < k; c++)
      if (p[c] > p[top]) top = c;
    hits += (int32_t)top == d->y[rows.rows[i]];
  }
  return (double)hits / (double)rows.n;
}

void score_pool_add(float *sums, const float *predictions, size_t size, double share,
                    bool classes) {
  for (size_t i = 0; i < size; i++) {
    double p = (double)predictions[i];
    sums[i] += (float)(share * (classes ? exp(p) : p));
  }
}

void score_pool_end(float *sums, size_t size, bool classes) {
  for (size_t i = 0; classes && i < size; i++)
    sums[i] = (float)log((double)sums[i] > SCORE_LEAST ? (double)sums[i] : SCORE_LEAST);
}
