/* How much the splits of a set of trees say about its features. */
#ifndef TREE_IMPORTANCE_H
#define TREE_IMPORTANCE_H

#include "tree/trees.h"

/* Each (n_features), or NULL: splits by the feature, the sum of their gains, of their covers. */
void trees_importance(const trees *t, double *splits, double *gain, double *cover);

#endif
