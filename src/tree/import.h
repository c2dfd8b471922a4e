/* Reading the model files of others: LightGBM's text, XGBoost's JSON and UBJSON. What comes back
 * predicts what they predict, to the rounding of their own sums. The files are not trusted: every
 * index, count and number is checked, and errors name the file, the tree and the field. */
#ifndef TREE_IMPORT_H
#define TREE_IMPORT_H

#include "tree/link.h"
#include "tree/trees.h"

typedef struct trees_import {
  trees *trees;
  char **feature_names; /* (n_features), then NULL; as in the file, or Column_0 ... f0 ... */
  trees_link link;
  double link_scale;
  int n_classes;      /* 0: values */
  const char *format; /* lightgbm, xgboost-json, xgboost-ubjson */
  char objective[64];
} trees_import;

/* By content. */
garam_status trees_import_file(trees_import *out, const char *path, garam_error *err);
garam_status trees_import_memory(trees_import *out, const char *data, size_t size, const char *name,
                                 garam_error *err);
void trees_import_deinit(trees_import *m);

/* ---- inside import_*.c --------------------------------------------------------------------- */

garam_status import_lightgbm(trees_import *out, const char *text, size_t size, const char *name,
                             garam_error *err);
garam_status import_xgboost(trees_import *out, json_t *model, const char *name, garam_error *err);
/* UBJSON (draft 12, as XGBoost writes it) as a jansson value. At most 64 levels; no duplicate
 * keys; arrays with a type are of numbers, so that no count is larger than the file. */
garam_status import_ubjson(json_t **out, const char *data, size_t size, const char *name,
                           garam_error *err);
/* Names for n features: from `given` (may be NULL) where they are usable and differ, else prefix
 * and number. */
garam_status import_names(trees_import *m, const char *const *given, size_t n, const char *prefix,
                          garam_error *err);

#endif
