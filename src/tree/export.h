/* Writing sets of trees for others: LightGBM's text model, and ONNX (ai.onnx.ml trees). Thresholds
 * are float32 and go left at <=, as in both: a float input takes the same way everywhere. What a
 * format can't say is GARAM_UNSUPPORTED, and named. */
#ifndef TREE_EXPORT_H
#define TREE_EXPORT_H

#include "tree/trees_learner.h"

typedef struct trees_export {
  trees_view view;                  /* its link_scale is of the sums */
  const char *const *feature_names; /* (n_features) */
  const char *const *class_names;   /* (n_classes) */
  int n_classes;                    /* 0: values */
} trees_export;

/* LightGBM loads it and predicts the same float64 sums. Probabilities of forests come as raw
 * scores; splits by category that send NaN left are not known there. */
garam_status trees_export_lightgbm(const trees_export *e, const char *path, garam_error *err);
/* Input "features" (N, n_features) float; outputs "label" and "probabilities" (N, K), or "value"
 * (N, 1). Leaf values are rounded to float32. Splits by category, zeros as missing and linear
 * leaves are not known there. */
garam_status trees_export_onnx(const trees_export *e, const char *path, garam_error *err);

/* ---- inside export_*.c --------------------------------------------------------------------- */

/* What leaf value j of tree i adds to its output: times `scale`, plus the base in the first tree of
 * each output. */
double export_leaf(const trees *t, size_t tree, size_t leaf, size_t j, double scale);
/* Every output has a tree, so that the base has a place. */
garam_status export_check(const trees_export *e, const char *format, garam_error *err);

#endif
