/* Random but realistic sets of trees for tests and benches: leaf-wise shapes, every kind of split.
 * The same for the same seed. */
#ifndef TREE_TREES_FAKE_H
#define TREE_TREES_FAKE_H

#include "tree/trees.h"

typedef struct trees_fake {
  size_t n_features, n_outputs, width, n_trees, n_leaves;
  uint64_t seed;
  bool missing, categories, linear; /* these kinds of splits and leaves too */
} trees_fake;

/* Thresholds are those of standard normal features; tree i adds to output i % n_outputs. */
garam_status trees_fake_new(trees **out, const trees_fake *spec, garam_error *err);
/* n rows of normal numbers; with `missing` some are NaN or zero; with `categories` the features of
 * odd number hold 0 to 63. */
void trees_fake_rows(float *x, size_t n, const trees_fake *spec, uint64_t seed);

#endif
