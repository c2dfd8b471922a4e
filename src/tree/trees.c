/* Sets of trees: storage, one row the plain way, and what makes a tree valid. */
#include "tree/trees_inner.h"

#include "base/mem.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define FIELD(field, type, unit)                                                                   \
  { #field, offsetof(trees, field), type, unit }
const trees_field trees_fields[TREES_N_FIELDS] = {
    FIELD(base, PACKAGE_F64, TREES_PER_OUTPUT),
    FIELD(split_begin, PACKAGE_U32, TREES_PER_TREE_END),
    FIELD(leaf_begin, PACKAGE_U32, TREES_PER_TREE_END),
    FIELD(output, PACKAGE_I32, TREES_PER_TREE),
    FIELD(feature, PACKAGE_U32, TREES_PER_SPLIT),
    FIELD(threshold, PACKAGE_F32, TREES_PER_SPLIT),
    FIELD(left, PACKAGE_I32, TREES_PER_SPLIT),
    FIELD(right, PACKAGE_I32, TREES_PER_SPLIT),
    FIELD(flags, PACKAGE_U8, TREES_PER_SPLIT),
    FIELD(gain, PACKAGE_F32, TREES_PER_SPLIT),
    FIELD(cover, PACKAGE_F64, TREES_PER_SPLIT),
    FIELD(set, PACKAGE_I32, TREES_PER_SPLIT),
    FIELD(set_begin, PACKAGE_U32, TREES_PER_SET_END),
    FIELD(set_word, PACKAGE_U32, TREES_PER_WORD),
    FIELD(value, PACKAGE_F64, TREES_PER_VALUE),
    FIELD(leaf_cover, PACKAGE_F64, TREES_PER_LEAF),
    FIELD(linear_begin, PACKAGE_U32, TREES_PER_LINEAR_END),
    FIELD(linear_constant, PACKAGE_F64, TREES_PER_LINEAR_LEAF),
    FIELD(linear_feature, PACKAGE_U32, TREES_PER_LINEAR),
    FIELD(linear_coefficient, PACKAGE_F64, TREES_PER_LINEAR),
};

void **trees_array(trees *t, const trees_field *f) {
  return (void **)(void *)((char *)t + f->offset);
}

const void *trees_array_of(const trees *t, const trees_field *f) {
  return *(void *const *)(const void *)((const char *)t + f->offset);
}

size_t trees_array_count(const trees *t, const trees_field *f) {
  switch (f->unit) {
  case TREES_PER_OUTPUT: return t->n_outputs;
  case TREES_PER_TREE: return t->n_trees;
  case TREES_PER_TREE_END: return t->n_trees + 1;
  case TREES_PER_SPLIT: return t->n_splits;
  case TREES_PER_SET_END: return t->n_sets + 1;
  case TREES_PER_WORD: return t->n_set_words;
  case TREES_PER_LEAF: return t->n_leaves;
  case TREES_PER_VALUE: return t->n_leaves * t->width;
  case TREES_PER_LINEAR_END: return t->n_linear ? t->n_leaves + 1 : 0;
  case TREES_PER_LINEAR_LEAF: return t->n_linear ? t->n_leaves : 0;
  case TREES_PER_LINEAR: return t->n_linear;
  }
  return 0;
}

void trees_free(trees *t) {
  if (!t) return;
  for (size_t i = 0; i < TREES_N_FIELDS; i++) mem_free(*trees_array(t, &trees_fields[i]));
  mem_free(t);
}

size_t trees_bytes(const trees *t) {
  size_t bytes = sizeof *t;
  for (size_t i = 0; i < TREES_N_FIELDS; i++)
    bytes += trees_array_count(t, &trees_fields[i]) * package_dtype_size(trees_fields[i].type);
  return bytes;
}

/* ---- thresholds ---------------------------------------------------------------------------- */

float trees_threshold_le(double t) {
  if (t >= (double)FLT_MAX) return t == INFINITY ? INFINITY : FLT_MAX;
  if (t < -(double)FLT_MAX) return -INFINITY;
  float f = (float)t;
  return (double)f > t ? nextafterf(f, -INFINITY) : f;
}

float trees_threshold_lt(double t) {
  float f = trees_threshold_le(t);
  return (double)f == t ? nextafterf(f, -INFINITY) : f;
}

/* ---- one row ------------------------------------------------------------------------------- */

static bool in_set(const trees *t, size_t split, float x) {
  uint32_t set = (uint32_t)t->set[split], begin = t->set_begin[set];
  size_t n = t->set_begin[set + 1] - begin;
  if (!(x > -1.0f && x < 32.0f * (float)n)) return false; /* -0.5 is cut to 0 */
  uint32_t c = (uint32_t)(int32_t)x;
  return c / 32 < n && (t->set_word[begin + c / 32] >> c % 32 & 1u);
}

bool trees_goes_left(const trees *t, size_t split, const float *x) {
  float v = x[t->feature[split]];
  unsigned flags = t->flags[split], missing = flags & TREES_MISSING_MASK;
  bool is_default = isnan(v);
  if (flags & TREES_CATEGORICAL)
    return is_default ? (flags & TREES_DEFAULT_LEFT) != 0 : in_set(t, split, v);
  if (missing == TREES_MISSING_NONE && is_default) v = 0, is_default = false;
  if (missing == TREES_MISSING_ZERO && fabsf(v) <= TREES_ZERO) is_default = true;
  return is_default ? (flags & TREES_DEFAULT_LEFT) != 0 : v <= t->threshold[split];
}

uint32_t trees_leaf_of(const trees *t, size_t tree, const float *x) {
  size_t begin = t->split_begin[tree];
  int32_t at = t->split_begin[tree + 1] > begin ? 0 : ~0;
  while (at >= 0) {
    size_t s = begin + (size_t)at;
    at = trees_goes_left(t, s, x) ? t->left[s] : t->right[s];
  }
  return (uint32_t)~at;
}

double trees_leaf_value(const trees *t, size_t leaf, const float *x) {
  if (t->n_linear == 0 || t->linear_begin[leaf] == t->linear_begin[leaf + 1]) return t->value[leaf];
  double sum = t->linear_constant[leaf];
  for (uint32_t i = t->linear_begin[leaf]; i < t->linear_begin[leaf + 1]; i++) {
    float v = x[t->linear_feature[i]];
    if (isnan(v)) return t->value[leaf];
    sum += t->linear_coefficient[i] * (double)v;
  }
  return sum;
}

void trees_predict_row(const trees *t, const float *x, double *out) {
  for (size_t k = 0; k < t->n_outputs; k++) out[k] = t->sum_f32 ? (float)t->base[k] : t->base[k];
  for (size_t i = 0; i < t->n_trees; i++) {
    size_t leaf = t->leaf_begin[i] + trees_leaf_of(t, i, x);
    for (size_t j = 0; j < t->width; j++) {
      double v = t->width == 1 ? trees_leaf_value(t, leaf, x) : t->value[leaf * t->width + j];
      double *sum = &out[t->output[i] < 0 ? j : (size_t)t->output[i]];
      *sum = t->sum_f32 ? (double)((float)*sum + (float)v) : *sum + v;
    }
  }
  for (size_t k = 0; k < t->n_outputs; k++)
    out[k] = t->sum_f32 ? (double)((float)out[k] / (float)t->divisor) : out[k] / t->divisor;
}

/* ---- what makes a tree valid ---------------------------------------------------------------- */

typedef struct visit {
  int32_t node;
  uint32_t depth;
} visit;

size_t trees_check_scratch(size_t n_splits) {
  return (n_splits + 2) * sizeof(visit) + 2 * n_splits + 1;
}

/* Pops the next node in order of depth first, pushes its children; false at the end. */
static bool walk_next(visit *out, visit *stack, size_t *n, const trees *t, size_t begin) {
  if (*n == 0) return false;
  *out = stack[--*n];
  if (out->node >= 0) {
    size_t s = begin + (size_t)out->node;
    stack[(*n)++] = (visit){t->right[s], out->depth + 1};
    stack[(*n)++] = (visit){t->left[s], out->depth + 1};
  }
  return true;
}

static garam_status check_split(const trees *t, size_t tree, size_t s, garam_error *err) {
  size_t i = s - t->split_begin[tree], n = t->split_begin[tree + 1] - t->split_begin[tree];
  for (int side = 0; side < 2; side++) {
    int64_t child = side ? t->right[s] : t->left[s];
    if (child >= (int64_t)n || ~child > (int64_t)n)
      return fail(err, GARAM_CORRUPT, "tree %zu: split %zu: %s child %lld of %zu splits", tree, i,
                  side ? "right" : "left", (long long)child, n);
  }
  if (t->feature[s] >= t->n_features)
    return fail(err, GARAM_CORRUPT, "tree %zu: split %zu: feature %u of %zu", tree, i,
                t->feature[s], t->n_features);
  if (t->flags[s] > TREES_FLAGS || (t->flags[s] & TREES_MISSING_MASK) > TREES_MISSING_ZERO)
    return fail(err, GARAM_CORRUPT, "tree %zu: split %zu: flags %u", tree, i, t->flags[s]);
  if (isnan(t->threshold[s]))
    return fail(err, GARAM_CORRUPT, "tree %zu: split %zu: the threshold is not a number", tree, i);
  if (!isfinite(t->gain[s]) || !isfinite(t->cover[s]) || t->cover[s] < 0)
    return fail(err, GARAM_CORRUPT, "tree %zu: split %zu: gain %g, cover %g", tree, i,
                (double)t->gain[s], t->cover[s]);
  bool categorical = t->flags[s] & TREES_CATEGORICAL;
  if (categorical ? t->set[s] < 0 || (size_t)t->set[s] >= t->n_sets : t->set[s] != -1)
    return fail(err, GARAM_CORRUPT, "tree %zu: split %zu: set %d of %zu", tree, i, t->set[s],
                t->n_sets);
  return GARAM_OK;
}

static garam_status check_leaf(const trees *t, size_t tree, size_t leaf, garam_error *err) {
  size_t i = leaf - t->leaf_begin[tree];
  for (size_t j = 0; j < t->width; j++)
    if (!isfinite(t->value[leaf * t->width + j]))
      return fail(err, GARAM_CORRUPT, "tree %zu: leaf %zu: the value is not a finite number", tree,
                  i);
  if (!isfinite(t->leaf_cover[leaf]) || t->leaf_cover[leaf] < 0)
    return fail(err, GARAM_CORRUPT, "tree %zu: leaf %zu: cover %g", tree, i, t->leaf_cover[leaf]);
  if (t->n_linear == 0) return GARAM_OK;
  if (!isfinite(t->linear_constant[leaf]))
    return fail(err, GARAM_CORRUPT, "tree %zu: leaf %zu: the constant is not a finite number", tree,
                i);
  for (uint32_t k = t->linear_begin[leaf]; k < t->linear_begin[leaf + 1]; k++)
    if (t->linear_feature[k] >= t->n_features || !isfinite(t->linear_coefficient[k]))
      return fail(err, GARAM_CORRUPT, "tree %zu: leaf %zu: feature %u of %zu, coefficient %g", tree,
                  i, t->linear_feature[k], t->n_features, t->linear_coefficient[k]);
  return GARAM_OK;
}

garam_status trees_check(const trees *t, size_t tree, void *scratch, garam_error *err) {
  size_t begin = t->split_begin[tree], n = t->split_begin[tree + 1] - begin;
  size_t first = t->leaf_begin[tree], reached = 0, pending = 0;
  visit *stack = scratch, at;
  uint8_t *seen = (uint8_t *)(stack + n + 2);
  if (t->output[tree] < -1 || t->output[tree] >= (int64_t)t->n_outputs ||
      (t->output[tree] < 0) != (t->width > 1))
    return fail(err, GARAM_CORRUPT, "tree %zu: output %d of %zu", tree, t->output[tree],
                t->n_outputs);
  for (size_t s = begin; s < begin + n; s++) TRY(check_split(t, tree, s, err));
  for (size_t i = 0; i <= n; i++) TRY(check_leaf(t, tree, first + i, err));
  memset(seen, 0, 2 * n + 1);
  stack[pending++] = (visit){n ? 0 : ~0, 0};
  while (walk_next(&at, stack, &pending, t, begin)) {
    size_t i = at.node >= 0 ? (size_t)at.node : n + (size_t)~at.node;
    if (seen[i])
      return fail(err, GARAM_CORRUPT, "tree %zu: %s %zu is reached twice", tree,
                  at.node >= 0 ? "split" : "leaf", at.node >= 0 ? i : i - n);
    if (at.depth > TREES_MAX_DEPTH)
      return fail(err, GARAM_LIMIT, "tree %zu: deeper than %d", tree, TREES_MAX_DEPTH);
    seen[i] = 1;
    reached++;
  }
  if (reached != 2 * n + 1)
    return fail(err, GARAM_CORRUPT, "tree %zu: %zu of its %zu nodes are not reached", tree,
                2 * n + 1 - reached, 2 * n + 1);
  return GARAM_OK;
}

size_t trees_depth(const trees *t, size_t tree) {
  visit stack[TREES_MAX_DEPTH + 2], at; /* depth first: one pending sibling a level */
  size_t n = 0, most = 0, begin = t->split_begin[tree];
  stack[n++] = (visit){t->split_begin[tree + 1] > begin ? 0 : ~0, 0};
  while (walk_next(&at, stack, &n, t, begin))
    if (at.depth > most) most = at.depth;
  return most;
}
