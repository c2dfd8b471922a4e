/* Newton's step says nothing of losses without curvature: their leaves are set to the quantile of
 * the residuals that is best for the rows in them (Friedman 2001, algorithm 3). */
#include "tree/gbdt_inner.h"

#include "base/mem.h"

#include <stdlib.h>

typedef struct residual {
  float value, weight;
} residual;

garam_status gbdt_renew_init(boosting *b, garam_error *err) {
  if (!b->loss.ops->renewal) return GARAM_OK;
  b->residuals = mem_array(b->train.n + 1, sizeof(residual));
  return b->residuals ? GARAM_OK : fail_memory(err, b->train.n * sizeof(residual));
}

static int compare(const void *a, const void *b) {
  const residual *x = a, *y = b;
  if (x->value != y->value) return x->value < y->value ? -1 : 1;
  return (x->weight > y->weight) - (x->weight < y->weight);
}

/* Between the two values around the quantile, by how far it is from one to the other. */
static double quantile(residual *r, size_t n, double alpha) {
  qsort(r, n, sizeof *r, compare);
  double total = 0, sum = 0;
  for (size_t i = 0; i < n; i++) total += (double)r[i].weight;
  for (size_t i = 0; i < n; i++) {
    double w = (double)r[i].weight, middle = sum + w / 2;
    if (middle >= alpha * total && i > 0) {
      double before = sum - (double)r[i - 1].weight / 2;
      double share = middle > before ? (alpha * total - before) / (middle - before) : 1;
      share = share < 0 ? 0 : share;
      return (double)r[i - 1].value + share * ((double)r[i].value - (double)r[i - 1].value);
    }
    if (middle >= alpha * total) return (double)r[i].value;
    sum += w;
  }
  return (double)r[n - 1].value;
}

void gbdt_renew(boosting *b, grown *t, size_t k) {
  double alpha = b->loss.ops->renewal(&b->loss);
  const float *score = b->score + k * b->d->n_rows;
  residual *r = b->residuals;
  for (size_t i = 0; i <= t->n_splits; i++) {
    grown_leaf *l = &t->leaves[i];
    for (size_t j = 0; j < l->in.n; j++) {
      uint32_t row = l->in.rows[j];
      r[j] = (residual){b->d->value[row] - score[row], b->weight ? b->weight[row] : 1};
    }
    if (l->in.n > 0) l->value = quantile(r, l->in.n, alpha);
    l->value = l->value < l->lower ? l->lower : l->value > l->upper ? l->upper : l->value;
  }
}
