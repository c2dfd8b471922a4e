/* Two classes: -log p of the right one, p of class 1 the logistic function of the score. */
#include "base/wide.h"
#include "tree/fast_math.h"
#include "tree/loss.h"

#include <math.h>

WIDE static void gradients_of(float *restrict gradient, float *restrict hessian,
                              const float *restrict score, const float *restrict target,
                              const float *restrict weight) {
  for (int i = 0; i < LOSS_TILE; i++) {
    float p = 1.0f / (1.0f + fast_exp(-score[i]));
    gradient[i] = (p - target[i]) * weight[i];
    hessian[i] = p * (1.0f - p) * weight[i];
  }
}

/* log(1 + exp(-|s|)) + max(s, 0) - y s */
WIDE static void losses_of(float *restrict out, const float *restrict score,
                           const float *restrict target) {
  for (int i = 0; i < LOSS_TILE; i++) {
    float s = score[i], a = s < 0 ? -s : s;
    out[i] = fast_log1p(fast_exp(-a)) + (s > 0 ? s : 0) - target[i] * s;
  }
}

static void gradients(const loss *l, loss_tile *t) {
  (void)l;
  gradients_of(t->gradient, t->hessian, t->score, t->target, t->weight);
}

static void losses(const loss *l, loss_tile *t) {
  (void)l;
  losses_of(t->loss, t->score, t->target);
}

static double base(const loss *l, row_set rows, size_t k) {
  (void)k;
  double ones = 0, all = 0;
  for (size_t i = 0; i < rows.n; i++) {
    double w = l->weight ? (double)l->weight[rows.rows[i]] : 1;
    all += w;
    if (l->d->y[rows.rows[i]] == 1) ones += w;
  }
  double p = all > 0 ? ones / all : 0.5;
  p = p < 1e-15 ? 1e-15 : p > 1 - 1e-15 ? 1 - 1e-15 : p;
  return log(p / (1 - p));
}

const loss_ops loss_logistic = {
    .name = "logistic",
    .summary = "two classes: the log loss",
    .tasks = 1u << TASK_BINARY,
    .base = base,
    .gradients = gradients,
    .losses = losses,
};
