/* Growing one tree on binned rows: what boosting does each round, and a forest for each tree.
 *
 * A grower keeps the memory for trees of one shape on one set of bins. grower_grow fits the rows
 * `in` and carries the rows `out` (out of the bag, validation) along to their leaves. The same
 * tree comes out for any number of threads. */
#ifndef TREE_GROW_H
#define TREE_GROW_H

#include "tree/split.h"
#include "tree/trees.h"

typedef enum grow_order {
  GROW_LEAF,  /* the leaf with the largest gain next (best first) */
  GROW_DEPTH, /* all leaves of a depth before the next */
} grow_order;

typedef struct grow_config {
  int leaves;    /* at most; at least 2 */
  int max_depth; /* of leaves; 0: any */
  grow_order order;
  split_rules rules;      /* arrays are borrowed */
  double tree_features;   /* share of the features that a tree may use */
  double node_features;   /* share of those that a split may use */
  bool random_cuts;       /* extremely randomised: one random cut a feature */
  const uint8_t *allowed; /* interaction constraints: (n_groups, n_features), or NULL */
  size_t n_groups;
  size_t histogram_bytes; /* memory for histograms; 0: 1 GiB */
  uint64_t seed;
} grow_config;
grow_config grow_config_default(void); /* as LightGBM: 31 leaves, 20 rows, hessian 1e-3 */

typedef struct grown_split {
  uint32_t feature;
  int32_t left, right; /* a split, or ~leaf */
  int code;
  bool categorical, missing_left, any_missing; /* any_missing: of the feature, in training */
  uint32_t left_codes[BINS_CODES / 32];
  double gain, hessian;
  uint32_t n_rows;
} grown_split;

typedef struct grown_leaf {
  double gradient, hessian; /* exact sums, in float64, in the order of the rows */
  double value;             /* Newton's, within its bounds: not shrunk */
  double lower, upper;      /* those bounds */
  row_set in, out;          /* rows in the leaf; good until the next tree */
  int depth;
} grown_leaf;

typedef struct grown {
  size_t n_splits; /* and n_splits + 1 leaves */
  grown_split *splits;
  grown_leaf *leaves;
} grown;

typedef struct grower grower;
/* max_rows: of `in` and `out` together. The bins are borrowed. */
garam_status grower_new(grower **out, const bins *b, const grow_config *config, size_t max_rows,
                        garam_error *err);
void grower_free(grower *g); /* NULL is fine */
/* gh (2 n_rows of the bins): gradient and hessian of each row, by dataset row. `number` tells this
 * tree from others of the same seed. The result is the grower's, until the next call; the values of
 * its leaves may be changed. */
grown *grower_grow(grower *g, const float *gh, row_set in, row_set out, uint64_t number);

/* Into the builder, the leaves' values times `shrinkage`. */
garam_status grown_build(const grown *t, const bins *b, trees_builder *to, size_t output,
                         double shrinkage, garam_error *err);
/* The same up to the leaves' values, without the end: for leaves that are more than a value. */
garam_status grown_begin(const grown *t, const bins *b, trees_builder *to, size_t output,
                         double shrinkage, garam_error *err);
/* The leaf of a row of the bins. */
size_t grown_leaf_of(const grown *t, const bins *b, size_t row);

#endif
