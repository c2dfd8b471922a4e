/* The learners `forest` (Breiman 2001) and `extra-trees` (Geurts, Ernst, Wehenkel 2006): deep
 * trees, each on its own sample of the rows and features, whose answers are averaged. A leaf holds
 * the shares of the classes, or the mean value. Trees are grown in parallel, one a thread: the same
 * forest for any number of threads. */
#ifndef TREE_FOREST_H
#define TREE_FOREST_H

#include "learn/learner.h"
#include "tree/trees.h"

enum { FOREST_GINI, FOREST_ENTROPY };

typedef struct forest_config {
  int trees;
  int criterion;           /* of classes; values: the variance */
  double max_features;     /* share of the features that a split looks at; 0: the usual one */
  int max_depth;           /* 0: any, up to TREES_MAX_DEPTH */
  int min_split, min_leaf; /* rows */
  double min_gain;         /* share of the root's impurity that a split takes away, at least */
  bool bootstrap;
  double bag; /* share of the rows drawn */
  int bins;
  bool calibrate;
  int class_weights; /* none, balanced */
} forest_config;

extern const learner_ops forest_ops, extra_trees_ops;
const trees *forest_trees(const learner *l); /* NULL before fit or load */

#endif
