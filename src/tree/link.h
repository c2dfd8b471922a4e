/* From the outputs of a set of trees to scores of classes or values. */
#ifndef TREE_LINK_H
#define TREE_LINK_H

#include "base/status.h"

/* n_classes K > 0: `out` gets K scores whose softmax are the probabilities; K 0: one value.
 *   identity      a value as it is
 *   exp, square (x |x|), sigmoid, softplus (log(1 + e^x))   of a value
 *   logistic      one output z: probability of class 1 is 1 / (1 + e^(-scale z))
 *   softmax       K outputs
 *   one-vs-all    K outputs, each the logit (times scale) of its class; set to sum to 1
 *   probability   K outputs that are probabilities (or counts), 1e-15 at least */
typedef enum trees_link {
  LINK_IDENTITY,
  LINK_EXP,
  LINK_SQUARE,
  LINK_SIGMOID,
  LINK_SOFTPLUS,
  LINK_LOGISTIC,
  LINK_SOFTMAX,
  LINK_ONE_VS_ALL,
  LINK_PROBABILITY,
} trees_link;
extern const char *const trees_link_names[]; /* NULL at the end */

/* Does the link go with K classes (0: values) of n_outputs outputs? */
bool trees_link_fits(trees_link link, int n_classes, size_t n_outputs);
/* sums (n, n_outputs) -> out (n, K or 1). */
void trees_link_apply(trees_link link, double scale, int n_classes, const double *sums, size_t n,
                      float *out);

#endif
