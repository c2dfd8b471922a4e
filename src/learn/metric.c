/* Scores: see metric.h. All sums are in double, in the order of rows. */
#include "learn/metric.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int metric_top(const float *p, int k) {
  int best = 0;
  for (int c = 1; c < k; c++)
    if (p[c] > p[best]) best = c;
  return best;
}

double metric_accuracy(const float *p, const int32_t *y, size_t n, int k) {
  size_t hits = 0;
  for (size_t i = 0; i < n; i++) hits += metric_top(p + i * (size_t)k, k) == y[i];
  return n ? (double)hits / (double)n : NAN;
}

void metric_confusion(size_t *counts, const float *p, const int32_t *y, size_t n, int k) {
  memset(counts, 0, (size_t)k * (size_t)k * sizeof *counts);
  for (size_t i = 0; i < n; i++)
    counts[(size_t)y[i] * (size_t)k + (size_t)metric_top(p + i * (size_t)k, k)]++;
}

double metric_macro_f1_of(const size_t *confusion, int k) {
  double sum = 0;
  int seen = 0;
  for (int c = 0; c < k; c++) {
    size_t hit = confusion[c * k + c], truth = 0, predicted = 0;
    for (int j = 0; j < k; j++) {
      truth += confusion[c * k + j];
      predicted += confusion[j * k + c];
    }
    if (truth + predicted == 0) continue;
    seen++;
    sum += 2.0 * (double)hit / (double)(truth + predicted);
  }
  return seen ? sum / seen : NAN;
}

double metric_macro_f1(const float *p, const int32_t *y, size_t n, int k) {
  size_t *counts = mem_array((size_t)k * (size_t)k, sizeof *counts);
  if (!counts) return NAN;
  metric_confusion(counts, p, y, n, k);
  double f1 = metric_macro_f1_of(counts, k);
  mem_free(counts);
  return f1;
}

double metric_log_loss(const float *p, const int32_t *y, const float *weight, size_t n, int k) {
  double sum = 0, total = 0;
  for (size_t i = 0; i < n; i++) {
    double w = weight ? weight[i] : 1, q = p[i * (size_t)k + (size_t)y[i]];
    sum -= w * log(q > 1e-15 ? q : 1e-15);
    total += w;
  }
  return total > 0 ? sum / total : NAN;
}

double metric_brier(const float *p, const int32_t *y, size_t n, int k) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    for (int c = 0; c < k; c++) {
      double d = (double)p[i * (size_t)k + (size_t)c] - (y[i] == c);
      sum += d * d;
    }
  return n ? sum / (double)n : NAN;
}

void metric_reliability(metric_bin *out, const float *p, const int32_t *y, size_t n, int k,
                        int bins) {
  for (int b = 0; b < bins; b++) out[b] = (metric_bin){0};
  for (size_t i = 0; i < n; i++) {
    int top = metric_top(p + i * (size_t)k, k);
    double confidence = p[i * (size_t)k + (size_t)top];
    int b = (int)(confidence * bins);
    if (b < 0) b = 0;
    if (b >= bins) b = bins - 1;
    out[b].confidence += confidence;
    out[b].accuracy += top == y[i];
    out[b].n++;
  }
  for (int b = 0; b < bins; b++) {
    out[b].confidence = out[b].n ? out[b].confidence / (double)out[b].n : NAN;
    out[b].accuracy = out[b].n ? out[b].accuracy / (double)out[b].n : NAN;
  }
}

double metric_calibration_error(const float *p, const int32_t *y, size_t n, int k, int bins) {
  metric_bin *b = mem_array((size_t)bins, sizeof *b);
  if (!b || n == 0) {
    mem_free(b);
    return NAN;
  }
  metric_reliability(b, p, y, n, k, bins);
  double sum = 0;
  for (int i = 0; i < bins; i++)
    if (b[i].n) sum += (double)b[i].n * fabs(b[i].confidence - b[i].accuracy);
  mem_free(b);
  return sum / (double)n;
}

typedef struct scored {
  double score;
  uint32_t row;
} scored;

/* Largest score first; equal ones in the order of rows. */
static int compare_scored(const void *a, const void *b) {
  const scored *x = a, *y = b;
  if (x->score != y->score) return x->score > y->score ? -1 : 1;
  return x->row < y->row ? -1 : x->row > y->row;
}

