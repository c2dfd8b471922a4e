/* Linear leaves: in each leaf the Newton step is not a constant but linear in the numbers that its
 * path has split by, with a ridge penalty (Shi, Li & Li, "Gradient boosting with piece-wise linear
 * regression trees", IJCAI 2019). */
#include "tree/gbdt_inner.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

enum { MOST_FEATURES = 24 }; /* of a leaf: the nearest on its path */

struct gbdt_linear {
  int32_t *above; /* (2 leaves) parent of each split, then of each leaf; -1 root */
  size_t leaves;
};

void gbdt_linear_free(gbdt_linear *l) {
  if (!l) return;
  mem_free(l->above);
  mem_free(l);
}

garam_status gbdt_linear_new(gbdt_linear **out, const boosting *b, garam_error *err) {
  gbdt_linear *l = mem_zalloc(sizeof *l);
  *out = l;
  if (!l) return fail_memory(err, sizeof *l);
  l->leaves = (size_t)b->config->leaves;
  l->above = mem_array(2 * l->leaves, sizeof *l->above);
  return l->above ? GARAM_OK : fail_memory(err, 2 * l->leaves * sizeof *l->above);
}

static void find_parents(gbdt_linear *l, const grown *t) {
  l->above[0] = -1;
  for (size_t i = 0; i < t->n_splits; i++)
    for (int side = 0; side < 2; side++) {
      int32_t child = side ? t->splits[i].right : t->splits[i].left;
      l->above[child >= 0 ? (size_t)child : l->leaves + (size_t)~child] = (int32_t)i;
    }
}

/* The numbers that the leaf's path has split by, the nearest first, each once. */
static size_t path_features(uint32_t *features, const gbdt_linear *l, const grown *t, size_t at) {
  size_t n = 0;
  for (int32_t i = l->above[l->leaves + at]; i >= 0 && n < MOST_FEATURES; i = l->above[i]) {
    const grown_split *s = &t->splits[i];
    bool seen = s->categorical;
    for (size_t j = 0; j < n && !seen; j++) seen = features[j] == s->feature;
    if (!seen) features[n++] = s->feature;
  }
  return n;
}

/* In place: a (n, n) symmetric, positive; x becomes its solution. False: not positive. */
static bool solve(double *a, double *x, size_t n) {
  for (size_t j = 0; j < n; j++) {
    double d = a[j * n + j];
    for (size_t k = 0; k < j; k++) d -= a[j * n + k] * a[j * n + k];
    if (!(d > 1e-12 * (1 + a[j * n + j]))) return false;
    d = sqrt(d);
    a[j * n + j] = d;
    for (size_t i = j + 1; i < n; i++) {
      double s = a[i * n + j];
      for (size_t k = 0; k < j; k++) s -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = s / d;
    }
  }
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < i; k++) x[i] -= a[i * n + k] * x[k];
    x[i] /= a[i * n + i];
  }
  for (size_t i = n; i-- > 0;) {
    for (size_t k = i + 1; k < n; k++) x[i] -= a[k * n + i] * x[k];
    x[i] /= a[i * n + i];
  }
  return true;
}

typedef struct line {
  size_t n; /* 0: the leaf is a constant */
  uint32_t feature[MOST_FEATURES];
  double constant, coefficient[MOST_FEATURES];
} line;

/* Features are centred on the leaf first, so that the penalty is of slopes alone. */
static void fit_line(line *out, const boosting *b, const grown_leaf *leaf, const float *gh) {
  enum { SIDE = MOST_FEATURES + 1 };
  double a[SIDE * SIDE] = {0}, x[SIDE] = {0}, centre[MOST_FEATURES] = {0}, z[SIDE], rows = 0;
  const dataset *d = b->d;
  const size_t n = out->n < MOST_FEATURES ? out->n : MOST_FEATURES, side = n + 1;
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < leaf->in.n; i++) {
      size_t row = leaf->in.rows[i];
      const float *from = d->x + row * d->n_features;
      bool missing = false;
      for (size_t j = 0; j < n; j++) {
        z[j] = (double)from[out->feature[j]] - centre[j];
        missing |= isnan(z[j]);
      }
      if (missing) continue;
      if (pass == 0) {
        for (size_t j = 0; j < n; j++) x[j] += z[j];
        rows++;
        continue;
      }
      double g = (double)gh[2 * row], h = (double)gh[2 * row + 1];
      z[n] = 1;
      for (size_t j = 0; j < side; j++) {
        x[j] -= g * z[j];
        for (size_t k = 0; k <= j; k++) a[j * side + k] += h * z[j] * z[k];
      }
    }
    for (size_t j = 0; j < n && pass == 0; j++) {
      centre[j] = rows > 0 ? x[j] / rows : 0;
      x[j] = 0;
    }
  }
  out->n = 0;
  for (size_t j = 0; j < n; j++) a[j * side + j] += b->config->linear_l2;
  a[n * side + n] += b->config->l2;
  if (!solve(a, x, side)) return;
  out->n = n;
  out->constant = x[n];
  for (size_t j = 0; j < n; j++) {
    out->coefficient[j] = x[j];
    out->constant -= x[j] * centre[j];
  }
}

static void add_line(const line *l, const boosting *b, const grown_leaf *leaf, float *score,
                     double shrinkage, row_set rows) {
  const dataset *d = b->d;
  for (size_t i = 0; i < rows.n; i++) {
    size_t row = rows.rows[i];
    const float *x = d->x + row * d->n_features;
    double v = l->constant;
    for (size_t j = 0; j < l->n; j++) v += l->coefficient[j] * (double)x[l->feature[j]];
    if (l->n == 0 || isnan(v)) v = leaf->value;
    score[row] = (float)((double)score[row] + v * shrinkage);
  }
}

garam_status gbdt_linear_add(boosting *b, const grown *t, size_t k, double shrinkage,
                             garam_error *err) {
  size_t n_rows = b->d->n_rows;
  float *score = b->score + k * n_rows;
  line l;
  TRY(grown_begin(t, b->bins, b->built, k, shrinkage, err));
  find_parents(b->linear, t);
  for (size_t i = 0; i <= t->n_splits; i++) {
    const grown_leaf *leaf = &t->leaves[i];
    l = (line){0};
    l.n = path_features(l.feature, b->linear, t, i);
    if (leaf->in.n < l.n + 2) l.n = 0;
    if (l.n > 0) fit_line(&l, b, leaf, b->gh + 2 * k * n_rows);
    add_line(&l, b, leaf, score, shrinkage, leaf->in);
    add_line(&l, b, leaf, score, shrinkage, leaf->out);
    for (size_t j = 0; j < l.n; j++) l.coefficient[j] *= shrinkage;
    if (l.n > 0)
      TRY(trees_set_linear(b->built, i, l.constant * shrinkage, l.n, l.feature, l.coefficient,
                           err));
  }
  return trees_end(b->built, err);
}
