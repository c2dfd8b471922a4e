/* Gradient checks as a function, for the tests of every room that builds graphs.
 *
 * A loss is built twice from the same code: in double, where its gradient is compared with central
 * differences, and in float, where value and gradient are compared with the double ones. */
#ifndef GRAPH_CHECK_H
#define GRAPH_CHECK_H

#include "graph/graph.h"

typedef struct check_case {
  tensor *(*build)(graph *g, void *context);       /* returns the loss: one number */
  void (*fill)(plan *p, bool wide, void *context); /* writes inputs; NULL: there are none */
  void *context;
  bool training;
  uint64_t seed;  /* of initial values and dropout */
  int directions; /* 0: every parameter on its own; else this many random directions */
  double step;    /* 0: 1e-5 */
} check_case;

typedef struct check_result {
  double gradient_error; /* largest |analytic - numeric| / (|analytic| + |numeric| + floor) */
  double float_error;    /* |float - double| / |double| over the whole gradient, and the loss */
  double loss;
  size_t n_parameters;
} check_result;

/* The floor is 1e-3 of the gradient's root mean square (and 1e-8), so that parameters without
 * influence do not turn rounding into an error. */
garam_status check_gradient(check_result *out, const check_case *c, garam_error *err);

/* A graph with its plan and blocks: what every test needs, in one call. */
typedef struct check_model {
  graph *graph;
  plan *plan;
  void *params, *grads;
  size_t bytes; /* of either block */
} check_model;
garam_status check_model_init(check_model *m, const check_case *c, dtype real,
                              const plan_config *config, garam_error *err);
void check_model_deinit(check_model *m);
double check_model_loss(check_model *m, uint64_t step); /* runs; the output "loss" */

#endif
