/* The learner `gbdt`: gradient boosting of trees on binned features. */
#ifndef TREE_GBDT_H
#define TREE_GBDT_H

#include "learn/learner.h"
#include "tree/loss.h"
#include "tree/trees.h"

typedef struct gbdt_config {
  int rounds, early_stopping;
  double learning_rate;
  int boosting; /* plain, dart */
  int leaves, max_depth, growth;
  double min_rows, min_hessian, min_gain, l1, l2, max_output, path_smooth;
  int bins, bin_rows;
  int64_t bin_sample;
  double feature_fraction, node_fraction;
  bool extra_trees;
  int sampling; /* bagging, goss */
  double bagging_fraction, goss_top, goss_other;
  int bagging_freq;
  double drop_rate, skip_drop;
  int max_drop;
  int loss;
  double alpha, poisson_max_delta;
  int class_weights; /* none, balanced */
  char categorical[512], monotone[512], interactions[512];
  double category_smooth, category_l2;
  int max_categories, one_hot_categories;
  bool linear_leaves;
  double linear_l2;
  int64_t histogram_memory;
} gbdt_config;
enum { GBDT_N_OPTIONS = 42 };
extern const opt_row gbdt_options[GBDT_N_OPTIONS];
extern const learner_preset gbdt_presets[];

typedef struct gbdt gbdt;
extern const learner_ops gbdt_ops;

/* The fitted trees: scores before softmax (binary: of the second class), or values before the
 * loss's link. NULL before fit or load. */
const trees *gbdt_trees(const learner *l);
/* What --loss custom descends, in this process: garam/gbdt.h. */
void gbdt_set_loss(loss_custom_fn fn, void *context);

#endif
