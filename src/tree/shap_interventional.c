/* SHAP values against background rows: for a row x and a background row r, a tree is walked once;
 * where the two part, both ways are gone, the feature being x's on one and r's on the other. A leaf
 * that needs u features from x and v from r is reached by the coalitions that hold those u and none
 * of those v: its value counts for each of the u with (u-1)! v! / (u+v)!, against each of the v
 * with u! (v-1)! / (u+v)!. */
#include "tree/shap.h"

#include "base/mem.h"
#include "base/thread.h"

#include <string.h>

enum { FREE, FROM_X, FROM_R };

typedef struct explainer {
  const trees *t;
  const float *x, *background;
  size_t n_background;
  double *out;
  uint8_t *side;  /* (threads, n_features) whose a feature is on the way here */
  double *weight; /* (limit, limit) [a, b] = a! b! / (a + b + 1)! */
  size_t limit;
  double *mean; /* (n_outputs) output of the background */
} explainer;

typedef struct walk {
  const explainer *e;
  const float *x, *r;
  uint8_t *side;
  double *phi; /* (n_features + 1) of one output */
  size_t tree, column;
} walk;

typedef struct sums {
  double from_x, from_r;
} sums;

static sums recurse(const walk *w, int32_t child, size_t u, size_t v) {
  const trees *t = w->e->t;
  if (child < 0) {
    double value = t->value[(t->leaf_begin[w->tree] + (size_t)~child) * t->width + w->column];
    const double *weight = w->e->weight;
    return (sums){u ? value * weight[(u - 1) * w->e->limit + v] : 0,
                  v ? -value * weight[u * w->e->limit + v - 1] : 0};
  }
  size_t split = t->split_begin[w->tree] + (size_t)child, feature = t->feature[split];
  int32_t by_x = trees_goes_left(t, split, w->x) ? t->left[split] : t->right[split];
  int32_t by_r = trees_goes_left(t, split, w->r) ? t->left[split] : t->right[split];
  uint8_t *side = &w->side[feature];
  if (by_x == by_r || *side == FROM_X) return recurse(w, by_x, u, v);
  if (*side == FROM_R) return recurse(w, by_r, u, v);
  *side = FROM_X;
  sums x = recurse(w, by_x, u + 1, v);
  *side = FROM_R;
  sums r = recurse(w, by_r, u, v + 1);
  *side = FREE;
  w->phi[feature] += x.from_x + r.from_r;
  return (sums){x.from_x + r.from_x, x.from_r + r.from_r};
}

static void explain_row(const explainer *e, uint8_t *side, const float *x, double *out) {
  const trees *t = e->t;
  size_t stride = t->n_features + 1;
  memset(out, 0, t->n_outputs * stride * sizeof *out);
  for (size_t b = 0; b < e->n_background; b++)
    for (size_t i = 0; i < t->n_trees; i++) {
      if (t->split_begin[i + 1] == t->split_begin[i]) continue;
      for (size_t j = 0; j < t->width; j++) {
        size_t k = t->output[i] < 0 ? j : (size_t)t->output[i];
        walk w = {.e = e,
                  .x = x,
                  .r = e->background + b * t->n_features,
                  .side = side,
                  .phi = out + k * stride,
                  .tree = i,
                  .column = j};
        recurse(&w, 0, 0, 0);
      }
    }
  for (size_t j = 0; j < t->n_outputs * stride; j++) out[j] /= (double)e->n_background * t->divisor;
  for (size_t k = 0; k < t->n_outputs; k++) out[k * stride + t->n_features] = e->mean[k];
}

static void explain_rows(void *context, size_t begin, size_t end) {
  const explainer *e = context;
  const trees *t = e->t;
  uint8_t *side = e->side + (size_t)thread_index() * t->n_features;
  for (size_t i = begin; i < end; i++)
    explain_row(e, side, e->x + i * t->n_features, e->out + i * t->n_outputs * (t->n_features + 1));
}

garam_status trees_shap_interventional(const trees *t, const float *x, size_t n,
                                       const float *background, size_t n_background, double *out,
                                       garam_error *err) {
  explainer e = {
      .t = t, .x = x, .background = background, .n_background = n_background, .out = out};
  REQUIRE(n_background > 0, "trees_shap_interventional: no background rows");
  if (t->n_linear > 0)
    return fail(err, GARAM_UNSUPPORTED, "SHAP values: trees with linear leaves have none");
  for (size_t i = 0; i < t->n_trees; i++) {
    size_t d = trees_depth(t, i);
    if (d > e.limit) e.limit = d;
  }
  e.limit = (e.limit < t->n_features ? e.limit : t->n_features) + 1;
  e.side = mem_array((size_t)thread_count() * t->n_features + 1, 1);
  e.weight = mem_array(e.limit * e.limit, sizeof *e.weight);
  e.mean = mem_array(2 * t->n_outputs, sizeof *e.mean);
  garam_status status = GARAM_OK;
  if (e.side && e.weight && e.mean) {
    for (size_t a = 0; a < e.limit; a++)
      for (size_t b = 0; b < e.limit; b++) /* [a, 0] = 1 / (a + 1); b more multiply */
        e.weight[a * e.limit + b] =
            b == 0 ? 1 / ((double)a + 1)
                   : e.weight[a * e.limit + b - 1] * (double)b / ((double)(a + b) + 1);
    double *one = e.mean + t->n_outputs;
    for (size_t b = 0; b < n_background; b++) {
      trees_predict_row(t, background + b * t->n_features, one);
      for (size_t k = 0; k < t->n_outputs; k++) e.mean[k] += one[k] / (double)n_background;
    }
    thread_for(n, 1, explain_rows, &e);
  } else {
    status = fail_memory(err, e.limit * e.limit * sizeof *e.weight);
  }
  mem_free(e.side);
  mem_free(e.weight);
  mem_free(e.mean);
  return status;
}
