/* L-BFGS for smooth convex functions (Liu & Nocedal 1989; Nocedal & Wright 2006, algorithm 7.5),
 * with a weak Wolfe line search by bisection (Lewis & Overton 2013). In double, in one thread:
 * the function may use threads as it likes. */
#ifndef LEARN_LBFGS_H
#define LEARN_LBFGS_H

#include "base/status.h"

/* Value at w (n); fills the gradient (n). NaN ends the search. */
typedef double (*lbfgs_fn)(void *context, const double *w, double *gradient);
/* After each iteration; true ends it with GARAM_INTERRUPTED. May be NULL. */
typedef bool (*lbfgs_step_fn)(void *context, int iteration, double value, double gradient_norm);

typedef struct lbfgs_config {
  int max_iterations, memory; /* memory: pairs kept, 0 means 20 */
  double tolerance;           /* on the largest absolute part of the gradient */
} lbfgs_config;

typedef struct lbfgs_result {
  int iterations;
  double value, gradient_norm; /* infinity norm at the end */
  bool converged;              /* within tolerance */
} lbfgs_result;

/* Minimises from w, in place. GARAM_NUMERIC when the function leaves the finite numbers. */
garam_status lbfgs_minimise(lbfgs_result *out, double *w, size_t n, const lbfgs_config *config,
                            lbfgs_fn fn, lbfgs_step_fn step, void *context, garam_error *err);

#endif
