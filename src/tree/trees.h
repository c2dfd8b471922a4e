/* A fitted set of decision trees as flat arrays: what boosting and forests grow, what model files
 * of XGBoost and LightGBM are read into, what prediction, SHAP values, importance and export read.
 *
 * A tree has splits and leaves, numbered apart, each from 0 within the tree. Its root is split 0,
 * or leaf 0 when it has no split. A child is a split (>= 0) or a leaf (~leaf < 0).
 *
 * A row x (n_features floats, NaN is missing) goes left at a split by number when
 * x[feature] <= threshold. Thresholds are float32, so that a comparison in float32 is exact:
 * trees_threshold_le and trees_threshold_lt turn thresholds of other systems into it.
 *   TREES_MISSING_NONE  NaN counts as 0
 *   TREES_MISSING_NAN   NaN goes the default way
 *   TREES_MISSING_ZERO  NaN and |x| <= 1e-35f go the default way
 * At a split by category x is cut to an integer; one in the split's set goes left, any other and
 * negative ones right, NaN the default way.
 *
 * A leaf has `width` values: 1, which is added to the output of its tree, or n_outputs, one for
 * each. out[k] = (base[k] + sum over trees in order) / divisor, summed in float64, or with sum_f32
 * in float32 throughout, as XGBoost does. What turns outputs into probabilities is the caller's. */
#ifndef TREE_TREES_H
#define TREE_TREES_H

#include "learn/package.h"

#define TREES_ZERO 1e-35f           /* LightGBM's kZeroThreshold */
#define TREES_MAX_DEPTH 1024        /* splits between the root and a leaf */
#define TREES_MAX_COUNT 0x7ffffff0u /* of splits, of leaves, of values, over all trees */

typedef enum trees_missing {
  TREES_MISSING_NONE,
  TREES_MISSING_NAN,
  TREES_MISSING_ZERO,
} trees_missing;

/* A split's flags. */
enum {
  TREES_MISSING_MASK = 3, /* a trees_missing */
  TREES_DEFAULT_LEFT = 4, /* else the default way is right */
  TREES_CATEGORICAL = 8,
  TREES_FLAGS = 15,
};

typedef struct trees {
  size_t n_features, n_outputs, width;
  size_t n_trees, n_splits, n_leaves, n_sets, n_set_words, n_linear;
  double *base; /* (n_outputs) */
  double divisor;
  bool sum_f32;

  uint32_t *split_begin, *leaf_begin; /* (n_trees + 1) first of each tree in what follows */
  int32_t *output;                    /* (n_trees) that it adds to; -1: width is n_outputs */

  uint32_t *feature;     /* (n_splits) */
  float *threshold;      /* (n_splits) not NaN; 0 for categories */
  int32_t *left, *right; /* (n_splits) within the tree */
  uint8_t *flags;        /* (n_splits) */
  float *gain;           /* (n_splits) what the split gained while fitting; 0 unknown */
  double *cover;         /* (n_splits) rows or sum of hessians that came by; 0 unknown */
  int32_t *set;          /* (n_splits) which set of categories, or -1 */
  uint32_t *set_begin;   /* (n_sets + 1) in set_word */
  uint32_t *set_word;    /* (n_set_words) category c is bit c % 32 of word c / 32 */

  double *value;      /* (n_leaves, width) */
  double *leaf_cover; /* (n_leaves) */

  /* Linear leaves (Shi, Li, Li 2019): constant + sum of coefficient x x[feature]; where one of
   * those is NaN, the plain value. NULL and n_linear 0 where no leaf is linear; only with width 1.
   */
  uint32_t *linear_begin;     /* (n_leaves + 1), or NULL */
  double *linear_constant;    /* (n_leaves), or NULL */
  uint32_t *linear_feature;   /* (n_linear) */
  double *linear_coefficient; /* (n_linear) */
} trees;

void trees_free(trees *t); /* NULL is fine */
size_t trees_bytes(const trees *t);
size_t trees_depth(const trees *t, size_t tree); /* 0: one leaf */

/* One row, the plain way: the truth that faster ones are held to. */
void trees_predict_row(const trees *t, const float *x, double *out /* (n_outputs) */);
uint32_t trees_leaf_of(const trees *t, size_t tree, const float *x); /* within the tree */
double trees_leaf_value(const trees *t, size_t leaf /* over all trees */,
                        const float *x); /* of a set with width 1 */
bool trees_goes_left(const trees *t, size_t split /* over all trees */, const float *x);

/* The largest float32 that is <= t: x <= t for a float x exactly when x <= it. t is not NaN. */
float trees_threshold_le(double t);
/* The same for x < t. */
float trees_threshold_lt(double t);

/* ---- building ------------------------------------------------------------------------------ */

/* Errors leave the builder fit only to be freed. Everything is checked: what comes out is valid. */
typedef struct trees_builder trees_builder;
garam_status trees_builder_new(trees_builder **out, size_t n_features, size_t n_outputs,
                               size_t width, garam_error *err);
void trees_builder_free(trees_builder *b); /* NULL is fine */

typedef struct trees_split {
  uint32_t feature;
  float threshold;
  int32_t left, right;
  trees_missing missing;
  bool default_left;
  float gain;
  double cover;
  const uint32_t *categories; /* (n_words) bits, copied; NULL: a split by number */
  size_t n_words;
} trees_split;

/* A tree of n_splits splits and n_splits + 1 leaves; each of them is then set once, in any order.
 * `output` is ignored when width is not 1. trees_end checks the tree. */
garam_status trees_begin(trees_builder *b, size_t output, size_t n_splits, garam_error *err);
garam_status trees_set_split(trees_builder *b, size_t i, const trees_split *split,
                             garam_error *err);
garam_status trees_set_leaf(trees_builder *b, size_t i, const double *values, double cover,
                            garam_error *err);
garam_status trees_set_linear(trees_builder *b, size_t i, double constant, size_t n,
                              const uint32_t *features, const double *coefficients,
                              garam_error *err); /* leaves in ascending order */
garam_status trees_end(trees_builder *b, garam_error *err);

/* What has been built so far (between trees): valid until the next call. Leaf values may be
 * changed in place (shrinkage, DART). */
trees *trees_builder_view(trees_builder *b);
void trees_builder_truncate(trees_builder *b, size_t n_trees); /* keeps the first n */
/* Adds a tree of another set with the same features, outputs and width. */
garam_status trees_builder_copy(trees_builder *b, const trees *from, size_t tree, garam_error *err);
/* The finished set; the builder is freed, whatever comes back. base (n_outputs) NULL: zeros. */
garam_status trees_finish(trees **out, trees_builder *b, const double *base, double divisor,
                          bool sum_f32, garam_error *err);

/* ---- in a package --------------------------------------------------------------------------- */

/* Tensors under `prefix`; the arrays are borrowed until package_write. */
garam_status trees_save(const trees *t, package_writer *w, const char *prefix, garam_error *err);
/* Believes nothing: shapes, indices, every node reached exactly once, depth, numbers. */
garam_status trees_load(trees **out, size_t n_features, size_t n_outputs, package_reader *r,
                        const char *prefix, garam_error *err);

#endif
