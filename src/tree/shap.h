/* SHAP values of trees: how much each feature moved a prediction, exactly.
 *
 * Path dependent (Lundberg, Erion, Lee 2018: "Consistent Individualized Feature Attribution for
 * Tree Ensembles", algorithm 2): what a feature would have been is taken from the covers of the
 * tree itself, as XGBoost's and LightGBM's pred_contribs do. Interventional (Lundberg et al. 2020:
 * "From local explanations to global understanding with explainable AI for trees"): from background
 * rows, against which a row is compared. Both sum to the prediction. */
#ifndef TREE_SHAP_H
#define TREE_SHAP_H

#include "tree/trees.h"

/* out (n, n_outputs, n_features + 1): contributions to each output, the expected output last; their
 * sum is the output of trees_predict_row, within rounding. Rows run on threads. Linear leaves:
 * GARAM_UNSUPPORTED; a set without covers: GARAM_INVALID. */
garam_status trees_shap(const trees *t, const float *x, size_t n, double *out, garam_error *err);

/* The same against background rows (n_background > 0, n_features): the expected output is the mean
 * output of those. Time is n x n_background x trees. */
garam_status trees_shap_interventional(const trees *t, const float *x, size_t n,
                                       const float *background, size_t n_background, double *out,
                                       garam_error *err);

#endif
