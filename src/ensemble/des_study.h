/* Dynamic selection measured as its literature does: bagged logistic models on one table,
 * competence judged on a second, scores on a third. Behind `garam bench selection`. */
#ifndef ENSEMBLE_DES_STUDY_H
#define ENSEMBLE_DES_STUDY_H

#include "base/opt.h"
#include "learn/dataset.h"

typedef struct des_study_config {
  int members, neighbours;
} des_study_config;
extern const opt_row des_study_options[];
extern const size_t des_study_n_options;

enum { DES_STUDY_METHODS = 5 };
typedef struct des_study_result {
  double method[DES_STUDY_METHODS]; /* accuracy with votes, in the order of des_method_names */
  double soft[DES_STUDY_METHODS];   /* with the mean of odds */
  double majority, single_best, oracle;
} des_study_result;

/* Classes; raw features, the same in all three. */
garam_status des_study(des_study_result *out, const dataset *train, const dataset *valid,
                       const dataset *test, const des_study_config *config, uint64_t seed,
                       garam_error *err);

#endif
