/* The flat layout, for predict*.c only. */
#ifndef TREE_PREDICT_INNER_H
#define TREE_PREDICT_INNER_H

#include "tree/predict.h"

enum {
  LINK_CHILD_BITS = 19,
  LINK_FEATURE_BITS = 12,
  LINK_CHILD = (1 << LINK_CHILD_BITS) - 1,
  LINK_FEATURE = (1 << LINK_FEATURE_BITS) - 1,
  LINK_NAN_RIGHT_SHIFT = 31,
  PREDICT_BLOCK = 64, /* rows that are walked together */
  PREDICT_GROUP = 16, /* trees of one row that are walked together; groups are filled up with
                         trees of one leaf */
};

/* x > threshold, or NaN where it goes right: child + 1; else child. A leaf is its own child, with
 * a threshold of +infinity. */
typedef struct flat_node {
  float threshold;
  uint32_t link; /* child | feature << 19 | nan_right << 31 */
} flat_node;

typedef struct flat_trees {
  const trees *t;
  size_t n_slots;  /* floats a row as walked: n_features, twice that with zero_slots */
  bool zero_slots; /* slot n_features + f is feature f with NaN for zero */
  size_t n_padded; /* trees, a multiple of PREDICT_GROUP */
  uint32_t *begin; /* (n_padded + 1) first node */
  uint16_t *depth; /* (n_padded) */
  flat_node *node; /* all trees; 8 more at the end that are never reached */
  int32_t *leaf;   /* (nodes) which leaf over all trees a node is; -1 a split, or padding */
  double *value;   /* (nodes) of leaves, when width is 1 and none is linear; else NULL */
} flat_trees;

/* at[i]: the node (over all trees) where row i of n <= PREDICT_BLOCK arrives in tree `tree`. x is
 * (PREDICT_BLOCK, n_slots): rows from n on are there to be read. */
typedef void (*walk_rows_fn)(uint32_t *at, const flat_trees *f, size_t tree, const float *x,
                             size_t n);
/* at[i]: the node where the row arrives in tree first + i, for n trees (a multiple of
 * PREDICT_GROUP). */
typedef void (*walk_trees_fn)(uint32_t *at, const flat_trees *f, size_t first, size_t n,
                              const float *x);

void walk_rows_scalar(uint32_t *at, const flat_trees *f, size_t tree, const float *x, size_t n);
void walk_trees_scalar(uint32_t *at, const flat_trees *f, size_t first, size_t n, const float *x);

/* Those of one level ("avx512", "avx2"); false where this processor has not got it. */
bool walk_x86(walk_rows_fn *rows, walk_trees_fn *trees, const char *isa);

/* For tests: another level than the best; false where there is none of the name, or where the set
 * is not flat. */
bool trees_predictor_use(trees_predictor *p, const char *isa);

#endif
