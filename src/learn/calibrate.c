/* Calibration: see calibrate.h. */
#include "learn/calibrate.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

/* d(loss)/d(beta) at beta = 1 / T: the mean of E_p[z] - z_y. It rises with beta: the loss is
 * convex there. */
static double slope(const float *logits, const int32_t *y, const float *weight, size_t n, int k,
                    double beta) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    const float *z = logits + i * (size_t)k;
    double most = (double)z[0], total = 0, mean = 0;
    for (int c = 1; c < k; c++)
      if ((double)z[c] > most) most = (double)z[c];
    for (int c = 0; c < k; c++) {
      double e = exp(beta * ((double)z[c] - most));
      total += e;
      mean += e * (double)z[c];
    }
    sum += (weight ? (double)weight[i] : 1) * (mean / total - (double)z[y[i]]);
  }
  return sum;
}

double calibrate_temperature(const float *logits, const int32_t *y, const float *weight, size_t n,
                             int k) {
  if (n == 0) return 1;
  double low = log(0.01), high = log(20); /* of beta */
  if (slope(logits, y, weight, n, k, exp(low)) >= 0) return exp(-low);
  if (slope(logits, y, weight, n, k, exp(high)) <= 0) return exp(-high);
  for (int i = 0; i < 50; i++) {
    double middle = (low + high) / 2;
    if (slope(logits, y, weight, n, k, exp(middle)) > 0) high = middle;
    else low = middle;
  }
  return exp(-(low + high) / 2);
}

bool calibrate_softmax(float *logits, size_t n, int k, double temperature) {
  float beta = (float)(1 / temperature);
  bool finite = true;
  for (size_t i = 0; i < n; i++) {
    float *z = logits + i * (size_t)k, most = z[0], total = 0;
    for (int c = 1; c < k; c++)
      if (z[c] > most) most = z[c];
    for (int c = 0; c < k; c++) {
      z[c] = expf(beta * (z[c] - most));
      total += z[c];
    }
    finite = finite && isfinite(total);
    for (int c = 0; c < k; c++) z[c] /= total;
  }
  return finite;
}

static int compare_f32(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* The ceil((n + 1)(1 - alpha))-th smallest score, or `none` when that is beyond the last. */
static double conformal_quantile(float *scores, size_t n, double alpha, double none) {
  double rank = ceil((double)(n + 1) * (1 - alpha) - 1e-9);
  if (n == 0 || rank > (double)n) return none;
  qsort(scores, n, sizeof *scores, compare_f32);
  return (double)scores[(size_t)rank - 1];
}

double calibrate_conformal(const float *p, const int32_t *y, size_t n, int k, double alpha) {
  float *scores = mem_array(n + 1, sizeof *scores);
  if (!scores) return NAN;
  for (size_t i = 0; i < n; i++) scores[i] = 1 - p[i * (size_t)k + (size_t)y[i]];
  double q = conformal_quantile(scores, n, alpha, 1);
  mem_free(scores);
  return q;
}

void calibrate_conformal_score(double *coverage, double *mean_size, double quantile, const float *p,
                               const int32_t *y, size_t n, int k) {
  size_t held = 0, size = 0;
  float limit = (float)quantile;
  for (size_t i = 0; i < n; i++)
    for (int c = 0; c < k; c++) {
      bool in = 1 - p[i * (size_t)k + (size_t)c] <= limit;
      size += in;
      held += in && y[i] == c;
    }
  *coverage = n ? (double)held / (double)n : NAN;
  *mean_size = n ? (double)size / (double)n : NAN;
}

double calibrate_conformal_width(const float *p, const float *y, size_t n, double alpha) {
  float *scores = mem_array(n + 1, sizeof *scores);
  if (!scores) return NAN;
  for (size_t i = 0; i < n; i++) scores[i] = fabsf(p[i] - y[i]);
  double q = conformal_quantile(scores, n, alpha, INFINITY);
  mem_free(scores);
  return q;
}