double metric_auc(const float *score, const int32_t *y, const float *weight, size_t n) {
  scored *s = mem_array(n + 1, sizeof *s);
  if (!s) return NAN;
  for (size_t i = 0; i < n; i++) s[i] = (scored){score[i], (uint32_t)i};
  qsort(s, n, sizeof *s, compare_scored);
  double positives = 0, negatives = 0, area = 0;
  for (size_t i = 0; i < n;) {
    double tied_positives = 0, tied_negatives = 0;
    size_t j = i;
    for (; j < n && s[j].score == s[i].score; j++) {
      double w = weight ? weight[s[j].row] : 1;
      if (y[s[j].row] == 1) tied_positives += w;
      else tied_negatives += w;
    }
    area += tied_negatives * (positives + tied_positives / 2);
    positives += tied_positives;
    negatives += tied_negatives;
    i = j;
  }
  mem_free(s);
  return positives > 0 && negatives > 0 ? area / (positives * negatives) : NAN;
}

double metric_mcc(const size_t *confusion, int k) {
  double n = 0, hits = 0, cross = 0, truths = 0, predictions = 0;
  for (int c = 0; c < k; c++) {
    double truth = 0, predicted = 0;
    for (int j = 0; j < k; j++) {
      truth += (double)confusion[c * k + j];
      predicted += (double)confusion[j * k + c];
    }
    n += truth;
    hits += (double)confusion[c * k + c];
    cross += truth * predicted;
    truths += truth * truth;
    predictions += predicted * predicted;
  }
  double scale = (n * n - truths) * (n * n - predictions);
  return scale > 0 ? (hits * n - cross) / sqrt(scale) : 0;
}

double metric_mse(const float *p, const float *y, const float *weight, size_t n) {
  double sum = 0, total = 0;
  for (size_t i = 0; i < n; i++) {
    double w = weight ? weight[i] : 1, d = (double)p[i] - y[i];
    sum += w * d * d;
    total += w;
  }
  return total > 0 ? sum / total : NAN;
}

double metric_mae(const float *p, const float *y, const float *weight, size_t n) {
  double sum = 0, total = 0;
  for (size_t i = 0; i < n; i++) {
    double w = weight ? weight[i] : 1;
    sum += w * fabs((double)p[i] - y[i]);
    total += w;
  }
  return total > 0 ? sum / total : NAN;
}

double metric_r2(const float *p, const float *y, const float *weight, size_t n) {
  double mean = 0, total = 0, around = 0;
  for (size_t i = 0; i < n; i++) {
    double w = weight ? weight[i] : 1;
    mean += w * y[i];
    total += w;
  }
  if (!(total > 0)) return NAN;
  mean /= total;
  for (size_t i = 0; i < n; i++) {
    double d = y[i] - mean;
    around += (weight ? weight[i] : 1) * d * d;
  }
  return around > 0 ? 1 - metric_mse(p, y, weight, n) * total / around : NAN;
}

/* Lower end of Wilson's (1927) score interval for a share of hits. */
static double wilson_low(double hits, double n) {
  const double z = 1.2815515655446004; /* one-sided 90 % */
  double share = hits / n, z2 = z * z;
  double centre = share + z2 / (2 * n);
  double spread = z * sqrt(share * (1 - share) / n + z2 / (4 * n * n));
  return (centre - spread) / (1 + z2 / n);
}

static bool is_call(const float *p, int k, unsigned class_mask, int *top) {
  *top = metric_top(p, k);
  return class_mask == METRIC_ALL_CLASSES || (*top < 32 && (class_mask >> *top & 1u));
}

double metric_threshold_at(double target, const float *p, const int32_t *y, size_t n, int k,
                           unsigned class_mask) {
  scored *s = mem_array(n + 1, sizeof *s);
  if (!s) return NAN;
  size_t m = 0;
  for (size_t i = 0; i < n; i++) {
    int top;
    if (is_call(p + i * (size_t)k, k, class_mask, &top))
      s[m++] = (scored){p[i * (size_t)k + (size_t)top], (uint32_t)i};
  }
  qsort(s, m, sizeof *s, compare_scored);
  double threshold = 2, hits = 0;
  for (size_t i = 0; i < m; i++) {
    hits += metric_top(p + s[i].row * (size_t)k, k) == y[s[i].row];
    bool last_of_ties = i + 1 == m || s[i + 1].score != s[i].score;
    if (last_of_ties && wilson_low(hits, (double)(i + 1)) >= target) threshold = s[i].score;
  }
  mem_free(s);
  return threshold;
}

void metric_coverage(double *coverage, double *accuracy, double threshold, const float *p,
                     const int32_t *y, size_t n, int k, unsigned class_mask) {
  size_t calls = 0, hits = 0;
  for (size_t i = 0; i < n; i++) {
    const float *row = p + i * (size_t)k;
    int top;
    if (!is_call(row, k, class_mask, &top) || !(row[top] >= threshold)) continue;
    calls++;
    hits += top == y[i];
  }
  *coverage = n ? (double)calls / (double)n : NAN;
  *accuracy = calls ? (double)hits / (double)calls : NAN;
}
