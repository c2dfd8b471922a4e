/* The regularised linear learner: multinomial logistic regression for classes, ridge regression
 * for values. The baseline that anything larger has to beat. */
#ifndef LEARN_LINEAR_H
#define LEARN_LINEAR_H

#include "learn/learner.h"

typedef struct linear_config {
  double l2; /* of the objective: mean weighted loss + l2 / 2 |W|^2, bias left out */
  int max_iterations;
  double tolerance;  /* largest absolute part of the objective's gradient */
  int window;        /* rows, ending at the one predicted from, that are put side by side */
  int class_weights; /* none, balanced */
} linear_config;

extern const learner_ops linear_ops;

#endif
