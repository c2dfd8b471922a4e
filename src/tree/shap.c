/* Path-dependent SHAP values. */
#include "tree/shap.h"

#include "base/mem.h"
#include "base/thread.h"

#include <string.h>

/* One feature of the path from the root: the shares of coalitions that flow on without it and with
 * it (0 or 1), and the weight of coalitions by size, kept in the same array by position. */
typedef struct element {
  int32_t feature;
  double zero, one, weight;
} element;

typedef struct explainer {
  const trees *t;
  const float *x; /* of all rows */
  double *out;
  element *paths; /* (threads, room) */
  size_t room;
  double *expected; /* (n_outputs) */
} explainer;

/* EXTEND of the paper: path has n elements, and gets one more. */
static void extend(element *path, size_t n, double zero, double one, int32_t feature) {
  path[n] = (element){feature, zero, one, n == 0 ? 1 : 0};
  double size = (double)n + 1;
  for (size_t i = n; i-- > 0;) {
    path[i + 1].weight += one * path[i].weight * ((double)i + 1) / size;
    path[i].weight = zero * path[i].weight * (double)(n - i) / size;
  }
}

/* UNWIND: takes element `at` out of the n that there are. */
static void unwind(element *path, size_t n, size_t at) {
  double one = path[at].one, zero = path[at].zero, size = (double)n;
  size_t last = n - 1;
  double next = path[last].weight;
  for (size_t i = last; i-- > 0;) {
    if (one != 0) {
      double kept = path[i].weight;
      path[i].weight = next * size / (((double)i + 1) * one);
      next = kept - path[i].weight * zero * (double)(last - i) / size;
    } else if (zero != 0) {
      path[i].weight = path[i].weight * size / (zero * (double)(last - i));
    }
  }
  for (size_t i = at; i < last; i++) {
    path[i].feature = path[i + 1].feature;
    path[i].zero = path[i + 1].zero;
    path[i].one = path[i + 1].one;
  }
}

/* The sum of the weights after UNWIND, without doing it. */
static double unwound_sum(const element *path, size_t n, size_t at) {
  double one = path[at].one, zero = path[at].zero, size = (double)n, sum = 0;
  size_t last = n - 1;
  double next = path[last].weight;
  for (size_t i = last; i-- > 0;) {
    if (one != 0) {
      double weight = next * size / (((double)i + 1) * one);
      sum += weight;
      next = path[i].weight - weight * zero * (double)(last - i) / size;
    } else if (zero != 0) {
      sum += path[i].weight * size / (zero * (double)(last - i));
    }
  }
  return sum;
}

static double cover_of(const trees *t, size_t tree, int32_t child) {
  return child >= 0 ? t->cover[t->split_begin[tree] + (size_t)child]
                    : t->leaf_cover[t->leaf_begin[tree] + (size_t)~child];
}

/* A node nobody came by passes on halves. */
static double share_of(const trees *t, size_t tree, size_t split, int32_t child) {
  double whole = t->cover[split];
  return whole > 0 ? cover_of(t, tree, child) / whole : 0.5;
}

typedef struct walk {
  const trees *t;
  const float *x;
  double *out; /* (n_outputs, n_features + 1) */
  size_t tree;
} walk;

static void add_leaf(const walk *w, const element *path, size_t n, int32_t child) {
  const trees *t = w->t;
  const double *value = t->value + (t->leaf_begin[w->tree] + (size_t)~child) * t->width;
  size_t stride = t->n_features + 1;
  for (size_t i = 1; i < n; i++) {
    double scale = unwound_sum(path, n, i) * (path[i].one - path[i].zero);
    size_t feature = (size_t)path[i].feature;
    if (t->width == 1) w->out[(size_t)t->output[w->tree] * stride + feature] += scale * value[0];
    else
      for (size_t k = 0; k < t->width; k++) w->out[k * stride + feature] += scale * value[k];
  }
}

/* RECURSE: the parent's path of n elements is copied behind it, then extended. Not deeper than
 * TREES_MAX_DEPTH. */
