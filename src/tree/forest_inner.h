/* Growing one tree of a forest, for forest*.c only. */
#ifndef TREE_FOREST_INNER_H
#define TREE_FOREST_INNER_H

#include "base/rng.h"
#include "tree/bins.h"
#include "tree/forest.h"

/* What all trees share. */
typedef struct forest_task {
  const dataset *d;
  const bins *bins; /* NULL: random cuts of the numbers themselves (extra trees) */
  forest_config config;
  row_set rows;
  const float *weight; /* (n_rows) or NULL */
  size_t n_stats;      /* classes: K sums of weights; values: sum of weights, of weight x value */
  double center;       /* taken from values, so that sums of squares stay small */
  uint64_t seed;
} forest_task;

/* One tree and the memory to grow it; reused. */
typedef struct forest_tree {
  trees_split *splits;
  double *values; /* (leaves, K or 1) */
  double *covers; /* (leaves) */
  size_t n_splits, n_leaves;
  uint8_t *in_bag; /* (rows.n) times it was drawn, 255 at most */

  uint32_t *row;  /* (rows.n) dataset rows in the bag, each once; a node is a range of it */
  float *in_node; /* (rows.n) the weight of each, in step with row */
  uint32_t *spare;
  float *spare_weight;
  struct forest_node *stack;
  uint32_t *feature_order;      /* (n_features) */
  double *stats;                /* (BINS_CODES, n_stats) of one feature's codes */
  uint32_t *counts;             /* (BINS_CODES) rows */
  double *left, *right, *total; /* (n_stats) */
} forest_tree;

garam_status forest_tree_init(forest_tree *t, const forest_task *f, garam_error *err);
void forest_tree_deinit(forest_tree *t);
void forest_tree_grow(forest_tree *t, const forest_task *f, size_t number);

#endif
