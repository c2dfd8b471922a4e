/* Losses of values: squared, Huber, quantile, Poisson, and one that the host brings. */
#include "base/mem.h"
#include "base/wide.h"
#include "tree/fast_math.h"
#include "tree/loss.h"

#include <math.h>
#include <stdlib.h>

static double mean(const loss *l, row_set rows, size_t k) {
  (void)k;
  double sum = 0, all = 0;
  for (size_t i = 0; i < rows.n; i++) {
    double w = l->weight ? (double)l->weight[rows.rows[i]] : 1;
    sum += w * (double)l->d->value[rows.rows[i]];
    all += w;
  }
  return all > 0 ? sum / all : 0;
}

/* ---- squared ------------------------------------------------------------------------------- */

WIDE static void squared_of(float *restrict gradient, float *restrict hessian,
                            const float *restrict score, const float *restrict target,
                            const float *restrict weight) {
  for (int i = 0; i < LOSS_TILE; i++) {
    gradient[i] = (score[i] - target[i]) * weight[i];
    hessian[i] = weight[i];
  }
}

static void squared_gradients(const loss *l, loss_tile *t) {
  (void)l;
  squared_of(t->gradient, t->hessian, t->score, t->target, t->weight);
}

static void squared_losses(const loss *l, loss_tile *t) {
  (void)l;
  for (size_t i = 0; i < t->n; i++) {
    float r = t->score[i] - t->target[i];
    t->loss[i] = r * r;
  }
}

const loss_ops loss_squared = {
    .name = "squared",
    .summary = "values: the squared error",
    .tasks = 1u << TASK_REGRESSION,
    .base = mean,
    .gradients = squared_gradients,
    .losses = squared_losses,
};

/* ---- huber --------------------------------------------------------------------------------- */

static void huber_gradients(const loss *l, loss_tile *t) {
  float delta = (float)l->settings.alpha;
  for (size_t i = 0; i < t->n; i++) {
    float r = t->score[i] - t->target[i];
    t->gradient[i] = (r > delta ? delta : r < -delta ? -delta : r) * t->weight[i];
    t->hessian[i] = t->weight[i];
  }
}

static void huber_losses(const loss *l, loss_tile *t) {
  float delta = (float)l->settings.alpha;
  for (size_t i = 0; i < t->n; i++) {
    float r = fabsf(t->score[i] - t->target[i]);
    t->loss[i] = r <= delta ? 0.5f * r * r : delta * (r - 0.5f * delta);
  }
}

const loss_ops loss_huber = {
    .name = "huber",
    .summary = "values: squared near zero, linear beyond --alpha (Huber 1964)",
    .tasks = 1u << TASK_REGRESSION,
    .base = mean,
    .gradients = huber_gradients,
    .losses = huber_losses,
};

/* ---- quantile ------------------------------------------------------------------------------ */

static void quantile_gradients(const loss *l, loss_tile *t) {
  float alpha = (float)l->settings.alpha;
  for (size_t i = 0; i < t->n; i++) {
    t->gradient[i] = (t->score[i] >= t->target[i] ? 1 - alpha : -alpha) * t->weight[i];
    t->hessian[i] = t->weight[i];
  }
}

static void quantile_losses(const loss *l, loss_tile *t) {
  float alpha = (float)l->settings.alpha;
  for (size_t i = 0; i < t->n; i++) {
    float r = t->target[i] - t->score[i];
    t->loss[i] = r >= 0 ? alpha * r : (alpha - 1) * r;
  }
}

static double quantile_renewal(const loss *l) {
  return l->settings.alpha;
}

typedef struct weighed {
  float value;
  double weight;
} weighed;

static int compare_weighed(const void *a, const void *b) {
  float x = ((const weighed *)a)->value, y = ((const weighed *)b)->value;
  return (x > y) - (x < y);
}

static double quantile_base(const loss *l, row_set rows, size_t k) {
  (void)k;
  weighed *all = mem_array(rows.n + 1, sizeof *all);
  if (!all) return 0; /* a start, not a result: the trees make up for it */
  double total = 0, sum = 0;
  for (size_t i = 0; i < rows.n; i++) {
    uint32_t row = rows.rows[i];
    all[i] = (weighed){l->d->value[row], l->weight ? (double)l->weight[row] : 1};
    total += all[i].weight;
  }
  qsort(all, rows.n, sizeof *all, compare_weighed);
  size_t i = 0;
  while (i + 1 < rows.n && (sum += all[i].weight) < l->settings.alpha * total) i++;
  double out = rows.n ? (double)all[i].value : 0;
  mem_free(all);
  return out;
}

const loss_ops loss_quantile = {
    .name = "quantile",
    .summary = "values: the --alpha quantile (pinball loss)",
    .tasks = 1u << TASK_REGRESSION,
    .base = quantile_base,
    .gradients = quantile_gradients,
    .losses = quantile_losses,
    .renewal = quantile_renewal,
};

/* ---- poisson ------------------------------------------------------------------------------- */

/* The score is the log of the mean; the hessian is made larger so that steps stay small. */
static void poisson_gradients(const loss *l, loss_tile *t) {
  float more = (float)exp(l->settings.max_delta);
  for (size_t i = 0; i < t->n; i++) {
    float e = fast_exp(t->score[i]);
    t->gradient[i] = (e - t->target[i]) * t->weight[i];
    t->hessian[i] = e * more * t->weight[i];
  }
}

static void poisson_losses(const loss *l, loss_tile *t) {
  (void)l;
  for (size_t i = 0; i < t->n; i++) t->loss[i] = fast_exp(t->score[i]) - t->target[i] * t->score[i];
}

static double poisson_base(const loss *l, row_set rows, size_t k) {
  double m = mean(l, rows, k);
  return log(m > 1e-6 ? m : 1e-6);
}

const loss_ops loss_poisson = {
    .name = "poisson",
    .summary = "counts: the Poisson deviance, by the log of the mean",
    .tasks = 1u << TASK_REGRESSION,
    .base = poisson_base,
    .gradients = poisson_gradients,
    .losses = poisson_losses,
};

/* ---- the host's ---------------------------------------------------------------------------- */

static void custom_gradients(const loss *l, loss_tile *t) {
  l->settings.custom(l->settings.custom_context, t->target, t->score, t->n, t->gradient, t->hessian,
                     NULL);
  for (size_t i = 0; i < t->n; i++) {
    t->gradient[i] *= t->weight[i];
    t->hessian[i] *= t->weight[i];
  }
}

static void custom_losses(const loss *l, loss_tile *t) {
  l->settings.custom(l->settings.custom_context, t->target, t->score, t->n, t->gradient, t->hessian,
                     t->loss);
}

const loss_ops loss_custom = {
    .name = "custom",
    .summary = "the host's own, by a C function",
    .tasks = 1u << TASK_REGRESSION | 1u << TASK_BINARY,
    .gradients = custom_gradients,
    .losses = custom_losses,
};