static void recurse(const walk *w, int32_t child, element *parent, size_t n, double zero,
                    double one, int32_t feature) {
  const trees *t = w->t;
  element *path = parent + n;
  memcpy(path, parent, n * sizeof *path);
  extend(path, n, zero, one, feature);
  n++;
  if (child < 0) {
    add_leaf(w, path, n, child);
    return;
  }
  size_t split = t->split_begin[w->tree] + (size_t)child;
  bool left = trees_goes_left(t, split, w->x);
  int32_t hot = left ? t->left[split] : t->right[split];
  int32_t cold = left ? t->right[split] : t->left[split];
  int32_t by = (int32_t)t->feature[split];
  double zero_before = 1, one_before = 1;
  for (size_t i = 1; i < n; i++)
    if (path[i].feature == by) {
      zero_before = path[i].zero;
      one_before = path[i].one;
      unwind(path, n, i);
      n--;
      break;
    }
  recurse(w, hot, path, n, zero_before * share_of(t, w->tree, split, hot), one_before, by);
  recurse(w, cold, path, n, zero_before * share_of(t, w->tree, split, cold), 0, by);
}

static void explain_rows(void *context, size_t begin, size_t end) {
  const explainer *e = context;
  const trees *t = e->t;
  element *path = e->paths + (size_t)thread_index() * e->room;
  size_t stride = t->n_features + 1;
  for (size_t i = begin; i < end; i++) {
    walk w = {.t = t, .x = e->x + i * t->n_features, .out = e->out + i * t->n_outputs * stride};
    memset(w.out, 0, t->n_outputs * stride * sizeof *w.out);
    for (w.tree = 0; w.tree < t->n_trees; w.tree++)
      if (t->split_begin[w.tree + 1] > t->split_begin[w.tree]) recurse(&w, 0, path, 0, 1, 1, -1);
    for (size_t j = 0; j < t->n_outputs * stride; j++) w.out[j] /= t->divisor;
    for (size_t k = 0; k < t->n_outputs; k++) w.out[k * stride + t->n_features] = e->expected[k];
  }
}

/* ---- the expected output ------------------------------------------------------------------------
 */

/* Adds share x value of every leaf below. */
static void add_expected(double *expected, const trees *t, size_t tree, int32_t child,
                         double share) {
  if (child < 0) {
    const double *value = t->value + (t->leaf_begin[tree] + (size_t)~child) * t->width;
    for (size_t k = 0; k < t->width; k++)
      expected[t->output[tree] < 0 ? k : (size_t)t->output[tree]] += share * value[k];
    return;
  }
  size_t split = t->split_begin[tree] + (size_t)child;
  int32_t left = t->left[split], right = t->right[split];
  add_expected(expected, t, tree, left, share * share_of(t, tree, split, left));
  add_expected(expected, t, tree, right, share * share_of(t, tree, split, right));
}

static garam_status check_covers(const trees *t, garam_error *err) {
  if (t->n_linear > 0)
    return fail(err, GARAM_UNSUPPORTED, "SHAP values: trees with linear leaves have none");
  for (size_t i = 0; i < t->n_trees; i++)
    if (t->split_begin[i + 1] > t->split_begin[i] && !(t->cover[t->split_begin[i]] > 0))
      return fail(err, GARAM_INVALID,
                  "SHAP values: tree %zu does not say how many rows came by its splits", i);
  return GARAM_OK;
}

garam_status trees_shap(const trees *t, const float *x, size_t n, double *out, garam_error *err) {
  explainer e = {.t = t, .x = x, .out = out};
  size_t depth = 0;
  TRY(check_covers(t, err));
  for (size_t i = 0; i < t->n_trees; i++) {
    size_t d = trees_depth(t, i);
    if (d > depth) depth = d;
  }
  e.room = (depth + 2) * (depth + 3) / 2;
  e.paths = mem_array((size_t)thread_count() * e.room, sizeof *e.paths);
  e.expected = mem_array(t->n_outputs, sizeof *e.expected);
  garam_status status = GARAM_OK;
  if (e.paths && e.expected) {
    for (size_t i = 0; i < t->n_trees; i++)
      add_expected(e.expected, t, i, t->split_begin[i + 1] > t->split_begin[i] ? 0 : ~0, 1);
    for (size_t k = 0; k < t->n_outputs; k++)
      e.expected[k] = (e.expected[k] + t->base[k]) / t->divisor;
    thread_for(n, 8, explain_rows, &e);
  } else {
    status = fail_memory(err, (size_t)thread_count() * e.room * sizeof *e.paths);
  }
  mem_free(e.paths);
  mem_free(e.expected);
  return status;
}
