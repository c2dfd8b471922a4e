/* Every kind of learner there is, in the order in which `garam models` lists them. The one room
 * that knows them all; a new learner adds its record here and has a flag, help, package and
 * server with it. */
#include "ensemble/dynamic.h"
#include "ensemble/ensemble.h"
#include "ensemble/intervals.h"
#include "learn/learner.h"
#include "learn/linear.h"
#include "train/net_learner.h"
#include "tree/forest.h"
#include "tree/gbdt.h"
#include "tree/trees_learner.h"

const learner_ops *const learner_registry[] = {
    &learner_transformer,
    &linear_ops,
    &learner_mlp,
    &learner_lstm,
    &learner_gru,
    &gbdt_ops,
    &ensemble_stack,
    &ensemble_average,
    &ensemble_bagging,
    &ensemble_adaboost,
    &ensemble_boosting,
    &learner_dynamic,
    &forest_ops,
    &extra_trees_ops,
    &trees_ops,
    &ensemble_intervals,
    NULL,
};
