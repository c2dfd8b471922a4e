/* Learners that are made of trees, to those who explain or export them. */
#ifndef TREE_TREES_LEARNER_H
#define TREE_TREES_LEARNER_H

#include "learn/learner.h"
#include "tree/import.h"

/* `trees`: trees that were read from a model file. It predicts, and can't be fitted. */
typedef struct trees_config {
  int link;
  double link_scale;
} trees_config;
extern const learner_ops trees_ops;

/* Takes m's trees out of it. */
garam_status trees_learner_new(learner **out, trees_config *config, learner_shape *shape,
                               trees_import *m, garam_error *err);

typedef struct trees_view {
  const trees *trees;
  trees_link link;
  double link_scale;
} trees_view;
/* The trees inside a learner; false where it has none. */
bool trees_of_learner(trees_view *out, const learner *l);

#endif
