/* Links: what the objectives of boosting make of a sum of trees. */
#include "tree/link.h"

#include <math.h>

const char *const trees_link_names[] = {"identity",    "exp",      "square",  "sigmoid",
                                        "softplus",    "logistic", "softmax", "one-vs-all",
                                        "probability", NULL};

bool trees_link_fits(trees_link link, int n_classes, size_t n_outputs) {
  switch (link) {
  case LINK_IDENTITY:
  case LINK_EXP:
  case LINK_SQUARE:
  case LINK_SIGMOID:
  case LINK_SOFTPLUS: return n_classes == 0 && n_outputs == 1;
  case LINK_LOGISTIC: return n_classes == 2 && n_outputs == 1;
  case LINK_SOFTMAX:
  case LINK_ONE_VS_ALL:
  case LINK_PROBABILITY: return n_classes >= 2 && n_outputs == (size_t)n_classes;
  }
  return false;
}

static double log_sigmoid(double z) {
  return z < 0 ? z - log1p(exp(z)) : -log1p(exp(-z));
}

static double value_of(trees_link link, double z) {
  switch (link) {
  case LINK_EXP: return exp(z);
  case LINK_SQUARE: return z * fabs(z);
  case LINK_SIGMOID: return 1 / (1 + exp(-z));
  case LINK_SOFTPLUS: return z > 30 ? z : log1p(exp(z));
  default: return z;
  }
}

void trees_link_apply(trees_link link, double scale, int n_classes, const double *sums, size_t n,
                      float *out) {
  size_t k = n_classes > 0 ? (size_t)n_classes : 1;
  switch (link) {
  case LINK_LOGISTIC:
    for (size_t i = 0; i < n; i++) {
      out[2 * i] = 0;
      out[2 * i + 1] = (float)(scale * sums[i]);
    }
    return;
  case LINK_SOFTMAX:
    for (size_t i = 0; i < n * k; i++) out[i] = (float)sums[i];
    return;
  case LINK_ONE_VS_ALL:
    for (size_t i = 0; i < n * k; i++) out[i] = (float)log_sigmoid(scale * sums[i]);
    return;
  case LINK_PROBABILITY:
    for (size_t i = 0; i < n * k; i++) out[i] = (float)log(sums[i] > 1e-15 ? sums[i] : 1e-15);
    return;
  default:
    for (size_t i = 0; i < n; i++) out[i] = (float)value_of(link, sums[i]);
  }
}
