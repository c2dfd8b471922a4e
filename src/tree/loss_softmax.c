/* K classes: -log p of the right one, p the softmax of K scores. Hessians as Friedman (2001) has
 * them: K / (K - 1) p (1 - p). */
#include "base/wide.h"
#include "tree/fast_math.h"
#include "tree/loss.h"

#include <math.h>

/* Scores less their largest, exponentials in `out`, and their sum. */
WIDE static void exponentials(float *restrict out, float *restrict sum, float *restrict most,
                              const float *restrict score, size_t k) {
  for (int i = 0; i < LOSS_TILE; i++) most[i] = score[i], sum[i] = 0;
  for (size_t c = 1; c < k; c++)
    for (int i = 0; i < LOSS_TILE; i++) {
      float s = score[c * LOSS_TILE + (size_t)i];
      most[i] = s > most[i] ? s : most[i];
    }
  for (size_t c = 0; c < k; c++)
    for (int i = 0; i < LOSS_TILE; i++) {
      float e = fast_exp(score[c * LOSS_TILE + (size_t)i] - most[i]);
      out[c * LOSS_TILE + (size_t)i] = e;
      sum[i] += e;
    }
}

WIDE static void gradients_of(float *restrict gradient, float *restrict hessian,
                              const float *restrict sum, const float *restrict target,
                              const float *restrict weight, float c, float factor) {
  for (int i = 0; i < LOSS_TILE; i++) {
    float p = gradient[i] / sum[i];
    gradient[i] = (p - (target[i] == c ? 1.0f : 0.0f)) * weight[i];
    hessian[i] = factor * p * (1.0f - p) * weight[i];
  }
}

static void gradients(const loss *l, loss_tile *t) {
  float sum[LOSS_TILE], most[LOSS_TILE];
  size_t k = l->n_outputs;
  exponentials(t->gradient, sum, most, t->score, k);
  float factor = (float)k / (float)(k - 1);
  for (size_t c = 0; c < k; c++)
    gradients_of(t->gradient + c * LOSS_TILE, t->hessian + c * LOSS_TILE, sum, t->target, t->weight,
                 (float)c, factor);
}

static void losses(const loss *l, loss_tile *t) {
  float sum[LOSS_TILE], most[LOSS_TILE];
  exponentials(t->gradient, sum, most, t->score, l->n_outputs);
  for (size_t i = 0; i < t->n; i++)
    t->loss[i] = logf(sum[i]) + most[i] - t->score[(size_t)t->target[i] * LOSS_TILE + i];
}

static double base(const loss *l, row_set rows, size_t k) {
  double mine = 0, all = 0;
  for (size_t i = 0; i < rows.n; i++) {
    double w = l->weight ? (double)l->weight[rows.rows[i]] : 1;
    all += w;
    if (l->d->y[rows.rows[i]] == (int32_t)k) mine += w;
  }
  double p = all > 0 ? mine / all : 0;
  return log(p < 1e-15 ? 1e-15 : p);
}

const loss_ops loss_softmax = {
    .name = "softmax",
    .summary = "several classes: the log loss",
    .tasks = 1u << TASK_CLASSIFICATION,
    .base = base,
    .gradients = gradients,
    .losses = losses,
};
