/* Weights of members from what they predicted for rows that they had not seen: at least 0, and 1 in
 * all. The pool is a mean of probabilities, or of values. */
#ifndef ENSEMBLE_WEIGH_H
#define ENSEMBLE_WEIGH_H

#include "learn/dataset.h"
#include "learn/package.h"

typedef enum weigh_kind {
  WEIGH_UNIFORM,
  WEIGH_LOSS,   /* each by one over its own loss */
  WEIGH_GREEDY, /* ensemble selection: Caruana, Niculescu-Mizil, Crew & Ksikes, ICML 2004 */
  WEIGH_CONVEX, /* those of the least loss of the pool: a convex problem, solved to its minimum */
} weigh_kind;
extern const char *const weigh_names[]; /* NULL at the end */

typedef struct weigh_config {
  int rounds, bags; /* greedy: members taken, with replacement; subsets of members tried */
  uint64_t seed;    /* of the subsets */
} weigh_config;

/* out (n_members). predictions[m] (rows.n, k) of member m: log-probabilities, or values with k 1.
 * A greedy bag holds each member with a chance of 1/2, at least one; the weights are the mean over
 * bags; of a bag, those of its best pool on the way. One bag holds all members. */
garam_status weigh(double *out, weigh_kind kind, const weigh_config *config,
                   const float *const *predictions, size_t n_members, const dataset *d,
                   row_set rows, size_t k, garam_error *err);

/* PREFIXweights of a package: (n), each from 0 to 1. */
garam_status weigh_load(double *out, size_t n, const package_reader *r, const char *prefix,
                        garam_error *err);

#endif
