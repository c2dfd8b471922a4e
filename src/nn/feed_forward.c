/* The position-wise feed-forward layer of a block. */
#include "nn/nn.h"

tensor *nn_feed_forward(tensor *x, int64_t d_ff, int activation, double dropout, const char *name) {
  char full[NN_NAME_MAX];
  tensor *h = nn_linear(x, d_ff, NN_INIT_XAVIER, nn_name(full, name, "in"));
  h = op_dropout(nn_activate(h, activation), dropout);
  return nn_linear(h, tensor_dim(x, -1), NN_INIT_XAVIER, nn_name(full, name, "out"));
}
