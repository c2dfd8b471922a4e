/* Layer norm with its parameters. */
#include "nn/nn.h"

tensor *nn_norm(tensor *x, const char *name) {
  graph *g = tensor_graph(x);
  char full[NN_NAME_MAX];
  const int64_t n = tensor_dim(x, -1);
  tensor *gain = graph_param(g, nn_name(full, name, "weight"), 1, &n,
                             (param_init){INIT_ONE, 0, 0, 0}, PARAM_PLAIN);
  tensor *bias = graph_param(g, nn_name(full, name, "bias"), 1, &n,
                             (param_init){INIT_ZERO, 0, 0, 0}, PARAM_PLAIN);
  return op_layer_norm(x, gain, bias, 1e-5);
}
