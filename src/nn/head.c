/* The head that turns a pooled vector into scores. */
#include "nn/nn.h"

tensor *nn_head(tensor *x, int64_t n_outputs, double dropout, const char *name) {
  char full[NN_NAME_MAX];
  int64_t half = tensor_dim(x, -1) / 2;
  tensor *h = nn_linear(x, half > 0 ? half : 1, NN_INIT_XAVIER, nn_name(full, name, "in"));
  h = op_dropout(op_relu(h), dropout);
  return nn_linear(h, n_outputs, NN_INIT_SMALL, nn_name(full, name, "out"));
}
